"""Numbers of a margin per class and per sample."""

import pytest
import torch
from margin_values import OVERFLOWS, losses_of, random_batch

from angulus.heads import Dense, Streamed, margin_softmax
from angulus.margins import (
    AdaFace,
    AMMSoftmax,
    AMSoftmax,
    ArcFace,
    Circle,
    CombinedMargin,
    CurricularFace,
    ElasticFace,
    L2Softmax,
    MVSoftmax,
    PerClass,
    PerSample,
    SphereFace,
    SphereFaceR,
)

VALUED = {
    "amsoftmax": (AMSoftmax, "m", 0.3),
    **{f"arcface-{rule}": (lambda rule=rule, **o: ArcFace(overflow=rule, **o), "m", 0.4) for rule in OVERFLOWS},
    "combined-m1": (CombinedMargin, "m1", 1.1),
    "combined-m2": (CombinedMargin, "m2", 0.4),
    "combined-m3": (CombinedMargin, "m3", 0.2),
    **{
        f"combined-{rule}": (lambda rule=rule, **o: CombinedMargin(overflow=rule, **o), "m2", 0.4) for rule in OVERFLOWS
    },
    "sphereface": (SphereFace, "m", 1.5),
    "sphereface-whole": (lambda **o: SphereFace(annealing=None, **o), "m", 4.0),
    **{f"sphereface-r-{v}": (lambda v=v, **o: SphereFaceR(version=v, **o), "m", 1.4) for v in ("v0", "v1", "v2")},
    **{f"mv-{base}-m": (lambda base=base, **o: MVSoftmax(base=base, **o), "m", 0.3) for base in ("am", "arc")},
    "mv-t": (MVSoftmax, "t", 0.25),
    "curricular": (CurricularFace, "m", 0.4),
    "amm-m": (AMMSoftmax, "m", 0.4),
    "amm-t": (AMMSoftmax, "t", 0.2),
    "amm-both-t": (lambda **o: AMMSoftmax(side="both", **o), "t", 0.2),
    "adaface": (AdaFace, "m", 0.3),
    "elastic-am": (lambda **o: ElasticFace(base="am", **o), "m", 0.3),
    "elastic-arc": (lambda **o: ElasticFace(base="arc", **o), "m", 0.3),
    "circle": (Circle, "m", 0.3),
    "scale": (ArcFace, "scale", 40.0),
    "scale-l2": (L2Softmax, "scale", 12.0),
    "scale-sphereface": (SphereFace, "scale", 0.5),
}


@pytest.mark.parametrize("strategy", [Dense(), Streamed(chunk=4)], ids=["dense", "streamed"])
@pytest.mark.parametrize(("build", "name", "value"), VALUED.values(), ids=VALUED.keys())
def test_equal_values_per_class_or_sample_are_the_plain_number(build, name: str, value: float, strategy) -> None:
    x, w, labels = random_batch(4, n=12)
    labels[3] = -1
    plain = losses_of(build(**{name: value}), x, w, labels, strategy=strategy)
    per_class = losses_of(build(**{name: PerClass((value,) * len(w))}), x, w, labels, strategy=strategy)
    samples = PerSample(torch.full((len(x),), value, dtype=torch.float64))
    per_sample = losses_of(build(**{name: samples}), x, w, labels, strategy=strategy)
    torch.testing.assert_close(per_class, plain, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(per_sample, plain, rtol=1e-11, atol=1e-11)


def test_a_list_of_values_of_the_wrong_length_is_an_error() -> None:
    x, w, labels = random_batch(0)
    with pytest.raises(ValueError, match="6"):
        margin_softmax(x, w, labels, ArcFace(m=PerClass((0.1, 0.2))))
    with pytest.raises(ValueError, match="6"):
        margin_softmax(x, w, labels, ArcFace(m=PerSample((0.1, 0.2))))
