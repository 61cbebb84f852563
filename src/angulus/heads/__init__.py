"""Heads: class weights and the softmax over them, one call for every margin and every strategy."""

from angulus.heads.auto import Auto
from angulus.heads.centers import Center, first_centers
from angulus.heads.class_means import start_from
from angulus.heads.expectation import expected_initial_loss
from angulus.heads.head import HeadOutput, MarginHead
from angulus.heads.kernels.fused import Fused
from angulus.heads.kernels.panels import Panels
from angulus.heads.memory_forecast import HeadMemory, HeadSize, head_memory, size_of
from angulus.heads.pairs import Triplet
from angulus.heads.sampled import Sampled
from angulus.heads.separate_heads import Portion, SeparateHeads, each_head
from angulus.heads.sharding.sharded import ShardedHead
from angulus.heads.softmax import margin_softmax
from angulus.heads.strategies.dense import Dense
from angulus.heads.strategies.problem import Strategy
from angulus.heads.strategies.streamed import Streamed
from angulus.heads.strategies.updates import RowAdaGrad, RowAdamW, RowSGD

STRATEGIES: dict[str, type] = {
    "dense": Dense,
    "streamed": Streamed,
    "sampled": Sampled,
    "fused": Fused,
    "panels": Panels,
    "auto": Auto,
}

__all__ = [
    "STRATEGIES",
    "Auto",
    "Center",
    "Dense",
    "Fused",
    "HeadMemory",
    "HeadOutput",
    "HeadSize",
    "MarginHead",
    "Panels",
    "Portion",
    "RowAdaGrad",
    "RowAdamW",
    "RowSGD",
    "Sampled",
    "SeparateHeads",
    "ShardedHead",
    "Strategy",
    "Streamed",
    "Triplet",
    "each_head",
    "expected_initial_loss",
    "first_centers",
    "head_memory",
    "margin_softmax",
    "size_of",
    "start_from",
]
