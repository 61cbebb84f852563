"""Which gallery rows show the person of a probe, and how alike are they: the mates of a search, gathered by block."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from angulus.evaluation.scores.vectors import exact_cosines


class Mates:
    """The best k mates of each probe: rows int64 [p, k] (-1 for none) and scores float32 [p, k] (-inf), best first.

    The pairs of one gallery block are listed: a person with a probes and b rows in a block costs a x b numbers.
    """

    def __init__(self, labels: NDArray[np.int64], top: int) -> None:
        self.order = np.argsort(labels, kind="stable")
        self.labels = labels[self.order]
        self.rows = np.full((len(labels), top), -1, dtype=np.int64)
        self.scores = np.full((len(labels), top), -np.inf, dtype=np.float32)

    def pairs(self, labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(probe, column) of every mate among gallery rows with these labels [m], sorted by probe, then column."""
        low = np.searchsorted(self.labels, labels, side="left")
        counts = np.searchsorted(self.labels, labels, side="right") - low
        columns = np.repeat(np.arange(len(labels)), counts)
        starts = np.cumsum(counts) - counts
        probes = self.order[np.arange(len(columns)) + np.repeat(low - starts, counts)]
        sort = np.lexsort((columns, probes))
        return probes[sort], columns[sort]

    def add(self, queries: Tensor, block: Tensor, labels: NDArray[np.int64], first_row: int) -> None:
        """Take in gallery rows [m, d] with their labels [m]."""
        probes, columns = self.pairs(labels)
        if not len(probes):
            return
        indices = [torch.from_numpy(values).to(block.device) for values in (probes, columns)]
        scores = exact_cosines(queries, indices[0], block, indices[1]).cpu().numpy()
        sort = np.lexsort((columns, -scores, probes))
        touched, starts = np.unique(probes, return_index=True)
        place = np.arange(len(probes)) - np.repeat(starts, np.diff(starts, append=len(probes)))
        top = self.rows.shape[1]
        kept = place < top  # place counts within a probe, and the sort keeps probes together
        new_rows = np.full((len(touched), top), -1, dtype=np.int64)
        new_scores = np.full((len(touched), top), -np.inf, dtype=np.float32)
        group = np.repeat(np.arange(len(touched)), np.diff(starts, append=len(probes)))
        new_rows[group[kept], place[kept]] = columns[sort][kept] + first_row
        new_scores[group[kept], place[kept]] = scores[sort][kept]
        every_row = np.concatenate([self.rows[touched], new_rows], axis=1)
        every_score = np.concatenate([self.scores[touched], new_scores], axis=1)
        best = np.argsort(-every_score, axis=1, kind="stable")[:, :top]
        self.rows[touched] = np.take_along_axis(every_row, best, axis=1)
        self.scores[touched] = np.take_along_axis(every_score, best, axis=1)
