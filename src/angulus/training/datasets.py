"""Which images a run learns from and is judged by: one small record for each kind of data, and rules about identities.

A kind is chosen by name in a recipe, `data: {name: rec, path: train.rec}`; `DATA` lists them all.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from angulus.data.formats.catalogue import Format
from angulus.data.views.noise import Noise
from angulus.data.views.shares import Shares


@dataclass(frozen=True, kw_only=True)
class Identities:
    """Which identities of a data set are used for what; the same for every kind of data.

    edits: lists of changes (csv: drop, relabel, split, merge), made before anything else; see docs/edits.md.
    min_images: identities with fewer images are dropped. None is 2; for a set in a union, whose own rule counts the
        images of all its sets, it is 1.
    max_images: at most so many images of each identity, a seeded choice.
    exclude: names of identities to leave out.
    exclude_from: a folder of identities, or a text file with a name a line, whose names are left out as well.
    parts: shares of the identities by name. Who is in which part is decided by the names and split_seed.
    shares: by_name places each identity on its own, so that more identities never move others to another part, but a
        share comes out only roughly; exact rounds every share to whole identities, at least two in each part, and a
        few of those who stay may move where others come or go. auto is exact below 1,000 identities, and by_name where
        noise is added to a set.
    train_on: the parts that are trained on.
    evaluate_on: the part whose identities are never seen in training and are verified during and after it.
    """

    edits: tuple[Path, ...] = ()
    min_images: int | None = None
    max_images: int | None = None
    exclude: tuple[str, ...] = ()
    exclude_from: Path | None = None
    parts: dict[str, float] = field(default_factory=lambda: {"train": 0.8, "test": 0.2})
    train_on: tuple[str, ...] = ("train",)
    evaluate_on: str = "test"
    split_seed: int = 0
    shares: Shares = "auto"

    def __post_init__(self) -> None:
        if self.min_images is not None and self.min_images < 1:
            raise ValueError(f"min_images must be at least 1, got {self.min_images}")
        if self.max_images is not None and self.max_images < 1:
            raise ValueError(f"max_images must be at least 1, got {self.max_images}")
        if not self.parts or min(self.parts.values()) < 0 or sum(self.parts.values()) > 1 + 1e-9:
            raise ValueError(f"parts must be shares of at least 0 with a sum of at most 1, got {self.parts}")
        for name in (*self.train_on, self.evaluate_on):
            if name not in self.parts:
                raise ValueError(f"there is no part {name!r}; parts has {', '.join(self.parts)}")
        if self.evaluate_on in self.train_on:
            raise ValueError(f"evaluate_on {self.evaluate_on!r} is trained on as well: the test would mean nothing")


@dataclass(frozen=True, kw_only=True)
class FolderData:
    """Images or recordings in a folder with one sub-folder for each identity.

    fit: how an image of another size is brought to the size of the model's input: scaled, unless that would
        distort it ("proportional"), scaled in any case, its centre cropped, or not at all ("error"). None is
        proportional, and with `init` also crop, where one side is equal and the other longer than the network takes.
    on_unreadable: stop at a damaged image, or skip and list it.
    """

    path: Path
    fit: Literal["proportional", "resize", "crop", "error"] | None = None
    on_unreadable: Literal["error", "skip"] = "error"
    on_empty: Literal["error", "skip"] = "error"
    identities: Identities = field(default_factory=Identities)


@dataclass(frozen=True, kw_only=True)
class OmniglotData:
    """Handwritten characters from the archives of Omniglot; a character is an identity."""

    path: Path
    invert: bool = True
    identities: Identities = field(default_factory=Identities)


@dataclass(frozen=True, kw_only=True)
class SyntheticData:
    """Drawn faces, unlimited and deterministic. Accuracy on them says nothing about real people."""

    num_identities: int = 250
    images_per_identity: int = 10
    seed: int = 0
    first_identity: int = 0
    nuisance: float = 1.0
    identities: Identities = field(default_factory=Identities)


@dataclass(frozen=True, kw_only=True)
class DrawnReidData:
    """Drawn people in the street, each seen by all cameras in turn. Accuracy on them says nothing about real people.

    nuisance: how strongly pictures of one person and cameras differ, from 0 (not at all) to 2.
    """

    num_identities: int = 200
    images_per_identity: int = 12
    cameras: int = 4
    seed: int = 0
    first_identity: int = 0
    nuisance: float = 1.0
    identities: Identities = field(default_factory=Identities)


@dataclass(frozen=True, kw_only=True)
class StoredData:
    """Encoded images in files of one layout; fit and on_unreadable as for folders (skip decodes every image first)."""

    path: Path
    fit: Literal["proportional", "resize", "crop", "error"] | None = None
    on_unreadable: Literal["error", "skip"] = "error"
    identities: Identities = field(default_factory=Identities)


@dataclass(frozen=True, kw_only=True)
class RecData(StoredData):
    """insightface's train.rec, or the folder that holds it."""


