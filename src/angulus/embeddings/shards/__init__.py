"""A set of embeddings as a folder: a file for each part of the images, and a manifest of what the whole consists of."""

from angulus.embeddings.shards.manifest import MANIFEST, InputShard, Manifest
from angulus.embeddings.shards.merging import merge_shards
from angulus.embeddings.shards.reading import is_sharded, missing_shards, read_folder

__all__ = ["MANIFEST", "InputShard", "Manifest", "is_sharded", "merge_shards", "missing_shards", "read_folder"]
