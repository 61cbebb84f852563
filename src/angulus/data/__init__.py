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
from angulus.data.loader import Batch, batches, sequential
from angulus.data.montage import montage
from angulus.data.noise import STATES, Noise, NoisySource, State, Truth, add_noise, truth_of
from angulus.data.omniglot import OmniglotSource
from angulus.data.sampling import EpochSampler
from angulus.data.split import Subset, drop_shared, select, split_identities, subset
from angulus.data.stored import Records, StoredSource, without_unreadable
from angulus.data.synthetic import SyntheticFaces

__all__ = [
    "ACTIONS",
    "FORMATS",
    "STATES",
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
    "Noise",
    "NoisySource",
    "OmniglotSource",
    "Records",
    "Size",
    "Source",
    "State",
    "StoredSource",
    "Subset",
    "SyntheticFaces",
    "Truth",
    "account_of",
    "add_noise",
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
    "montage",
    "open_source",
    "read_edits",
    "read_images",
    "select",
    "sequential",
    "split_identities",
    "subset",
    "truth_of",
    "without_unreadable",
    "write_edits",
]