@dataclass(frozen=True, kw_only=True)
class TarData(StoredData):
    """A tar archive in the layout of webdataset, or a folder of them."""


@dataclass(frozen=True, kw_only=True)
class ParquetData(StoredData):
    """A parquet file with image bytes, as Hugging Face stores them, or a folder of parts."""


@dataclass(frozen=True, kw_only=True)
class PackedData(StoredData):
    """Angulus's own layout, the folder NAME.packed that `angulus convert` writes."""


@dataclass(frozen=True, kw_only=True)
class ManifestData(StoredData):
    """A csv or parquet table with the columns path and identity."""


@dataclass(frozen=True, kw_only=True)
class Market1501Data(StoredData):
    """Market-1501's folder, of which bounding_box_train is taken, or one of its parts."""


@dataclass(frozen=True, kw_only=True)
class Msmt17Data(StoredData):
    """MSMT17's folder, of which list_train.txt is taken, or one of its lists."""


@dataclass(frozen=True, kw_only=True)
class KaldiData:
    """Recordings that Kaldi's lists name: a folder with wav.scp and utt2spk (or spk2utt)."""

    path: Path
    on_unreadable: Literal["error", "skip"] = "error"
    identities: Identities = field(default_factory=Identities)


@dataclass(frozen=True, kw_only=True)
class FeaturesData:
    """Recordings as stored features: a file NAME.npz with features, lengths and speakers."""

    path: Path
    identities: Identities = field(default_factory=Identities)


@dataclass(frozen=True, kw_only=True)
class DrawnSpeechData:
    """Drawn speakers, unlimited and deterministic. Accuracy on them says nothing about real people.

    seconds: the shortest and the longest recording.
    """

    num_identities: int = 100
    recordings_per_identity: int = 10
    seconds: tuple[float, float] = (2.0, 4.0)
    seed: int = 0
    first_identity: int = 0
    identities: Identities = field(default_factory=Identities)


Member = (
    FolderData
    | OmniglotData
    | SyntheticData
    | DrawnReidData
    | RecData
    | TarData
    | ParquetData
    | PackedData
    | ManifestData
    | Market1501Data
    | Msmt17Data
    | KaldiData
    | FeaturesData
    | DrawnSpeechData
)
STORED: dict[type[StoredData], Format] = {
    RecData: "rec",
    TarData: "tar",
    ParquetData: "parquet",
    PackedData: "packed",
    ManifestData: "manifest",
    Market1501Data: "market1501",
    Msmt17Data: "msmt17",
}
MEMBERS: dict[str, type] = {
    "folder": FolderData,
    "omniglot": OmniglotData,
    "synthetic": SyntheticData,
    "drawn_reid": DrawnReidData,
    "kaldi": KaldiData,
    "features": FeaturesData,
    "drawn_speech": DrawnSpeechData,
    **{name: kind for kind, name in STORED.items()},
}


