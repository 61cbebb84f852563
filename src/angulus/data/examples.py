"""What an example is: one image or one recording, the identity it shows, and a key that names it.

Everything that holds examples (a folder, an archive, a generator, a view on one of them) is a `Source`: label i of
`labels` is the position of the name in `identities`, `keys[i]` names the example for people, `read(i)` gives its
pixels, its samples, or the frames of its features.
An `Account` says in words and in numbers what a source kept and what it dropped, and why.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from angulus.errors import DataError
from angulus.plain_numbers import counted

Size = tuple[int, int]
"""Height and width in pixels, always in this order."""

Fit = Literal["proportional", "resize", "crop", "error"]

MAX_EXAMPLES_SHOWN = 5


class Source(Protocol):
    """Labelled images or recordings, read one at a time; reading never changes the source."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """[n], positions in `identities`."""
        ...

    @property
    def identities(self) -> Sequence[str]:
        """Names; the label of an identity is its position."""
        ...

    @property
    def keys(self) -> Sequence[str]:
        """[n] names of the images, unique within the source."""
        ...

    def __len__(self) -> int: ...

    def read(self, index: int) -> NDArray[Any]:
        """An image: pixels uint8 [height, width, 3], RGB. A recording: samples int16 [t], or features [frames, bands].

        Raises DataError naming the example when it is unreadable.
        """
        ...


@runtime_checkable
class ReadsMany(Protocol):
    """A source that gives many images at once faster than one by one."""

    def read_many(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]: ...


@runtime_checkable
class FindsLabels(Protocol):
    """A source that gives the labels of some images without making an array of all."""

    def labels_of(self, indices: NDArray[np.int64]) -> NDArray[np.int64]: ...


@runtime_checkable
class ReadsAhead(Protocol):
    """A source that can have the images at the positions begin..end-1 fetched while others are worked on."""

    def will_need(self, begin: int, end: int) -> None: ...


@runtime_checkable
class ReadsInto(Protocol):
    """A source that can decode an image straight to where it is wanted."""

    def read_into(self, index: int, out: NDArray[np.uint8] | None) -> NDArray[Any]: ...


@runtime_checkable
class HasStamp(Protocol):
    """A source that can say cheaply whether the content of an image has changed."""

    def stamp(self, index: int, *, times: bool) -> str | None: ...


@runtime_checkable
class HasStamps(Protocol):
    """A source that can say the same of many images at once, in binary form; None where it can't."""

    def stamps(self, indices: NDArray[np.int64], *, times: bool) -> bytes | None: ...


@runtime_checkable
class HasBytes(Protocol):
    """A source that holds encoded images (JPEG, PNG), and gives them as they are; None where it holds no bytes."""

    def read_bytes(self, index: int) -> bytes | None: ...


@dataclass(frozen=True, kw_only=True)
class Drop:
    """What was left out for one reason, with the first few names."""

    reason: str
    images: int = 0
    identities: int = 0
    others: int = 0  # files and folders that never counted as images
    examples: tuple[str, ...] = ()

    @staticmethod
    def of(reason: str, names: Sequence[str], *, images: int = 0, identities: int = 0, others: int = 0) -> "Drop":
        """A drop that shows the first of `names`."""
        shown = tuple(names[:MAX_EXAMPLES_SHOWN])
        return Drop(reason=reason, images=images, identities=identities, others=others, examples=shown)

    def line(self, noun: str = "image") -> str:
        """For example: dropped 3 images of 1 identity: excluded by name (Ada_Lovelace)."""
        parts = [(self.images, noun), (self.identities, "identity"), (self.others, "entry")]
        counted_parts = " of ".join(counted(number, what) for number, what in parts if number) or "nothing"
        verb = "ignored" if self.others else "dropped"
        shown = ", ".join(self.examples)
        total = max(self.images, self.identities, self.others)
        more = ", ..." if self.examples and total > len(self.examples) else ""
        return f"{verb} {counted_parts}: {self.reason}" + (f" ({shown}{more})" if shown else "")


@dataclass(frozen=True, kw_only=True)
class Account:
    """What a source holds after every selection, and what each selection dropped, in order."""

    origin: str
    images: int
    identities: int
    drops: tuple[Drop, ...] = ()
    noun: str = "image"
    """What an example is called."""

    def after(self, *drops: Drop, images: int, identities: int) -> "Account":
        """The account once `drops` have been made, leaving `images` of `identities`; empty drops are left out."""
        real = tuple(drop for drop in drops if drop.images or drop.identities or drop.others)
        return replace(self, images=images, identities=identities, drops=self.drops + real)

    def lines(self) -> list[str]:
        """A log of a few lines: what is kept, then one line per reason."""
        kept = f"{self.origin}: {counted(self.images, self.noun)} of {counted(self.identities, 'identity')}"
        return [kept, *(f"  {drop.line(self.noun)}" for drop in self.drops)]

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values for JSON."""
        return {
            "origin": self.origin,
            "images": self.images,
            "identities": self.identities,
            "drops": [{**asdict(drop), "examples": list(drop.examples)} for drop in self.drops],
        }


def noun_of(source: Source) -> str:
    """What an example of a source is called: image or recording."""
    return account_of(source).noun


def account_of(source: Source) -> Account:
    """The account that the source carries, or a plain count where it carries none."""
    carried = getattr(source, "account", None)
    if isinstance(carried, Account):
        return carried
    return Account(origin=type(source).__name__, images=len(source), identities=len(source.identities))


def labels_of(source: Source, indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Labels [n] of the images at `indices` [n], a copy."""
    if isinstance(source, FindsLabels):
        return source.labels_of(indices)
    return np.asarray(source.labels[indices], dtype=np.int64)


