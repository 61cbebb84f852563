"""A run that takes seconds on a noisy set: drawn faces at 24x24, a third of the labels wrong."""

from dataclasses import replace

from small_run import small

from angulus.training import Identities, NoisyData, SyntheticData

PEOPLE = Identities(parts={"train": 0.65, "test": 0.35})


def noisy_run(out, **changes):
    """`small_run.small` with noise in its training part."""
    base = SyntheticData(num_identities=32, images_per_identity=8)
    data = NoisyData(base=base, flips=0.3, identities=PEOPLE)
    return replace(small(out, **changes), data=data)
