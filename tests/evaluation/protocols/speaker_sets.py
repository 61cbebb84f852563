"""Speakers drawn so that one step of scoring repairs what is wrong with them."""

import numpy as np

from angulus.embeddings import EmbeddingSet


def speakers(count, recordings, *, seed, dims=24, noise=0.55, offset=0.0, lean=0.0, seconds=False):
    """Recordings of drawn speakers, named by `seed` so that sets of other seeds are of other speakers.

    offset: a vector that all recordings have in common. lean: how far speakers lean, each as far as is drawn, to a
    direction that many share, so that some score high with everyone. seconds: durations, the short ones noisier.
    """
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(count), recordings)
    centres = random.normal(size=(count, dims))
    centres[:, 0] += lean * random.exponential(1.0, count)
    lengths = np.exp(random.uniform(np.log(0.6), np.log(12), len(labels)))
    spread = noise * np.sqrt(3 / lengths) if seconds else np.full(len(labels), noise)
    vectors = centres[labels] + spread[:, None] * np.sqrt(2) * random.normal(size=(len(labels), dims))
    vectors[:, 1] += offset
    return EmbeddingSet(
        embeddings=vectors,
        labels=labels,
        identities=tuple(f"s{seed}-{number:03d}" for number in range(count)),
        keys=tuple(f"s{seed}-{label:03d}/{row:04d}.wav" for row, label in enumerate(labels)),
        columns={"seconds": lengths} if seconds else {},
    )
