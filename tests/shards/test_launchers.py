"""Which worker this is: said, or taken from torchrun, Slurm or Kubernetes; what names none is one sentence."""

import pytest

from angulus.errors import ConfigError
from angulus.shards import Worker, worker_named

ARRAY = {"SLURM_ARRAY_TASK_ID": "14", "SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "10"}


@pytest.mark.parametrize(
    ("words", "environment", "wanted"),
    [
        ("2/5", {"RANK": "0", "WORLD_SIZE": "1"}, (2, 5)),
        ("auto", {"RANK": "3", "WORLD_SIZE": "8"}, (3, 8)),
        ("auto", {"RANK": "3", "WORLD_SIZE": "8", "SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, (3, 8)),
        ("auto", {"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, (1, 2)),
        ("auto", {**ARRAY, "SLURM_ARRAY_TASK_STEP": "2"}, (2, 3)),
        ("auto", {**ARRAY, "SLURM_ARRAY_TASK_ID": "11", "SLURM_PROCID": "1", "SLURM_NTASKS": "4"}, (5, 12)),
        ("auto", {"JOB_COMPLETION_INDEX": "6", "JOB_COMPLETIONS": "7"}, (6, 7)),
        ("auto/7", {"JOB_COMPLETION_INDEX": "6"}, (6, 7)),
        ("auto/8", {"RANK": "3", "WORLD_SIZE": "8"}, (3, 8)),
    ],
)
def test_a_worker_is_named(words, environment, wanted) -> None:
    found = worker_named(words, environment)
    assert (found.index, found.count) == wanted


def test_each_worker_of_a_machine_takes_its_own_gpu() -> None:
    found = worker_named("auto", {"RANK": "11", "WORLD_SIZE": "16", "LOCAL_RANK": "3"})
    assert (found.index, found.local, found.device_of(8), found.device_of(2), found.device_of(0)) == (11, 3, 3, 1, 0)
    assert worker_named("auto", {"SLURM_PROCID": "5", "SLURM_NTASKS": "8", "SLURM_LOCALID": "1"}).device_of(4) == 1
    assert worker_named("3/4").device_of(4) == 0


def test_what_was_taken_is_said() -> None:
    found = worker_named("auto", {"RANK": "3", "WORLD_SIZE": "8"})
    assert found.describe() == "worker 3 of 8 (from 0), by RANK and WORLD_SIZE"
    assert Worker(index=1, count=2).describe() == "worker 1 of 2 (from 0)"


@pytest.mark.parametrize(
    ("words", "environment", "sentence"),
    [
        ("4/4", {}, "i from 0 to n - 1, got 4/4"),
        ("1", {}, "must be i/n, auto or auto/n, got '1'"),
        ("-1/4", {}, "got '-1/4'"),
        ("1/0", {}, "got 1/0"),
        ("auto", {}, "found no launcher"),
        ("auto", {"JOB_COMPLETION_INDEX": "6"}, "set JOB_COMPLETIONS.*--shard auto/8"),
        ("auto/3", {"RANK": "3", "WORLD_SIZE": "8"}, "auto/3 contradicts RANK and WORLD_SIZE, which say 8"),
        ("auto/3", {"JOB_COMPLETION_INDEX": "6"}, r"got 6/3 \(JOB_COMPLETION_INDEX\)"),
        ("auto", {"RANK": "x", "WORLD_SIZE": "8"}, "RANK must be a whole number, got 'x'"),
    ],
)
def test_what_names_no_worker_is_a_sentence(words, environment, sentence) -> None:
    with pytest.raises(ConfigError, match=sentence):
        worker_named(words, environment)