def will_need(source: Source, begin: int, end: int) -> None:
    """Say that the images at begin..end-1 will be read soon; sources that can't make use of it pass over it."""
    if isinstance(source, ReadsAhead):
        source.will_need(begin, end)


def stamp_of(source: Source, index: int, *, times: bool) -> str | None:
    """A short text that changes when the image does, or None where the source can't say so cheaply."""
    return source.stamp(index, times=times) if isinstance(source, HasStamp) else None


def stamps_of(source: Source, indices: NDArray[np.int64], *, times: bool) -> bytes | None:
    """Bytes that change when one of the images does, or None where the source gives them one by one only."""
    return source.stamps(indices, times=times) if isinstance(source, HasStamps) else None


def bytes_of(source: Source, index: int) -> bytes | None:
    """The encoded bytes of an image exactly as they are stored, or None where the source holds no encoded image."""
    return source.read_bytes(index) if isinstance(source, HasBytes) else None


def columns_of(source: Source) -> dict[str, NDArray[Any]]:
    """What the source knows of its examples besides who they show, by name [n] values each; nothing for most."""
    said = getattr(source, "columns", None)
    return dict(said) if isinstance(said, Mapping) else {}


def reader_into(source: Source) -> Callable[[int, NDArray[np.uint8]], NDArray[np.uint8]]:
    """Reads one image of the source: to `out` [height, width, 3] if it can be decoded there, else as another array."""
    return source.read_into if isinstance(source, ReadsInto) else lambda index, out: source.read(index)


def fit_image(image: NDArray[np.uint8], size: Size, fit: Fit, *, name: str = "image") -> NDArray[np.uint8]:
    """The image [h, w, 3] at `size` (height, width); an image that has this size already is returned as it is.

    proportional: antialiased bilinear scaling, refused where it would distort. resize: the same, the sides scaled
    independently. crop: the centre, so that 112x112 to 112x96 keeps columns 8 to 103. error: nothing but `size` is
    accepted. Raises DataError naming the image.
    """
    height, width = image.shape[:2]
    if (height, width) == tuple(size):
        return image
    # a size that rounding alone explains counts as proportional
    undistorted = abs(height * size[1] - width * size[0]) <= max(size)
    if fit == "resize" or (fit == "proportional" and undistorted):
        resized = Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR)
        return np.asarray(resized)
    if fit == "crop" and height >= size[0] and width >= size[1]:
        top, left = (height - size[0]) // 2, (width - size[1]) // 2
        return np.ascontiguousarray(image[top : top + size[0], left : left + size[1]])
    remedy = {
        "crop": "it is too small to crop; set data.fit=resize",
        "proportional": "another shape, which scaling would distort; set data.fit=crop (keeps the centre), "
        "data.fit=resize (stretches), or model.input to the size of the images; commands have --fit for it",
    }.get(fit, "set data.fit=proportional, or model.input to the size of the images")
    raise DataError(f"{name} is {height}x{width} (height x width), the model takes {size[0]}x{size[1]}: {remedy}")


def fit_that_suits(shape: Size, size: Size) -> Fit | None:
    """How crops of one shape best come to the size of a network; None where either way would lose or distort much.

    crop: one side is equal and the other longer, as in 112x112 to 112x96.  proportional: the shape is the same.
    """
    (height, width), (rows, columns) = shape, size
    if (height == rows and width > columns) or (width == columns and height > rows):
        return "crop"
    if (height, width) == tuple(size) or abs(height / width - rows / columns) < 0.02:
        return "proportional"
    return None


def read_images(source: Source, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The images at `indices` [n] as one array uint8 [n, 3, height, width], contiguous and free to be changed.

    Raises DataError naming two images when their sizes differ.
    """
    if isinstance(source, ReadsMany):
        return source.read_many(indices)
    if not len(indices):
        raise DataError("a batch needs at least 1 image, got 0")
    first = source.read(int(indices[0]))
    images = np.empty((len(indices), 3, *first.shape[:2]), dtype=np.uint8)
    for row, index in enumerate(indices):
        image = first if row == 0 else source.read(int(index))
        if image.shape != first.shape:
            raise different_sizes(source, int(indices[0]), first.shape, int(index), image.shape)
        images[row] = image.transpose(2, 0, 1)
    return images


def different_sizes(
    source: Source, first: int, first_shape: tuple[int, ...], other: int, other_shape: tuple[int, ...]
) -> DataError:
    """The error for two images that can't stand in one batch."""
    return DataError(
        f"images in one batch must have one size: {source.keys[first]} is {first_shape[0]}x{first_shape[1]} and "
        f"{source.keys[other]} is {other_shape[0]}x{other_shape[1]} (height x width); open them at "
        "one size, for example with size=(112, 112)"
    )


def check_size(size: Size | None) -> None:
    """Raises DataError unless `size` is None or two positive numbers."""
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise DataError(f"size must be (height, width) of at least 1 pixel each, got {tuple(size)}")
