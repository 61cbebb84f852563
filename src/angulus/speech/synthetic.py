def drawn_utterance(*, seed: int, speaker: int, utterance: int, seconds: float, rate: int):
    import numpy as np

    rng = np.random.default_rng([seed, speaker])
    f = rng.uniform(100, 2000, 5)
    t = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng([seed, speaker, utterance]).standard_normal(len(t))
    return (2000 * sum(np.sin(2 * np.pi * x * t) for x in f) / 5 + 300 * noise).astype(np.int16)
