"""Examples for training and testing: where images come from, which of them to use, in which order, and how changed."""

from angulus.data.examples import (
    Account,
    Drop,
    Fit,
    Size,
    Source,
    account_of,
    bytes_of,
    fit_image,
    read_images,
)
from angulus.data.formats.catalogue import FORMATS, Format, format_of, open_source
from angulus.data.formats.conversion import Conversion, convert
from angulus.data.formats.encoded_images import EncodedSource
from angulus.data.formats.folder.reader import FolderSource
from angulus.data.formats.omniglot import OmniglotSource
from angulus.data.formats.record_source import Records, StoredSource, without_unreadable
from angulus.data.index.groups import Groups, counts_of
from angulus.data.index.permutation import Permutation
from angulus.data.loading.augmentation import Augment
from angulus.data.loading.batch_loader import Batch, batches, sequential
from angulus.data.loading.decoding import decode_image, decoder
from angulus.data.order.blocks import BlockSampler
from angulus.data.order.identity_sampling import PKSampler, WeightedSampler
from angulus.data.order.mixture import MixedSampler
from angulus.data.order.recipe_records import PK, SAMPLINGS, Balanced, Blocks, Sampling, Uniform, Weighted
from angulus.data.order.sampling import BalancedSampler, EpochSampler, Sampler
from angulus.data.picture_grid import montage
from angulus.data.synthetic import DrawnPassers, SyntheticFaces
from angulus.data.views.cache import InMemory, bytes_needed, fingerprint
from angulus.data.views.edited import apply_edits
from angulus.data.views.edits import ACTIONS, Action, Edit, Edits, read_edits, write_edits
from angulus.data.views.identity_matching import join, keep_apart, read_people
from angulus.data.views.noise import STATES, Noise, NoisySource, State, Truth, add_noise, truth_of
from angulus.data.views.split import Subset, drop_shared, join_parts, select, split_identities, subset
from angulus.data.views.union import UnionSource

__all__ = [
    "ACTIONS",
    "FORMATS",
    "PK",
    "SAMPLINGS",
    "STATES",
    "Account",
    "Action",
    "Augment",
    "Balanced",
    "BalancedSampler",
    "Batch",
    "BlockSampler",
    "Blocks",
    "Conversion",
    "DrawnPassers",
    "Drop",
    "Edit",
    "Edits",
    "EncodedSource",
    "EpochSampler",
    "Fit",
    "FolderSource",
    "Format",
    "Groups",
    "InMemory",
    "MixedSampler",
    "Noise",
    "NoisySource",
    "OmniglotSource",
    "PKSampler",
    "Permutation",
    "Records",
    "Sampler",
    "Sampling",
    "Size",
    "Source",
    "State",
    "StoredSource",
    "Subset",
    "SyntheticFaces",
    "Truth",
    "Uniform",
    "UnionSource",
    "Weighted",
    "WeightedSampler",
    "account_of",
    "add_noise",
    "apply_edits",
    "batches",
    "bytes_needed",
    "bytes_of",
    "convert",
    "counts_of",
    "decode_image",
    "decoder",
    "drop_shared",
    "fingerprint",
    "fit_image",
    "format_of",
    "join",
    "join_parts",
    "keep_apart",
    "montage",
    "open_source",
    "read_edits",
    "read_images",
    "read_people",
    "select",
    "sequential",
    "split_identities",
    "subset",
    "truth_of",
    "without_unreadable",
    "write_edits",
]
