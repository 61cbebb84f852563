"""Heads: class weights and the softmax over them, one call for every margin and every strategy."""

from angulus.heads.auto import Auto
from angulus.heads.dense import Dense
from angulus.heads.expectation import expected_initial_loss
from angulus.heads.fused import Fused
from angulus.heads.head import HeadOutput, MarginHead
from angulus.heads.memory import HeadMemory, HeadSize, head_memory, size_of
from angulus.heads.problem import Strategy
from angulus.heads.sampled import Sampled
from angulus.heads.separate import Portion, SeparateHeads, each_head
from angulus.heads.sharded import ShardedHead
from angulus.heads.softmax import margin_softmax
from angulus.heads.starting import start_from
from angulus.heads.streamed import Streamed
from angulus.heads.updates import RowAdaGrad, RowAdamW, RowSGD

STRATEGIES: dict[str, type] = {
    "dense": Dense,
    "streamed": Streamed,
    "sampled": Sampled,
    "fused": Fused,
    "auto": Auto,
}

__all__ = [
    "STRATEGIES",
    "Auto",
    "Dense",
    "Fused",
    "HeadMemory",
    "HeadOutput",
    "HeadSize",
    "MarginHead",
    "Portion",
    "RowAdaGrad",
    "RowAdamW",
    "RowSGD",
    "Sampled",
    "SeparateHeads",
    "ShardedHead",
    "Strategy",
    "Streamed",
    "each_head",
    "expected_initial_loss",
    "head_memory",
    "margin_softmax",
    "size_of",
    "start_from",
]
