"""What a purification came to: its rounds with their lists, and the plain run after them."""

from angulus.purification import Purified


def print_rounds(done: Purified) -> None:
    """A sentence and a list for each round, then the figures of the plain run."""
    for number, (listed, found) in enumerate(zip(done.lists, done.figures["rounds"], strict=True), start=1):
        print(f"round {number}: {found['sentence']}\n  {listed}")
    for name, value in done.figures.get("retrained", {}).items():
        print(f"{name:<20}{value:.5g}")
    if done.retrained is not None:
        print(f"the plain run: {done.retrained}")
