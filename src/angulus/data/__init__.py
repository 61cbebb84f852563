"""Examples for training and testing: where images come from, which of them to use, in which order, and how changed."""

from angulus.data.augment import Augment
from angulus.data.cache import InMemory, bytes_needed, fingerprint
from angulus.data.conversion import Conversion, convert
from angulus.data.decoding import decode_image, decoder
from angulus.data.drawing import PKSampler, WeightedSampler
from angulus.data.editing import apply_edits
from angulus.data.edits import ACTIONS, Action, Edit, Edits, read_edits, write_edits
from angulus.data.encoded import EncodedSource
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
from angulus.data.folder import FolderSource
from angulus.data.formats import FORMATS, Format, format_of, open_source
from angulus.data.groups import Groups, counts_of
from angulus.data.joining import join, keep_apart, read_people
from angulus.data.loader import Batch, batches, sequential
from angulus.data.mixing import MixedSampler
from angulus.data.montage import montage
from angulus.data.noise import STATES, Noise, NoisySource, State, Truth, add_noise, truth_of
from angulus.data.omniglot import OmniglotSource
from angulus.data.orders import PK, SAMPLINGS, Balanced, Blocks, Sampling, Uniform, Weighted
from angulus.data.permutation import Permutation
from angulus.data.sampling import BalancedSampler, EpochSampler, Sampler
from angulus.data.split import Subset, drop_shared, join_parts, select, split_identities, subset
from angulus.data.stored import Records, StoredSource, without_unreadable
from angulus.data.synthetic import SyntheticFaces
from angulus.data.union import UnionSource
from angulus.data.windows import BlockSampler

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
