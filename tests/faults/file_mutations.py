"""What may happen to a file: flipped bytes, cuts, and blocks that are inserted, repeated, zeroed or lost; seeded."""

import random

KINDS = ("flip", "cut", "insert", "repeat", "zero", "lose")


def mutated(content: bytes, seed: str) -> tuple[str, bytes]:
    """The kind of one mutation and its outcome, which differs from `content`."""
    draw = random.Random(seed)
    while True:
        kind = draw.choice(KINDS)
        changed = _mutate(bytearray(content), kind, draw)
        if changed != content:
            return kind, changed


def _mutate(content: bytearray, kind: str, draw: random.Random) -> bytes:
    place = draw.randrange(len(content))
    length = min(draw.choice((1, 4, 16, 64, 512)), len(content) - place)
    match kind:
        case "flip":
            for _ in range(draw.choice((1, 1, 2, 8, 100))):
                content[draw.randrange(len(content))] ^= draw.randrange(1, 256)
        case "cut":
            del content[place:]
        case "insert":
            content[place:place] = draw.randbytes(length)
        case "repeat":
            content[place:place] = content[place : place + length] * draw.choice((1, 1, 3))
        case "zero":
            content[place : place + length] = bytes(length)
        case "lose":
            del content[place : place + length]
    return bytes(content)
