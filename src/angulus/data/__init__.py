"""Examples for training and testing: where images come from, which of them to use, in which order, and how changed."""

from angulus.data.augment import Augment
from angulus.data.cache import InMemory, bytes_needed, fingerprint
from angulus.data.conversion import Conversion, convert
from angulus.data.decoding import decode_image, decoder
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
from angulus.data.loader import Batch, batches, sequential
from angulus.data.montage import montage
from angulus.data.omniglot import OmniglotSource
from angulus.data.sampling import EpochSampler
from angulus.data.split import Subset, drop_shared, select, split_identities, subset
from angulus.data.stored import Records, StoredSource, without_unreadable
from angulus.data.synthetic import SyntheticFaces

__all__ = [
    "FORMATS",
    "Account",
    "Augment",
    "Batch",
    "Conversion",
    "Drop",
    "EncodedSource",
    "EpochSampler",
    "Fit",
    "FolderSource",
    "Format",
    "InMemory",
    "OmniglotSource",
    "Records",
    "Size",
    "Source",
    "StoredSource",
    "Subset",
    "SyntheticFaces",
    "account_of",
    "batches",
    "bytes_needed",
    "bytes_of",
    "convert",
    "decode_image",
    "decoder",
    "drop_shared",
    "fingerprint",
    "fit_image",
    "format_of",
    "montage",
    "open_source",
    "read_images",
    "select",
    "sequential",
    "split_identities",
    "subset",
    "without_unreadable",
]