@dataclass(frozen=True, kw_only=True)
class NoisyData:
    """A set of images with known faults, to score cleaning with. Only identities that are trained on get noise.

    flips, outliers, duplicates: shares of the noisy training set (images under another identity's label, images of
        people who are not in the set, near copies of images of the set).
    relabelled: the share of the duplicates that get another identity's label.
    base: the set. Its own rules about identities come first, but for parts, train_on and evaluate_on.
    outside: where outliers come from: the parts that its train_on names.
    identities: rules about the noisy set. Its edits are made after the noise.
    """

    base: Member
    outside: Member | None = None
    flips: float = 0.0
    outliers: float = 0.0
    duplicates: float = 0.0
    relabelled: float = 0.0
    seed: int = 0
    identities: Identities = field(default_factory=Identities)

    def __post_init__(self) -> None:
        self.noise()
        if self.identities.shares == "exact":
            raise ValueError(
                "identities.shares must be by_name or auto in a noisy set, got exact: noise may take a whole identity "
                "away, and those who are held out must be known before it is made"
            )
        if (self.outliers > 0) != (self.outside is not None):
            raise ValueError(f"outside must name a set of images where outliers is above 0, got {self.outliers}")

    def noise(self) -> Noise:
        """The rates and the seed."""
        rates = {name: getattr(self, name) for name in ("flips", "outliers", "duplicates", "relabelled")}
        return Noise(**rates, seed=self.seed)


@dataclass(frozen=True, kw_only=True)
class UnionData:
    """Several data sets as one, with one head for all or one for each.

    sets: the data sets by name; their own identities rules come first, but for parts, train_on and evaluate_on.
    join: names joins people of equal names, a csv table (set, name, person) says who is who where they differ, and
        separate keeps the people of every set apart, with a head for each set.
    spelling: whether joined names must be equal to the letter, or folded: ignoring case and taking " ", "-", "_" as
        equal.
    numbers_are_names: join also by names that are numbers alone.
    weights: how many examples each set has in a batch, relative to the others; 1 for a set that is not named. Without
        weights the union is shuffled as one set, or, where the heads are separate, each set has its share of images.
    loss_weights: factors of the losses of separate heads; 1 for a set that is not named.
    identities: rules about the people of all sets together, once they are joined.
    """

    sets: dict[str, Member]
    join: str = "names"
    spelling: Literal["exact", "folded"] = "exact"
    numbers_are_names: bool = False
    weights: dict[str, float] = field(default_factory=dict)
    loss_weights: dict[str, float] = field(default_factory=dict)
    identities: Identities = field(default_factory=Identities)

    def __post_init__(self) -> None:
        check_sets(self.sets)
        if self.join not in ("names", "separate") and not self.join.endswith(".csv"):
            raise ValueError(f"join must be names, separate or a table such as people.csv, got {self.join!r}")
        if self.is_separate and self.identities.edits:
            raise ValueError(
                "identities.edits must belong to a set where heads are separate: set data.sets.NAME.identities.edits"
            )
        if self.loss_weights and self.join != "separate":
            raise ValueError(f"loss_weights must belong to separate heads (join=separate), got join={self.join}")
        for field_name, least in (("weights", "above 0"), ("loss_weights", "at least 0")):
            for name, value in getattr(self, field_name).items():
                if name not in self.sets:
                    raise ValueError(
                        f"{field_name} must name sets of the union, got {name!r} of {', '.join(self.sets)}"
                    )
                if not (value > 0 or (value == 0 and least == "at least 0")):
                    raise ValueError(f"{field_name} must be {least}, got {value} for {name}")

    @property
    def is_separate(self) -> bool:
        """Whether every set has a head of its own."""
        return self.join == "separate"


def check_sets(sets: dict[str, Member]) -> None:
    """Raise ValueError for a set that says what is the union's to say, or that is there twice, or has no good name."""
    if not sets:
        raise ValueError("sets must name at least one data set, got none")
    plain, seen = Identities(), list[Member]()
    for name, member in sets.items():
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise ValueError(f"sets must have names of letters, digits, - and _, got {name!r}")
        for rule in ("parts", "train_on", "evaluate_on", "shares"):
            if getattr(member.identities, rule) != getattr(plain, rule):
                raise ValueError(
                    f"sets must leave {rule} to the union, whose identities are split once they are joined: set "
                    f"data.identities.{rule} instead of that of {name}"
                )
        if member in seen:
            raise ValueError(f"sets must differ; {name} is the same as {list(sets)[seen.index(member)]}")
        seen.append(member)


Data = Member | UnionData | NoisyData
DATA: dict[str, type] = {**MEMBERS, "union": UnionData, "noisy": NoisyData}
