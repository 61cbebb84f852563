"""Steps that are recorded and replayed: the same images, and no record that gives something else is used."""

import logging

import pytest
import torch
from devices.gpu import GPU
from test_attack_run import NAMES, head, network, open_targets, options

from angulus.inversion import Views, class_targets
from angulus.inversion.attack.batch import InvertedBatch
from angulus.inversion.attack.captured_step import CapturedStep, cuda_graph
from angulus.inversion.attack.frozen_network import attacked
from angulus.inversion.attack.views import drawn_views

VIEWS = Views(shift=1.0, turn=5.0, scale=0.1, contrast=0.1, flip=True)
CPU = torch.device("cpu")


def recorder(distort=0.0):
    """A record that computes the step anew and writes into the tensors of the first time, as a CUDA graph does."""
    made = []

    def capture(step):
        terms = step()
        gradient = batch_of[0].variable.grad

        def replay():
            again = step()
            for name, value in terms.items():
                value.copy_(again[name])
            gradient.copy_(batch_of[0].variable.grad + distort)
            made.append(1)

        return terms, replay

    batch_of = [None]
    return capture, batch_of, made


def inverted(kind, capture=None, batch_of=None, device=CPU, **changes):
    settings = options(batch_size=3, views=VIEWS, **changes)
    targets = open_targets(3) if kind == "open" else class_targets(head(), NAMES, NAMES[:3])
    model = network()
    batch = InvertedBatch(model, 3, settings, 5, device)
    if batch_of is not None:
        batch_of[0] = batch
    with attacked(model, device):
        term = targets.identity_term(slice(0, 3), settings, device)
        if targets.head is not None:
            targets.head.to(device)
        batch.run(term, capture=capture)
    return batch


@pytest.mark.parametrize("kind", ["open", "closed"])
def test_replayed_steps_give_the_same_images_bit_for_bit(kind) -> None:
    capture, batch_of, made = recorder()
    wanted, found = inverted(kind), inverted(kind, capture, batch_of)
    assert len(made) == 1 + 12  # the record is tried once
    assert torch.equal(found.images, wanted.images)
    assert found.curve == wanted.curve


def test_a_record_that_gives_another_gradient_is_not_used(caplog) -> None:
    capture, batch_of, made = recorder(distort=1.0)
    with caplog.at_level(logging.WARNING):
        found = inverted("open", capture, batch_of)
    assert len(made) == 1
    assert torch.equal(found.images, inverted("open").images)
    assert "another gradient" in caplog.text


def test_steps_that_cannot_be_recorded_go_on_unrecorded(caplog) -> None:
    def capture(step):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    with caplog.at_level(logging.WARNING):
        found = inverted("open", capture)
    assert torch.equal(found.images, inverted("open").images)
    assert "steps are not recorded on this device: operation not permitted when stream is capturing" in caplog.text
    assert "more" not in caplog.text


def test_a_record_reads_the_views_of_each_step() -> None:
    seen = []

    def slope(drawn):
        seen.append(drawn.moves)
        variable.grad = drawn.moves.sum() + torch.zeros(2)
        return {"loss": drawn.moves.sum()}

    def capture(step):
        terms = step()
        return terms, lambda: terms["loss"].copy_(seen[-1].sum())

    variable = torch.zeros(2, requires_grad=True)
    random = torch.Generator().manual_seed(0)
    first, second = (drawn_views(torch.Size((2, 3, 8, 6)), VIEWS, random) for _ in range(2))
    step = CapturedStep(slope, variable, first, capture)
    assert float(step(second)["loss"]) == float(second.moves.sum())
    assert seen[-1] is not second.moves


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=GPU) for kind in ("open", "closed")])
def test_a_cuda_graph_gives_what_the_steps_give(kind) -> None:
    device = torch.device("cuda")

    def unrecorded(step):
        raise RuntimeError("not wanted")

    wanted, found = (inverted(kind, capture, device=device, iterations=30) for capture in (unrecorded, cuda_graph))
    torch.testing.assert_close(found.images, wanted.images, rtol=1e-2, atol=1e-2)
