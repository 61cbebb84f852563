"""Faces on which int8 measures its ranges: none of the people or the images that the artefact is judged on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from angulus.data.examples import Source
from angulus.data.loading.workers import read_batch
from angulus.data.views.split import folded_name
from angulus.errors import BundleError
from angulus.runtime.preparation import Crops

MOST_FACES = 300
_SHOWN = 3
_NOBODY = ["unknown"]


@dataclass(frozen=True, kw_only=True, eq=False)
class QuantizationFaces:
    """crops: uint8 [n, h, w, 3].  people: their names.  images: by the digest of their pixels what they are called."""

    crops: Crops
    people: Sequence[str]
    images: dict[str, str] = field(repr=False)

    @classmethod
    def drawn(cls, source: Source) -> "QuantizationFaces":
        """At most MOST_FACES images of a source, the same every time. Raises DataError for an unreadable one."""
        order = np.random.default_rng(0).permutation(len(source))[:MOST_FACES]
        rows = np.sort(order).astype(np.int64)
        crops = np.ascontiguousarray(read_batch(source, rows).permute(0, 2, 3, 1).numpy())
        images = {digest_of(crop): source.keys[int(row)] for crop, row in zip(crops, rows, strict=True)}
        people = [source.identities[label] for label in np.unique(source.labels[rows])]
        return cls(crops=crops, people=[] if people == _NOBODY else people, images=images)

    def check_people(self, judged: Source) -> None:
        """Raise BundleError where somebody is among the images that the artefact is judged on as well."""
        others = {folded_name(name) for name in judged.identities}
        both = [name for name in self.people if folded_name(name) in others]
        if both:
            more = ", ..." if len(both) > _SHOWN else ""
            raise BundleError(
                f"nobody may be both among the faces that int8 is made on and the images that it is judged on, got"
                f" {len(both)} such people ({', '.join(both[:_SHOWN])}{more}); take others for --quantize-on"
            )

    def check_images(self, crops: Crops, keys: Sequence[str]) -> None:
        """Raise BundleError where one of these images, under whatever name, is among the faces."""
        for crop, key in zip(crops, keys, strict=True):
            own = self.images.get(digest_of(crop))
            if own is not None:
                raise BundleError(
                    "no image may be both among the faces that int8 is made on and the images that it is judged on,"
                    f" and {own} of the former is {key} of the latter; take others for --quantize-on"
                )


def digest_of(crop: Crops) -> str:
    """SHA-256 of the pixels of an image."""
    return hashlib.sha256(np.ascontiguousarray(crop).tobytes()).hexdigest()
