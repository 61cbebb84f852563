"""Let sizes choose how the classes are summed: all at once where that is small, in chunks where it is not."""

from dataclasses import dataclass

from angulus.heads.strategies.dense import Dense
from angulus.heads.strategies.problem import Problem, Sweep
from angulus.heads.strategies.streamed import Streamed

# Bytes of one matrix of examples times class weights below which `Dense` is as fast and takes little.
SMALL = 64 * 2**20


@dataclass(frozen=True)
class Auto:
    """`Dense` where one matrix of examples times class weights is below 64 MiB, else `Streamed`.

    Both are exact, so the choice changes time and memory alone; never `Sampled`, which is another loss. With an update
    inside the backward pass always `Streamed`. A recipe with this strategy is resolved once, before the head is built,
    with a look at the memory as well (`mode: recompute` where a stash does not fit); the run folder keeps the result.
    """

    def sweep(self, problem: Problem) -> Sweep:
        examples, (classes, subcenters, _) = len(problem.unit), problem.weight.shape
        return exact(classes * subcenters, examples, moved=problem.move is not None).sweep(problem)


def exact(rows: int, examples: int, *, moved: bool) -> Dense | Streamed:
    """The exact strategy for so many class weights and examples. moved: the weights move inside the backward pass."""
    return Streamed() if moved or 4 * rows * examples >= SMALL else Dense()
