"""One set embedded by many workers, a shard at a time: any number of them may come, go and die."""

from angulus.shards.embedding import ShardsDone, embed_shards
from angulus.shards.launchers import Worker, worker_named

__all__ = ["ShardsDone", "Worker", "embed_shards", "worker_named"]
