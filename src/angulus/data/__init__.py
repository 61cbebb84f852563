"""Examples for training and testing: where images come from, which of them to use, in which order, and how changed."""

from angulus.data.augment import Augment
from angulus.data.cache import InMemory, bytes_needed, fingerprint
from angulus.data.conversion import Conversion, convert
from angulus.data.edits import ACTIONS, Action, Edit, Edits, apply_edits, read_edits, write_edits
from angulus.data.encoded import EncodedSource
from angulus.data.examples import (
    Account,
    Drop,
    Fit,
    Size,
    Source,
    account_of,
    bytes_of,
    decode_image,
    fit_image,
    read_images,
)
from angulus.data.folder import FolderSource
from angulus.data.formats import FORMATS, Format, format_of, open_source
from angulus.data.joining import join, keep_apart, read_people
from angulus.data.loader import Batch, batches, sequential
from angulus.data.mixing import MixedSampler
from angulus.data.montage import montage
from angulus.data.omniglot import OmniglotSource
from angulus.data.sampling import EpochSampler
from angulus.data.split import Subset, drop_shared, select, split_identities, subset
from angulus.data.stored import Records, StoredSource, without_unreadable
from angulus.data.synthetic import SyntheticFaces
from angulus.data.union import UnionSource

__all__ = [
    "ACTIONS",
    "FORMATS",
    "Account",
    "Action",
    "Augment",
    "Batch",
    "Conversion",
    "Drop",
    "Edit",
    "Edits",
    "EncodedSource",
    "EpochSampler",
    "Fit",
    "FolderSource",
    "Format",
    "InMemory",
    "MixedSampler",
    "OmniglotSource",
    "Records",
    "Size",
    "Source",
    "StoredSource",
    "Subset",
    "SyntheticFaces",
    "UnionSource",
    "account_of",
    "apply_edits",
    "batches",
    "bytes_needed",
    "bytes_of",
    "convert",
    "decode_image",
    "drop_shared",
    "fingerprint",
    "fit_image",
    "format_of",
    "join",
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
    "without_unreadable",
    "write_edits",
]
