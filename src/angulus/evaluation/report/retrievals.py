"""What a page shows of a retrieval: which image comes up first, among those that its rule counts."""

from collections.abc import Sequence
from dataclasses import dataclass

from angulus.evaluation.rates.identification import RankPoint
from angulus.evaluation.rates.retrieval import RetrievalResult
from angulus.evaluation.scores.search_tasks import MARKET_1501, MSMT17

_RANKS = (*range(1, 11), 12, 15, 20, 25, 30, 40, 50)
_RULE_TEXT = {
    MSMT17.name: "what the query's own camera took of its person counts neither for nor against it",
    MARKET_1501.name: "what the query's own camera took of its person, and what is nobody (-1), counts neither for"
    " nor against it",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Retrieval:
    """A retrieval and what it is called."""

    name: str
    result: RetrievalResult

    @property
    def rule(self) -> str:
        """The rule in words, empty for the plain one."""
        return _RULE_TEXT.get(self.result.rule.name, "")

    @property
    def curve(self) -> Sequence[RankPoint]:
        """The CMC at many ranks."""
        found = self.result
        ranks = [rank for rank in _RANKS if rank <= found.gallery]
        return [RankPoint(rank=rank, hits=found.hits(rank), known=found.queries, tied=0) for rank in ranks]
