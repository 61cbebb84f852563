"""Runs with triplets beside a margin: what is refused, what a step adds up, and a set judged across its cameras."""

import json
from dataclasses import replace

import pytest
import torch
from training.small_run import small

from angulus.cli.printing.training_result import closing_lines
from angulus.data import PK, Augment, Batch
from angulus.heads import MarginHead, Triplet
from angulus.margins import AMSoftmax
from angulus.models import InputSpec, ResNet
from angulus.training import AdamW, DrawnReidData, Head, Identities, Training, train
from angulus.training.changes import ImageChanges
from angulus.training.step import Recogniser, gradients

SPEC = InputSpec(height=32, width=16)
RESNET = ResNet(depth=18, width=8, input=SPEC)


def drawn_run(out, **changes):
    """2 epochs on 12 drawn people, 6 of whom are held out."""
    data = DrawnReidData(
        num_identities=12, images_per_identity=8, cameras=2, identities=Identities(parts={"train": 0.5, "test": 0.5})
    )
    settings = {"data": data, "model": RESNET, "optim": AdamW(lr=0.01), "head": Head(triplet=Triplet()), "epochs": 2}
    return small(out, **(settings | {"batch_size": 16, "sampling": PK(images=4)} | changes))


def test_a_drawn_set_is_trained_on_and_judged_across_cameras(tmp_path):
    found = train(drawn_run(tmp_path / "whole"))
    assert 0.0 < found.figures["held-out/map"] <= 1.0
    assert 0.0 <= found.figures["held-out/rank1"] <= 1.0
    assert 0.0 < found.figures["held-out/minp"] <= 1.0
    (across,) = json.loads((found.folder / "retrieval.json").read_text())
    assert (across["name"], across["queries"]) == ("held-out, across cameras", 48)
    assert across["map"] == found.figures["held-out/map"]
    told = dict(reversed(list(closing_lines(found.folder))))
    assert told["found"].startswith(f"mAP {across['map']:.1%}, rank-1 {found.figures['held-out/rank1']:.1%}, rank-5")
    assert "Which images come up first" in found.report.read_text()
    lines = (tmp_path / "whole" / "metrics.jsonl").read_text()
    assert lines.count('"loss/triplet"') == 6


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "needs train.sampling=pk with at least 2 images .examples. of each identity.*got Uniform"),
        ({"sampling": PK(images=1), "batch_size": 8}, "got pk with images 1"),
        (
            {"sampling": PK(images=4), "batch_size": 24, "accumulate": 4},
            "of accumulate x images = 4 x 4, got 24",
        ),
    ],
)
def test_batches_without_triplets_are_refused(tmp_path, settings, said):
    with pytest.raises(ValueError, match=said):
        replace(drawn_run(tmp_path), train=Training(**settings))


def test_a_step_adds_the_triplets_of_its_micro_batches_with_their_weight():
    """Value and gradient of a step: the mean over micro-batches of margin and weighted triplets, before the neck."""
    torch.manual_seed(0)
    model = RESNET.build().eval()  # norms do not depend on how the batch is cut
    head = MarginHead(model.embedding_dim, 4, AMSoftmax(scale=8.0))
    triplet = Triplet(margin=5.0, weight=0.5)
    images = torch.randint(0, 256, (8, 3, 32, 16), dtype=torch.uint8)
    labels = torch.arange(4).repeat_interleave(2)
    batch = Batch(examples=images, labels=labels, indices=torch.arange(8), epoch=0, index=0, start=0, total=8)
    config = Training(batch_size=8, accumulate=2, precision="float32", layout="contiguous")
    output = gradients(
        *(Recogniser(model, head, triplet), model, batch),
        **{"augment": ImageChanges(augment=Augment.off()), "config": config, "seed": 0, "step": 0},
        device=torch.device("cpu"),
    )
    found = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    wanted = torch.zeros(())
    for rows in (slice(0, 4), slice(4, 8)):
        features, embeddings = model.necked(SPEC.prepare(images[rows]))
        pairs = triplet.loss(features, labels[rows])
        wanted = wanted + 0.5 * (head(embeddings, labels[rows]).loss + 0.5 * pairs)
    wanted.backward()
    assert torch.allclose(output.loss, wanted.detach(), rtol=1e-5)
    assert output.pairs is not None
    assert float(output.pairs) > 0.1
    for name, weight in model.named_parameters():
        if weight.grad is not None:
            assert torch.allclose(found[name], weight.grad, rtol=1e-3, atol=1e-5), name
