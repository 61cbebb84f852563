"""What a person sees while a command works: log lines, and a progress bar where the output is a terminal."""

import logging
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from angulus.training import Progress


@contextmanager
def log_lines(*, quiet: bool = False, bar: "Bar | None" = None) -> Generator[None, None, None]:
    """The messages of Angulus on stderr while the block runs: all of them, or warnings alone when quiet."""
    from rich.logging import RichHandler

    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if bar is not None:
        # through the bar's console, so that lines appear above it; it shows the steps itself
        handler = RichHandler(console=bar.console, show_time=False, show_level=False, show_path=False)
        handler.addFilter(lambda entry: not str(entry.msg).startswith("step %d"))
    handler.setFormatter(_Formatter())
    logger = logging.getLogger("angulus")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return f"{record.levelname.lower()}: {text}" if record.levelno >= logging.WARNING else text


@contextmanager
def training_progress(*, quiet: bool) -> "Generator[Callable[[Progress], None] | None, None, None]":
    """Log lines while a run goes on, and a bar on a terminal; gives what `train` calls with its progress."""
    if quiet or not sys.stderr.isatty():
        with log_lines(quiet=quiet):
            yield None
        return
    with _bar() as bar, log_lines(bar=bar):
        task = bar.add_task("training", total=None, note="")

        def show(progress: "Progress") -> None:
            loss = "" if progress.loss is None else f"loss {progress.loss:.3f}, "
            note = f"epoch {progress.epoch}, {loss}{progress.images_per_second:.0f} examples/s"
            bar.update(task, completed=progress.step, total=progress.total, note=note)

        yield show


@contextmanager
def image_progress(
    *, quiet: bool = False, doing: str = "embedding", of: str = "images"
) -> Generator[Callable[[int, int | None], None] | None, None, None]:
    """The same for embedding, aligning and the like: gives what they call with the images done and their total."""
    if quiet or not sys.stderr.isatty():
        with log_lines(quiet=quiet):
            yield None
        return
    with _bar() as bar, log_lines(bar=bar):
        task = bar.add_task(doing, total=None, note="")

        def show(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total, note=f"{done:,} {of}")

        yield show


def _bar() -> "Bar":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
        transient=True,
    )
