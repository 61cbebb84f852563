"""What a head and its strategies refuse or warn of, with the words they say."""

import pytest
import torch
from small_heads import BOTH, batch, head_of

from angulus.heads import MarginHead, Sampled, Streamed, margin_softmax
from angulus.margins import AdaCos, ArcFace, CurricularFace, L2Softmax, MVSoftmax


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"subcenters": 0}, ("subcenters", "at least 1", "0")),
        ({"num_classes": 0}, ("num_classes", "at least 1", "0")),
        ({"embedding_dim": -2}, ("embedding_dim", "at least 1", "-2")),
    ],
)
def test_sizes_below_one(options: dict[str, int], words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the words are checked below)
        head_of(ArcFace(), **options)
    assert all(word in str(caught.value) for word in words), caught.value


def test_adacos_needs_three_classes() -> None:
    with pytest.raises(ValueError, match="3 classes"):
        head_of(AdaCos(), num_classes=2)(*batch(classes=2))


@pytest.mark.parametrize("label", [7, 100, -2])
@BOTH
def test_a_label_outside_the_head_is_named_with_the_range(strategy, label: int) -> None:
    embeddings, labels = batch()
    labels[3] = label
    head = head_of(ArcFace(), strategy=strategy)
    for call in (
        lambda: head(embeddings, labels),
        lambda: margin_softmax(embeddings, head.weight, labels, ArcFace(), strategy=strategy),
    ):
        with pytest.raises(ValueError) as caught:  # noqa: PT011 (the words are checked below)
            call()
        assert str(label) in str(caught.value)
        assert "0" in str(caught.value)
        assert "6" in str(caught.value)


def test_shapes_that_do_not_fit() -> None:
    head = head_of(ArcFace())
    embeddings, labels = batch()
    with pytest.raises(ValueError, match=r"4.*5"):
        head(embeddings[:, :4], labels)
    with pytest.raises(ValueError, match=r"8.*7"):
        head(embeddings, labels[:7])
    with pytest.raises(ValueError, match="shape"):
        head(embeddings[0], labels)
    with pytest.raises(ValueError, match="labels"):
        head(embeddings, labels.float())


def test_a_refused_batch_leaves_the_statistics() -> None:
    head = head_of(CurricularFace())
    embeddings, labels = batch()
    labels[0] = 7
    with pytest.raises(ValueError, match="7"):
        head(embeddings, labels)
    assert head.state["t"].item() == 0.0
    assert head.step == 0


def test_chunk_below_one() -> None:
    with pytest.raises(ValueError, match=r"chunk.*0"):
        Streamed(chunk=0)


def test_a_scale_below_the_bound_is_mentioned(caplog: pytest.LogCaptureFixture) -> None:
    head_of(L2Softmax(scale=2.0), num_classes=1000)
    assert any("9.10" in record.getMessage() for record in caplog.records)
    caplog.clear()
    head_of(L2Softmax(scale=9.2), num_classes=1000)
    assert not caplog.records
    with pytest.raises(ValueError, match=r"9\.10"):
        head_of(L2Softmax(scale=2.0, enforce_bound=True), num_classes=1000)


@pytest.mark.parametrize("options", [{"mode": "fast"}, {"budget": -1}, {"products": "float16"}, {"stash": "int8"}])
def test_streamed_options_out_of_range(options) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Streamed(**options)


def test_a_filter_is_a_cosine_of_normalised_weights() -> None:
    with pytest.raises(ValueError, match="filter_above must be a cosine between -1 and 1"):
        MarginHead(4, 5, ArcFace(), filter_above=2.0)
    with pytest.raises(ValueError, match="for normalised weights"):
        MarginHead(4, 5, L2Softmax(), filter_above=0.4)


@pytest.mark.parametrize("strategy", [Streamed(chunk=2), Sampled(rate=0.5)])
def test_a_trained_value_whose_gradient_would_be_incomplete_is_refused(strategy) -> None:
    x, labels = torch.randn(4, 3), torch.tensor([0, 1, 2, 3])
    t = torch.full((4,), 0.2, requires_grad=True)
    head = MarginHead(3, 5, MVSoftmax(), strategy=strategy)
    with pytest.raises(ValueError, match="'t' of MVSoftmax must not require a gradient"):
        head(x, labels, per_sample={"t": t})
    head(x, labels, per_sample={"t": t.detach()}).loss.backward()
    m = torch.full((4,), 0.2, requires_grad=True)
    MarginHead(3, 5, ArcFace(), strategy=strategy)(x, labels, per_sample={"m": m}).loss.backward()
    assert m.grad is not None
    dense = MarginHead(3, 5, MVSoftmax())
    dense(x, labels, per_sample={"t": t}).loss.backward()
    assert t.grad is not None


def test_a_margin_may_be_named() -> None:
    by_name, by_value = (head_of(margin) for margin in ("arcface", ArcFace()))
    embeddings, labels = batch()
    by_value.load_state_dict(by_name.state_dict())
    assert torch.equal(by_name(embeddings, labels).loss, by_value(embeddings, labels).loss)
    weight = by_name.weight.detach()
    assert torch.equal(
        margin_softmax(embeddings, weight, labels, "arcface"), margin_softmax(embeddings, weight, labels, ArcFace())
    )


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"margin": "arcfase"}, ValueError, ("margin", "'arcfase'", "did you mean arcface?")),
        ({"margin": "zzz"}, ValueError, ("margin", "known are", "sphereface")),
        ({"margin": ArcFace}, TypeError, ("the class ArcFace", "ArcFace()")),
        ({"margin": 0.5}, TypeError, ("margin", "float 0.5", "ArcFace(m=0.5)")),
        ({"margin": None}, TypeError, ("margin", "NoneType")),
        ({"margin": "arcface", "strategy": "streamed"}, TypeError, ("strategy", "Streamed()", "'streamed'")),
        ({"margin": "arcface", "strategy": Streamed}, TypeError, ("strategy", "Streamed()")),
        ({"margin": "arcface", "num_classes": "7"}, TypeError, ("num_classes", "whole number", "str '7'")),
        ({"margin": "arcface", "subcenters": 1.5}, TypeError, ("subcenters", "whole number", "float 1.5")),
    ],
)
def test_what_is_no_margin_strategy_or_size(options: dict, kind: type[Exception], words: tuple[str, ...]) -> None:
    with pytest.raises(kind) as caught:
        MarginHead(**{"embedding_dim": 5, "num_classes": 7, **options})
    assert all(word in str(caught.value) for word in words), caught.value
