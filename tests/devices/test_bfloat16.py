"""Whether bfloat16 is worth having: by what was timed on a CPU, by the architecture on CUDA."""

import pytest
import torch

from angulus.devices import bfloat16
from angulus.devices.bfloat16 import bfloat16_factor, bfloat16_pays


@pytest.mark.parametrize(("factor", "pays"), [(0.4, True), (0.95, False), (16.0, False)])
def test_a_cpu_must_be_clearly_faster_in_it(monkeypatch: pytest.MonkeyPatch, factor: float, pays: bool) -> None:
    monkeypatch.setattr(bfloat16, "bfloat16_factor", lambda: factor)
    assert bfloat16_pays(torch.device("cpu")) is pays


@pytest.mark.parametrize(("major", "pays"), [(7, False), (8, True), (9, True)])
def test_on_cuda_the_architecture_says_it(monkeypatch: pytest.MonkeyPatch, major: int, pays: bool) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (major, 0))
    assert bfloat16_pays(torch.device("cuda")) is pays


def test_the_factor_is_timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[torch.dtype] = []

    def seconds(dtype: torch.dtype) -> float:
        asked.append(dtype)
        return 3.0 if dtype == torch.bfloat16 else 1.5

    monkeypatch.setattr(bfloat16, "_seconds", seconds)
    bfloat16_factor.cache_clear()
    try:
        assert [bfloat16_factor(), bfloat16_factor()] == [2.0, 2.0]
        assert asked == [torch.bfloat16, torch.float32]
    finally:
        bfloat16_factor.cache_clear()
