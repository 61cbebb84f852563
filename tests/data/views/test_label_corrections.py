import numpy as np
import pytest
from small_sets import array_source

from angulus.data import fingerprint, select, subset
from angulus.data.views.label_corrections import Relabelled
from angulus.errors import DataError


def test_images_under_other_labels():
    source = select(array_source([2, 3]), np.array([1, 2, 4]))
    other = Relabelled(source=source, labels=np.array([1, 1, 3]), identities=["a", "b", "c", "d"])
    view = subset(other)
    assert (view.labels.tolist(), view.identities) == ([0, 0, 1], ["b", "d"])
    assert view.keys == source.keys
    assert np.array_equal(view.read(2), source.read(2))
    assert view.account.images == 3
    assert fingerprint(other) != fingerprint(source)
    with pytest.raises(DataError, match="there must be 3 labels, one for each image, got 2"):
        Relabelled(source=source, labels=np.array([0, 0]), identities=["a"])
