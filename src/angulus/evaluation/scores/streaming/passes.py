"""All pairs of a labelled set without holding them: exact counts, and exact scores where a figure needs them.

Scores are computed in blocks. Each is counted in one of BINS equal steps of the cosine, so that the number of impostors
above any step is exact; the scores themselves are kept in *windows* of steps: those in which a wanted threshold lies,
and everything above the strictest of them. Where the windows are is guessed from a sample of the images; the counts
then say whether each wanted rank fell into a window (the certificate), and a second pass looks where it did not.

Memory is that of the vectors (none where they are mapped), one block, the counts, the genuine scores and the windows.
Cosines are float32 sums whose last digit depends on the order of the addition, so scores closer than about 1e-7 have no
order in any implementation.
"""

from collections.abc import Generator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from angulus.evaluation.scores.streaming.device_pairs import device_pairs
from angulus.evaluation.scores.streaming.host_pairs import host_pairs
from angulus.evaluation.scores.streaming.kept import PairScores
from angulus.evaluation.scores.streaming.row_files import OrderedRows
from angulus.evaluation.scores.streaming.shares import Share, check_share
from angulus.evaluation.scores.streaming.steps import Windows


def stream_pairs(
    vectors: NDArray[np.float32] | OrderedRows,
    labels: NDArray[np.int64],
    windows: Windows,
    *,
    device: str | torch.device = "cpu",
    share: Share = (0, 1),
    screen: bool = False,
    with_rows: bool = True,
) -> PairScores:
    """One pass over all pairs. vectors: unit vectors float32 [n, d], or mapped (`row_files`), with labels int64 [n].

    share: (part, parts) takes the blocks of rows that fall to one part (`shares`), for several processes or jobs, all
    on one kind of device; `join` puts the parts together.
    screen: bfloat16 products find the pairs that may lie in the tail, float32 products decide. Impostors below the tail
    are then all counted in the lowest step.  with_rows: False leaves the rows of genuine and tail scores empty, which
    halves the memory where many are kept.
    """
    check_share(share)
    place = torch.device(device)
    if isinstance(vectors, OrderedRows):
        order, rows = vectors.order, torch.from_numpy(vectors.rows).to(place)
    else:
        order = np.argsort(labels, kind="stable")
        in_order = bool((np.diff(labels) >= 0).all()) and vectors.flags.writeable  # then no copy is needed
        rows = torch.from_numpy(vectors if in_order else vectors[order]).to(place)
    options = {"share": share, "screen": screen, "with_rows": with_rows}
    with full_float32(), torch.inference_mode():
        if place.type == "cpu":
            return host_pairs(rows, labels[order], order, windows, **options)
        return device_pairs(rows, labels[order], order, windows, **options)


@contextmanager
def full_float32() -> Generator[None, None, None]:
    """float32 products are made from all of their bits while the block runs, whatever torch was told before."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
