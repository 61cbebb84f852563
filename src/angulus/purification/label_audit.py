"""An audit of labels: a page to read, a list to edit and figures, for a set of images and any network.

OUT/index.html       the page, everything in one file; it holds photos, so it stays with the user
OUT/edits.csv        the proposals, which a person edits and data.identities.edits applies
OUT/audit.json       the same with figures for each identity, for programs
OUT/embeddings.npz   what the network made of the images; a second call begins there
"""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from angulus.data import Source, account_of, truth_of
from angulus.data.examples import noun_of
from angulus.data.views.edits import names_digest, write_proposed
from angulus.embeddings import EmbeddingSet
from angulus.errors import ConfigError
from angulus.extract import embed
from angulus.models import EmbeddingModel
from angulus.plain_numbers import counted
from angulus.purification.audit_page import Page, write_page
from angulus.purification.centers import Centers
from angulus.purification.edit_lists import scored
from angulus.purification.evidence import Evidence, angles_of, weigh
from angulus.purification.findings import Findings, find
from angulus.purification.identity_groups import Groups, group_images
from angulus.purification.rules import RULES, Rule, Verdict, decide
from angulus.training.storage.atomic_files import write_json

log = logging.getLogger(__name__)

EMBEDDINGS = "embeddings.npz"


@dataclass(frozen=True, kw_only=True)
class LabelAudit:
    """How labels are audited. rule, angle: see `rules`.  groups: people looked for under one name.

    shown: images on the page.  most: images that the list and the page's table may hold, the most suspicious.
    """

    rule: Rule = "combined"
    angle: float | Literal["auto"] = "auto"
    groups: int = 3
    shown: int = 200
    most: int = 20_000

    def __post_init__(self) -> None:
        for name in ("groups", "shown", "most"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.rule not in RULES:
            raise ConfigError(f"rule must be one of {', '.join(RULES)}, got {self.rule!r}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Audited:
    """What an audit wrote, and what it found. figures: JSON-ready. listed: the list, under another name than edits.csv
    where somebody has edited the one that was there."""

    folder: Path
    findings: Findings
    figures: dict[str, Any]
    listed: Path


def audit_labels(
    model: EmbeddingModel,
    source: Source,
    out: Path,
    options: LabelAudit | None = None,
    *,
    centers: Centers | None = None,
    whole: Source | None = None,
    title: str = "",
    device: str | torch.device = "cpu",
    progress: Callable[[int, int | None], None] | None = None,
) -> Audited:
    """Look for wrong labels, for names with two people and for people with two names, and write page and list.

    centers: of the head of a run with sub-centers; None makes them from the images themselves.
    whole: the set that the list is made for, where `source` is a part of it.

    Raises DataError for a set with one identity, or labels that the head does not have.
    """
    options = options or LabelAudit()
    embeddings = embedded(model, source, out / EMBEDDINGS, device, progress)
    labels = np.asarray(source.labels, dtype=np.int64)
    names = list(source.identities)
    units = embeddings.unit(embeddings.usual_view)
    groups = group_images(units, labels, names, subcenters=options.groups)
    evidence = evidence_of(embeddings, labels, groups, None if centers is None else centers.in_order(names))
    angles = angles_of(evidence, len(names))
    verdict = decide(angles, options.rule, options.angle)
    findings = find(source, evidence, angles, verdict, groups, most=options.most)
    listed = write_proposed(out / "edits.csv", findings.edits(), source=whole or source)
    figures = figures_of(source, verdict, findings, groups, options, "images" if centers is None else "head")
    write_json(out / "audit.json", figures | contents(source, findings, options.shown))
    page = Page(
        title=title or f"Labels of {Path(account_of(source).origin).name}",
        source=source,
        findings=findings,
        verdict=verdict,
        evidence=evidence,
        figures=figures,
        made_for=names_digest(whole or source),
        shown=options.shown,
    )
    write_page(out / "index.html", page)
    log.info("%s", figures["sentence"])
    return Audited(folder=out, findings=findings, figures=figures, listed=listed)


def embedded(
    model: EmbeddingModel,
    source: Source,
    file: Path,
    device: str | torch.device,
    progress: Callable[[int, int | None], None] | None,
) -> EmbeddingSet:
    """Embeddings of image and mirrored image, from the file where it holds those of these images."""
    if file.is_file():
        kept = EmbeddingSet.load(file)
        if kept.keys == tuple(source.keys) and kept.flipped is not None and kept.dim == model.embedding_dim:
            return replace(kept, labels=np.asarray(source.labels), identities=tuple(source.identities))
        log.warning("%s is of other examples or of another network, and is made anew", file)
    found = embed(model, source, device=device, progress=progress)
    file.parent.mkdir(parents=True, exist_ok=True)
    found.save(file)
    return found


def evidence_of(embeddings: EmbeddingSet, labels: np.ndarray, groups: Groups, head: Centers | None) -> Evidence:
    """Angles to the centers of the head, or to those of the images, from which each image is left out."""
    numbered = EmbeddingSet(embeddings=embeddings.embeddings, flipped=embeddings.flipped, labels=labels)
    if head is not None:
        return weigh(numbered, head)
    return replace(weigh(numbered, groups.centers), own=groups.own)


def figures_of(
    source: Source, verdict: Verdict, findings: Findings, groups: Groups, options: LabelAudit, centers: str
) -> dict[str, Any]:
    """What was looked at and what is proposed, JSON-ready; scored where the truth is known."""
    proposed = Counter(found.action for found in findings.images)
    labels = np.asarray(source.labels)
    counts = np.bincount(labels, minlength=len(source.identities))
    actions = {name: proposed[name] for name in ("drop", "relabel", "split")} | {"merge": len(findings.merges)}
    words = ", ".join(f"{count:,} {name}" for name, count in actions.items())
    held = f"{counted(len(source), noun_of(source))} of {counted(len(source.identities), 'identity')}"
    figures: dict[str, Any] = {
        "images": len(source),
        "identities": len(source.identities),
        "identities with one image": int((counts == 1).sum()),
        "centers": centers,
        "rule": options.rule,
        "angle": verdict.angle,
        "estimated share of wrong labels": verdict.fit.share,
        "like each other": groups.alike,
        "proposed": actions,
        "sentence": f"{held}; proposed: {words}",
    }
    truth = truth_of(source)
    if truth is None:
        return figures
    said = [truth.shown[found.row] == found.to for found in findings.images if found.action == "relabel"]
    right = {"relabelled": len(said), "to the right person": sum(said)}
    return figures | {"scored": scored(verdict, truth.is_wrong) | right}


def contents(source: Source, findings: Findings, shown: int) -> dict[str, Any]:
    """The findings, JSON-ready; of the images that stay only those that the page shows."""
    images = enumerate(findings.images)
    return {
        "per identity": per_identity(source, findings),
        "image findings": [asdict(found) for place, found in images if found.action != "keep" or place < shown],
        "split findings": [asdict(found) for found in findings.splits],
        "merge findings": [asdict(found) for found in findings.merges],
    }


def per_identity(source: Source, findings: Findings) -> list[dict[str, Any]]:
    """For each identity how many images stay and how many are proposed to go where, and whom it may be one with."""
    counts = np.bincount(np.asarray(source.labels), minlength=len(source.identities)).tolist()
    actions = Counter((found.identity, found.action) for found in findings.images)
    same: dict[str, list[str]] = {}
    for found in findings.merges:
        same.setdefault(found.identity, []).append(found.other)
        same.setdefault(found.other, []).append(found.identity)
    rows = []
    for name, images in zip(source.identities, counts, strict=True):
        gone = {action: actions[name, action] for action in ("drop", "relabel", "split")}
        kept = images - sum(gone.values())
        rows.append({"identity": name, "images": images, "kept": kept, **gone, "same person": same.get(name, [])})
    return rows
