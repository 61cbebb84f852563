"""What is stolen, when something was done to make it worth less: simulated defences, and what they do not simulate.

none            the template as the model makes it; gradients and batch-norm statistics known
no-statistics   the thief has the network without its running statistics: the batch-norm term is left out. What is not
                simulated: the layers themselves still normalise with them, as they must to compute an embedding
8bit, 4bit      the template of length 1, each value rounded to 2^bits - 1 levels between plus and minus its largest
sign            one bit a value: the sign alone
rotated         the template turned by a random rotation of all dimensions that the thief does not know. What is not
                simulated: a thief with the key, or with as many pairs of plain and turned templates as there are
                dimensions, who can compute it
half-with-key   the same rotation, of which half of the dimensions are kept (a quarter: quarter-with-key), and the thief
                has the key too: the template that is inverted is the shortest one that gives what was stored
vectors-only    the thief has neither the network nor its gradients, but the vectors that the system gives for public
                faces (an API that answers with vectors, a copy of the program): a linear decoder is learned from them
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from angulus.errors import ConfigError
from angulus.inversion.attack.options import InversionOptions

DEFENCES = {
    "none": "No defence: the template as it is, the network with gradients and batch-norm statistics.",
    "no-statistics": "The attacker matches no batch-norm statistics (the network itself still uses them).",
    "8bit": "Templates of length 1 rounded to 8 bits a value.",
    "4bit": "Templates of length 1 rounded to 4 bits a value.",
    "sign": "Only the sign of each value is stored, one bit.",
    "rotated": "Templates turned by a secret random rotation; the attacker does not have the key.",
    "half-with-key": "Templates turned by a rotation and cut to half of the dimensions; the attacker has the key.",
    "quarter-with-key": "The same with a quarter of the dimensions; the attacker has the key.",
    "vectors-only": "The attacker has no network: a linear decoder is learned from public faces and their vectors.",
    "label-only": "The attacker sees nothing but the model's first answer (a name) to images sent to it.",
}
TEMPLATE_ONLY = ("8bit", "4bit", "sign", "rotated", "half-with-key", "quarter-with-key", "vectors-only")


@dataclass(frozen=True, kw_only=True)
class Stolen:
    """What the thief works with: templates float32 [n, d] (None: class labels), and how the thief goes about it."""

    templates: NDArray[np.float32] | None
    options: InversionOptions


def defended(name: str, templates: NDArray[np.float32] | None, options: InversionOptions, *, seed: int = 0) -> Stolen:
    """What is left of templates [n, d] and of the attack under a defence. Raises ConfigError for an unknown one.

    A template that a defence has changed is given the mean length of those of the model, which any photos tell the
    thief; so the identity term weighs as much as without defence, and the settings stay the same.
    """
    if name not in DEFENCES or name in ("label-only", "vectors-only"):
        raise ConfigError(f"--defences: there is no defence {name!r} to invert under, known are {', '.join(DEFENCES)}")
    if name == "none":
        return Stolen(templates=templates, options=options)
    if name == "no-statistics":
        weights = replace(options.weights, batch_norm=0.0)
        return Stolen(templates=templates, options=replace(options, weights=weights))
    if templates is None:
        raise ConfigError(f"--defences: {name} protects templates, and a closed-set attack uses none; leave it out")
    unit = templates / np.linalg.norm(templates, axis=1, keepdims=True)
    changed = {
        "8bit": lambda: quantised(unit, 8),
        "4bit": lambda: quantised(unit, 4),
        "sign": lambda: signs(unit),
        "rotated": lambda: unit @ rotation(unit.shape[1], seed).astype(np.float32),
        "half-with-key": lambda: cut(unit, unit.shape[1] // 2, seed),
        "quarter-with-key": lambda: cut(unit, unit.shape[1] // 4, seed),
    }[name]()
    length = np.float32(np.linalg.norm(templates, axis=1).mean())
    changed = changed / np.linalg.norm(changed, axis=1, keepdims=True) * length
    return Stolen(templates=changed.astype(np.float32), options=options)


def quantised(templates: NDArray[np.float32], bits: int) -> NDArray[np.float32]:
    """Each value rounded to one of 2^bits - 1 evenly spaced levels from minus to plus the template's largest value."""
    if not 2 <= bits <= 16:
        raise ValueError(f"bits must be between 2 and 16, got {bits}")
    levels = 2 ** (bits - 1) - 1
    step = np.abs(templates).max(axis=1, keepdims=True) / levels
    return (np.round(templates / step) * step).astype(np.float32)


def signs(templates: NDArray[np.float32]) -> NDArray[np.float32]:
    """One bit a value: plus or minus 1 / sqrt(d); 0 counts as plus."""
    return np.where(templates >= 0, 1.0, -1.0).astype(np.float32) / np.float32(np.sqrt(templates.shape[1]))


def cut(templates: NDArray[np.float32], keep: int, seed: int) -> NDArray[np.float32]:
    """What a thief with the key has of templates [n, d] of which `keep` turned dimensions were stored: [n, d]."""
    kept = rotation(templates.shape[1], seed)[:, : max(keep, 1)]
    return (templates @ kept @ kept.T).astype(np.float32)


def rotation(dimensions: int, seed: int) -> NDArray[np.float64]:
    """A random rotation [d, d], uniform over all (QR of a Gaussian matrix, signs fixed; Stewart 1980)."""
    turned, triangle = np.linalg.qr(np.random.default_rng(seed).normal(size=(dimensions, dimensions)))
    return turned * np.sign(np.diag(triangle))
