"""What is counted of a step equals a naive count, in any order of the batches."""

import math

import numpy as np
import pytest
import torch

from angulus.heads import MarginHead, SeparateHeads
from angulus.margins import ArcFace
from angulus.training.recording.counters import GAP, LENGTH, MASS, OF_PROBES, OF_STEPS, OWN, Counters, parted
from angulus.training.recording.gradient_lengths import PARTS
from angulus.training.recording.nearest_classes import nearest_other
from angulus.training.recording.stretches import line_of

CLASSES, DIM = 7, 5


def batches(seed, count=3, size=11):
    random = np.random.default_rng(seed)
    for _ in range(count):
        labels = torch.from_numpy(random.integers(-1, CLASSES, size))
        own = torch.from_numpy(random.uniform(-1, 1, size)).float()
        other = torch.from_numpy(random.uniform(-1, 1, size)).float()
        mass = torch.from_numpy(random.uniform(0, 1, size)).float()
        losses = torch.from_numpy(random.uniform(0, 20, size)).float()
        lengths = torch.from_numpy(random.uniform(0.1, 30, size)).float()
        units = torch.nn.functional.normalize(torch.from_numpy(random.normal(size=(size, DIM))).float(), dim=1)
        yield labels, own, other, mass, losses, lengths, units


def counted(found):
    counters = Counters(CLASSES, DIM, torch.device("cpu"))
    for labels, own, other, mass, losses, lengths, units in found:
        scale = torch.full_like(mass, 16.0)
        counters.add(labels, losses, own, torch.stack([mass, scale, mass]), lengths)
        counters.probe(labels, own, other, scale, units)
    return counters.tensors


def test_counts_equal_a_naive_count():
    found = list(batches(0))
    line = line_of({**counted(found), **no_lengths()}, np.arange(CLASSES) + 1)
    labels, own, other, mass, losses, lengths, units = (torch.cat(parts) for parts in zip(*found, strict=True))
    valid = labels >= 0
    assert line["examples"] == int(valid.sum())
    for name, values in {"loss": losses, "own": own, "mass": mass, "length": lengths}.items():
        assert line[name] == pytest.approx(float(values[valid].mean()), abs=1e-4)
    for name, (values, bins) in {"own": (own, OWN), "mass": (mass, MASS), "length": (lengths.log2(), LENGTH)}.items():
        assert line["bins"][name] == np.histogram(values[valid], bins.count, (bins.low, bins.high))[0].tolist()
    gap = (own - other)[valid]
    assert line["probed"]["bins"]["gap"] == np.histogram(gap, GAP.count, (GAP.low, GAP.high))[0].tolist()
    assert line["probed"]["wrong"] == pytest.approx(float((gap < 0).float().mean()), abs=1e-4)
    assert line["probed"]["direction"] == pytest.approx(float(units[valid].mean(0).norm()), abs=1e-3)
    means = sorted(float(own[labels == k].mean()) for k in range(CLASSES) if (labels == k).any())
    assert line["classes"]["own"][0] == pytest.approx(means[0], abs=1e-4)
    assert line["classes"]["own"][-1] == pytest.approx(means[-1], abs=1e-4)
    assert line["classes"]["worst"][0][3] == pytest.approx(means[0], abs=1e-4)


def no_lengths():
    return {name: torch.zeros(2, len(PARTS), dtype=torch.float64) for name in ("slopes", "weights")}


def test_the_order_of_batches_and_the_process_they_are_in_change_no_bit():
    found = list(batches(1))
    one, other = counted(found), counted(found[::-1])
    parts = [counted([batch]) for batch in found]
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name])
        assert torch.equal(tensor, sum(part[name] for part in parts))


def test_what_is_not_finite_is_counted_as_nothing():
    counters = Counters(CLASSES, DIM, torch.device("cpu"))
    bad = torch.tensor([math.nan, math.inf])
    counters.add(torch.tensor([0, 1]), bad, bad, torch.stack([bad, bad, bad]), bad)
    line = line_of({**counters.tensors, **no_lengths()}, np.ones(CLASSES, dtype=np.int64))
    assert line["examples"] == 2
    assert all(math.isfinite(line[name]) for name in ("loss", "own", "mass", "scale", "length"))


def test_histograms_lie_one_behind_the_other():
    whole = torch.arange(sum(bins.count for bins in OF_STEPS.values()))
    assert [len(part) for part in parted(whole, OF_STEPS).values()] == [bins.count for bins in OF_STEPS.values()]
    assert list(OF_PROBES) == ["other", "gap"]


@pytest.mark.parametrize("subcenters", [1, 3])
def test_the_nearest_other_class_is_that_of_a_naive_search(subcenters, monkeypatch):
    monkeypatch.setattr("angulus.training.recording.nearest_classes.BLOCK", 4)
    torch.manual_seed(0)
    heads = {name: MarginHead(DIM, count, ArcFace(), subcenters=subcenters) for name, count in (("a", 6), ("b", 9))}
    units = torch.nn.functional.normalize(torch.randn(20, DIM), dim=1)
    labels = torch.arange(20) % 16 - 1
    for head, spans in ((heads["b"], [range(9)]), (SeparateHeads(heads), [range(6), range(6, 15)])):
        some = torch.where(labels < spans[-1].stop, labels, -1)
        weights = [one.weight.detach().reshape(-1, subcenters, DIM) for one in ([head] if head is heads["b"] else head)]
        every = torch.nn.functional.normalize(torch.cat(weights).double(), dim=2)
        found = nearest_other(head, units, some)
        for row in range(20):
            span = next((span for span in spans if int(some[row]) in span), None)
            if span is not None:
                cos = (every @ units[row].double()).amax(1)
                assert found[row] == pytest.approx(max(float(cos[k]) for k in span if k != int(some[row])), abs=1e-5)
