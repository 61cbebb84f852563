"""What is noted of the data when a run begins."""

import json
from types import SimpleNamespace

import pytest
from small_run import small

from angulus.training import Training, train
from angulus.training.recording.data_looks import images_of_a_pass, shared_names


@pytest.mark.parametrize(
    ("config", "processes", "images"),
    [
        (Training(batch_size=8), 1, 8),
        (Training(batch_size=8), 2, 4),
        (Training(batch_size=8, accumulate=2), 2, 2),
        (Training(batch_size=8, batch_norm="synchronised"), 2, 8),
    ],
)
def test_a_pass_is_what_a_process_sees_of_it(config, processes, images):
    assert images_of_a_pass(config, processes) == images


def test_names_that_are_numbers_are_counted_and_come_last():
    train_set, other = (SimpleNamespace(identities=names) for names in (["0", "1", "Ada", "Bo"], ["1", "0", "Ada"]))
    assert shared_names(train_set, other) == {"people": 3, "shared": 3, "numbers": 2, "names": ["Ada", "1", "0"]}


def test_a_network_that_angulus_saved_is_not_asked_how_it_wants_its_images(tmp_path):
    first = train(small(tmp_path / "first", epochs=1)).folder
    second = train(small(tmp_path / "second", epochs=1, init=first)).folder
    start = json.loads((second / "diagnosis.jsonl").read_text().splitlines()[0])
    assert "preprocessing" not in start
    assert start["pixels"]
