"""Several heads called as one: the losses and gradients of each set's own head, weighted by its share of the batch."""

import copy

import pytest
import torch
from torch import nn

from angulus.heads import Dense, MarginHead, Portion, RowSGD, Sampled, SeparateHeads, Streamed, each_head
from angulus.margins import AdaFace, ArcFace, CurricularFace, L2Softmax, Learned, MagFace

SETS = {"west": 5, "east": 7}
PATTERN = torch.tensor([0, 1, 1, 0, 1, 1, 0, 1])
MARGINS = {
    "arcface": ArcFace(scale=16.0, m=0.3),
    "adaface": AdaFace(scale=16.0),
    "curricular": CurricularFace(scale=16.0),
    "magface": MagFace(scale=16.0, lower_norm=0.5),
    "learned": L2Softmax(scale=Learned(8.0)),
}


def portions(pattern=PATTERN):
    rows = [(pattern == number).nonzero()[:, 0] for number in range(2)]
    return [Portion(rows=some, sizes=(len(some),), share=len(some) / len(pattern)) for some in rows]


def make(margin, factors=None, **options):
    torch.manual_seed(0)
    heads = {name: MarginHead(6, count, margin, **options).double() for name, count in SETS.items()}
    for head in heads.values():
        nn.init.normal_(head.weight)
    return SeparateHeads(heads, factors)


def batch(seed=1):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(len(PATTERN), 9, generator=generator, dtype=torch.float64)
    own = torch.randint(5, (len(PATTERN),), generator=generator)
    return images, own + PATTERN * SETS["west"]


@pytest.mark.parametrize("strategy", [Dense(), Streamed(chunk=2, mode="recompute"), Sampled(rate=1.0)], ids=repr)
@pytest.mark.parametrize("factors", [None, (1.0, 0.25)])
@pytest.mark.parametrize("margin", MARGINS)
def test_equal_to_two_heads_and_the_summed_loss(margin, factors, strategy):
    together = make(MARGINS[margin], factors, strategy=strategy)
    one, other = (copy.deepcopy(together.head(name)) for name in SETS)
    backbone = nn.Linear(9, 6, dtype=torch.float64)
    twin = copy.deepcopy(backbone)
    first, second = factors or (1.0, 1.0)
    for step in range(3):  # running statistics move
        images, labels = batch(step)
        output = together(backbone(images), labels, portions(), step=step)
        output.loss.backward()
        west, east = PATTERN == 0, PATTERN == 1
        embeddings = twin(images)
        outputs = one(embeddings[west], labels[west], step=step), other(embeddings[east], labels[east] - 5, step=step)
        loss = (3 * first * outputs[0].loss + 5 * second * outputs[1].loss) / 8
        loss.backward()
        assert float((output.loss - loss).detach()) == pytest.approx(0.0, abs=1e-12)
        assert torch.allclose(output.losses[east], outputs[1].losses, atol=1e-12)
        assert torch.allclose(output.cos_target[west], outputs[0].cos_target, atol=1e-12)
        pairs = [(backbone, twin), (together.head("west"), one), (together.head("east"), other)]
        for module, expected in pairs:
            for mine, theirs in zip(module.parameters(), expected.parameters(), strict=True):
                assert torch.allclose(mine.grad, theirs.grad, atol=1e-10), margin
                mine.grad = theirs.grad = None
        for name, expected in (("west", one), ("east", other)):
            state = together.head(name).state
            assert all(torch.equal(value, expected.state[key]) for key, value in state.items())


def test_with_factors_of_one_the_loss_is_the_mean_over_all_examples():
    heads = make(MARGINS["arcface"])
    images, labels = batch()
    output = heads(images[:, :6], labels, portions())
    assert float(output.loss.detach()) == pytest.approx(float(output.losses.mean()), abs=1e-12)
    assert not output.losses.requires_grad


def test_an_example_has_nothing_to_do_with_the_classes_of_the_other_set():
    heads = make(MARGINS["arcface"])
    images, labels = batch()
    embeddings = images[:, :6].clone().requires_grad_()
    before = heads(embeddings, labels, portions()).losses
    heads.head("east").weight.data.neg_()
    after = heads(embeddings, labels, portions()).losses
    assert torch.equal(before[PATTERN == 0], after[PATTERN == 0])
    assert not torch.equal(before[PATTERN == 1], after[PATTERN == 1])


def test_it_says_what_any_head_says():
    heads = make(MARGINS["adaface"])
    assert heads.num_classes == 12
    assert heads.classes == {"west": range(5), "east": range(5, 12)}
    assert [(name, classes) for name, _, classes in each_head(heads)] == [("west", range(5)), ("east", range(5, 12))]
    assert each_head(heads.head("west")) == [("", heads.head("west"), range(5))]
    assert set(heads.state) == {f"{name}.{key}" for name in SETS for key in heads.head(name).state}
    assert {name for name, _ in heads.named_parameters()} == {"of_west.weight", "of_east.weight"}
    assert not heads.holds_whole_gradient
    assert heads.update is None
    heads.raise_for_labels()


def test_a_state_comes_back_with_steps_and_statistics():
    heads, other = make(MARGINS["adaface"]), make(MARGINS["adaface"])
    images, labels = batch()
    heads(images[:, :6], labels, portions(), step=41)
    other.load_state_dict(heads.state_dict())
    assert [head.step for head in other] == [42, 42]
    assert all(torch.equal(value, other.state[name]) for name, value in heads.state.items())


def test_updates_inside_the_backward_pass_equal_those_of_an_optimizer():
    rule, streamed = RowSGD(momentum=0.9, weight_decay=1e-2), Streamed(chunk=2, mode="recompute")
    inside = make(MARGINS["arcface"], strategy=streamed, update=rule)
    outside = make(MARGINS["arcface"], strategy=streamed)
    optimizer = torch.optim.SGD(outside.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)
    for step in range(3):
        images, labels = batch(step)
        inside.learning_rate = 0.1
        assert inside.learning_rate == 0.1
        inside(images[:, :6].clone().requires_grad_(), labels, portions(), step=step).loss.backward()
        outside(images[:, :6].clone().requires_grad_(), labels, portions(), step=step).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    for name in SETS:
        assert torch.allclose(inside.head(name).weight, outside.head(name).weight, atol=1e-10)


def test_what_it_refuses():
    with pytest.raises(ValueError, match="at least 1 head, got 0"):
        SeparateHeads({})
    with pytest.raises(ValueError, match="one for each of 2 heads, got 1"):
        make(MARGINS["arcface"], (1.0,))
