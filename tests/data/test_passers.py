"""Drawn passers-by: the same in every order of reading, seen by their cameras, and unlike each other."""

import hashlib

import numpy as np
import pytest

from angulus.data import DrawnPassers, subset
from angulus.data.examples import columns_of
from angulus.errors import DataError

FEW = DrawnPassers(num_identities=4, images_per_identity=6, cameras=3, height=32, width=16)


def test_pictures_do_not_depend_on_what_is_drawn_beside_them():
    whole = FEW.draw(range(len(FEW)))
    assert (whole.shape, whole.dtype) == ((24, 32, 16, 3), np.uint8)
    for index in (0, 7, 23):
        assert (FEW.read(index) == whole[index]).all()
    later = DrawnPassers(num_identities=1, images_per_identity=6, cameras=3, height=32, width=16, first_identity=2)
    assert (later.read_many(np.arange(6)) == whole[12:18].transpose(0, 3, 1, 2)).all()
    assert later.identities == ["passer-000002"]


def test_pictures_are_those_of_every_machine():
    digest = hashlib.sha256(FEW.draw([0, 1, 8, 23]).tobytes()).hexdigest()
    assert digest[:16] == "93b6c9263ad74acb"


def test_keys_and_columns_name_the_camera():
    assert FEW.keys[:4] == [
        "passer-000000/c1/0000",
        "passer-000000/c2/0001",
        "passer-000000/c3/0002",
        "passer-000000/c1/0003",
    ]
    assert columns_of(FEW)["camera"].tolist() == [1, 2, 3] * 8
    assert columns_of(subset(FEW, identities=["passer-000001"]))["camera"].tolist() == [1, 2, 3] * 2


def test_without_nuisance_cameras_and_sightings_are_alike():
    calm = DrawnPassers(num_identities=2, images_per_identity=3, cameras=1, height=32, width=16, nuisance=0.0)
    first, second, other = (calm.read(index).astype(int) for index in (0, 1, 3))
    assert np.abs(first - second).max() <= 1
    assert np.abs(first - other).mean() > 5


@pytest.mark.parametrize("values", [{"cameras": 0}, {"num_identities": 2.5}, {"nuisance": 3.0}, {"height": 8}])
def test_values_out_of_range_are_refused(values):
    with pytest.raises(DataError, match=f"^{next(iter(values))} must be"):
        DrawnPassers(**values)
