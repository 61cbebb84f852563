"""Oracles of search, identification and templates: the definitions as plain loops, slow and obvious."""

import math

import numpy as np


def cosine(a, b):
    """Cosine of two unit vectors, summed exactly and rounded once to float32."""
    return float(np.float32(math.fsum(float(x) * float(y) for x, y in zip(a, b, strict=True))))


def search(probes, gallery, probe_labels, gallery_labels):
    """For each probe: its score with every entry, its mate score (None), above, tied, top non-mate score (None)."""
    found = []
    for probe, label in zip(probes, probe_labels, strict=True):
        scores = [cosine(probe, entry) for entry in gallery]
        mates = [score for score, other in zip(scores, gallery_labels, strict=True) if other == label]
        others = [score for score, other in zip(scores, gallery_labels, strict=True) if other != label]
        mate = max(mates, default=None)
        above = sum(score > mate for score in others) if mates else 0
        tied = sum(score == mate for score in others) if mates else 0
        found.append((scores, mate, above, tied, max(others, default=None)))
    return found


def tpir_at_fpir(found, target, rank):
    """(threshold, false positives, hits) at the smallest threshold whose FPIR does not exceed the target."""
    unknown = [top for _, mate, _, _, top in found if mate is None]
    for threshold in sorted(unknown):
        positives = sum(top > threshold for top in unknown)
        if positives / len(unknown) <= target:
            break
    known = [row for row in found if row[1] is not None]
    return threshold, positives, sum(mate > threshold and 1 + above + tied <= rank for _, mate, above, tied, _ in known)


def megaface(probes, labels, distractors, sizes, rank):
    """Hits at each size over every ordered pair of two images of one person."""
    hits = [0] * len(sizes)
    for i, probe in enumerate(probes):
        crowd = [cosine(probe, distractor) for distractor in distractors]
        for j, mate in enumerate(probes):
            if i != j and labels[i] == labels[j]:
                for place, size in enumerate(sizes):
                    hits[place] += sum(score >= cosine(probe, mate) for score in crowd[:size]) < rank
    return hits


def pooled(embeddings, templates, media, keep_norms, weights):
    """Template id -> unit vector: mean of a medium's images, sum over media, divided by the norm."""
    result = {}
    for template in sorted(set(templates)):
        total = np.zeros(len(embeddings[0]))
        for medium in sorted({m for t, m in zip(templates, media, strict=True) if t == template}):
            rows = [i for i in range(len(media)) if (templates[i], media[i]) == (template, medium)]
            images = [np.asarray(embeddings[i], dtype=np.float64) for i in rows]
            images = [x if keep_norms else x / math.sqrt(x @ x) for x in images]
            total += sum(x * weights[i] for x, i in zip(images, rows, strict=True)) / len(rows)
        result[template] = total / math.sqrt(total @ total)
    return result
