"""What a run sets for the whole program is put back after it."""

import pytest
import torch

from angulus.training import Training
from angulus.training.plan.kernel_settings import kernels_of

CUDA = torch.device("cuda")


def settings() -> tuple[bool, bool, str]:
    cudnn = torch.backends.cudnn
    return cudnn.benchmark, cudnn.allow_tf32, torch.get_float32_matmul_precision()


@pytest.mark.parametrize(("asked", "expected"), [("highest", (True, False, "highest")), ("high", (True, True, "high"))])
def test_a_cuda_run_sets_and_puts_back(asked, expected) -> None:
    before = settings()
    with kernels_of(Training(float32_precision=asked), CUDA):
        assert settings() == expected
    assert settings() == before


def test_an_error_puts_back_too() -> None:
    before = settings()
    with pytest.raises(KeyError), kernels_of(Training(float32_precision="high"), CUDA):
        raise KeyError
    assert settings() == before


def test_convolutions_are_not_timed_where_deterministic_ones_are_asked_for() -> None:
    torch.use_deterministic_algorithms(True)
    try:
        with kernels_of(Training(), CUDA):
            assert not torch.backends.cudnn.benchmark
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_cpu_is_left_alone() -> None:
    before = settings()
    with kernels_of(Training(float32_precision="high"), torch.device("cpu")):
        assert settings() == before
