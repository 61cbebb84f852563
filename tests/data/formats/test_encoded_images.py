"""Images held as encoded bytes."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from angulus.data import EncodedSource, account_of, read_images
from angulus.errors import DataError


def encoded(value, size=(4, 6)):
    buffer = BytesIO()
    Image.fromarray(np.full((*size, 3), value, dtype=np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


def test_images_are_decoded_when_read():
    source = EncodedSource.of([encoded(1), encoded(2)])
    assert (len(source), source.keys, source.identities) == (2, ("0000000", "0000001"), ("0000000", "0000001"))
    assert source.read(1).shape == (4, 6, 3)
    assert read_images(source, np.array([1, 0]))[:, 0, 0, 0].tolist() == [2, 1]
    assert account_of(source).images == 2


def test_sizes_labels_and_names():
    source = EncodedSource.of([encoded(1), encoded(2, (8, 8))], keys=["a", "b"], labels=[1, 0], size=(2, 3))
    assert (source.read(1).shape, source.identities, source.labels.tolist()) == ((2, 3, 3), ("0", "1"), [1, 0])
    assert source.stamp(0, times=True) != source.stamp(1, times=True)


def test_faults():
    with pytest.raises(DataError, match="cannot read image bad: its content is not an image"):
        EncodedSource.of([b"no image"], keys=["bad"]).read(0)
    with pytest.raises(DataError, match="cannot read image 0000000"):
        EncodedSource.of([encoded(1)[:40]]).read(0)
    with pytest.raises(DataError, match="keys must have one entry for each of the 1 images, got 2"):
        EncodedSource.of([encoded(1)], keys=["a", "b"])
    with pytest.raises(DataError, match="labels must have one entry for each of the 1 images, got 2"):
        EncodedSource.of([encoded(1)], labels=[0, 1])
    with pytest.raises(DataError, match="positions in the 1 identities, got 3"):
        EncodedSource.of([encoded(1)], labels=[3], identities=["a"])
