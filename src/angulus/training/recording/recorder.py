"""What a run notes about itself: numbers of every step, read once a stretch; looks at its data and classes.

A stretch is an epoch; several where a run has more than a hundred, or where an epoch has only a few steps. Nothing here
changes what is trained.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from angulus.embeddings import EmbeddingSet
from angulus.errors import NonFiniteError
from angulus.heads import MarginHead, SeparateHeads
from angulus.heads.strategies.cosine import unit
from angulus.models import EmbeddingModel
from angulus.training.distributed import Processes
from angulus.training.experiment import Experiment
from angulus.training.recipe.data_sources import Sources
from angulus.training.recording.class_looks import class_facts
from angulus.training.recording.counters import Counters
from angulus.training.recording.data_looks import data_facts
from angulus.training.recording.gradient_lengths import Lengths
from angulus.training.recording.nearest_classes import nearest_other
from angulus.training.recording.record_file import Records
from angulus.training.recording.softmax_bounds import softmax_facts
from angulus.training.recording.stretches import line_of
from angulus.training.recording.trained_people import TrainedPeople
from angulus.training.step import StepOutput

MOST_LINES, FEWEST_LINES = 100, 4
FEWEST_STEPS = 12
"""Of a stretch, so that looks at some of its steps cost little beside all of them."""
MOMENTS = 4
"""Of a stretch, at which the nearest other class and the gradients are looked at."""
MULTIPLICATIONS = 2.0**30
"""That one such look may take for the nearest other class, at most, as long as 16 examples are looked at."""


@dataclass(frozen=True)
class Span:
    """The part of a run that a recorder looks at, a stage: its steps, from `first` to `end` of `total`, its epochs."""

    first: int
    end: int
    total: int
    epoch_steps: int
    first_epoch: int
    epochs: int

    def epochs_at(self, step: int) -> float:
        """How many epochs of the run were done when so many steps were."""
        return self.first_epoch + (step - self.first) / self.epoch_steps


class Recorder:
    """Looks at every step of a run and writes diagnosis.jsonl. Called by every process.

    `begin`, `judged` and `end` are called by the first process alone.
    """

    def __init__(
        self,
        experiment: Experiment,
        sources: Sources,
        model: EmbeddingModel,
        head: MarginHead | SeparateHeads,
        folder: Path,
        device: torch.device,
        group: Processes,
        span: Span,
    ) -> None:
        self.experiment, self.sources, self.model, self.head = experiment, sources, model, head
        self.device, self.group, self.span = device, group, span
        self.stretch = span.epoch_steps * stretch_epochs(span.epochs, span.epoch_steps)
        self.records = Records(folder)
        self.counters = Counters(head.num_classes, model.embedding_dim, device)
        self.lengths = Lengths(model, head, device, MOMENTS, group.is_first)
        self.people = TrainedPeople.of(sources, experiment)
        self.begun = self.seen = span.first
        self.rate = 0.0

    # Every step

    @torch.no_grad()
    def look(self, step: int, output: StepOutput, rate: float) -> None:
        """Count what a step came to, before the gradients are used. step: from 0."""
        moment = self.moment(step)
        record(self.counters, self.head, output, 0 if moment is None else self.probed(output.total))
        self.rate, self.seen = max(self.rate, rate), step + 1
        if moment is not None:
            self.lengths.look(moment)

    def moment(self, step: int) -> int | None:
        """Which of the moments of its stretch a step is, None for the others."""
        within = (step - self.span.first) % self.stretch
        ends = [self.stretch * (number + 1) // MOMENTS - 1 for number in range(MOMENTS)]
        return ends.index(within) if within in ends else None

    def probed(self, total: int) -> int:
        """How many examples of each process are compared with all classes."""
        size = self.head.num_classes * self.head.subcenters * self.model.embedding_dim
        return min(total // self.group.world, max(16, int(MULTIPLICATIONS // size)))

    # Stretches

    def close(self) -> None:
        """Write the line of a stretch if one ends here, which reads the device."""
        if (self.seen - self.span.first) % self.stretch == 0 or self.seen == self.span.end:
            self.write("stretch")

    def write(self, kind: str, **more: Any) -> None:
        tensors = self.of_all()
        if self.group.is_first:
            place = {"step": self.seen, "epoch": self.span.epochs_at(self.seen), "from": self.begun, "rate": self.rate}
            self.records.append({"kind": kind, **place, **more, **line_of(tensors, self.people.sizes)})
        self.clear()

    def clear(self) -> None:
        self.counters.clear()
        self.lengths.clear()
        self.begun, self.rate = self.seen, 0.0

    def of_all(self) -> dict[str, Tensor]:
        """The numbers of all processes together, on the host."""
        return {name: self.group.sum(tensor).cpu().clone() for name, tensor in self.tensors().items()}

    def tensors(self) -> dict[str, Tensor]:
        return {**self.counters.tensors, **self.lengths.tensors}

    @contextmanager
    def failures(self) -> Generator[None, None, None]:
        """Note the sentence with which a run stops because something was not finite; all processes stop with it."""
        try:
            yield
        except NonFiniteError as error:
            self.write("failed", sentence=str(error))
            raise

    # Checkpoints

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of an unfinished stretch, {} where none is. Called by every process."""
        if self.seen == self.begun:
            return {}
        return {"begun": self.begun, "rate": self.rate, **self.of_all()}

    def restore(self, state: dict[str, Any], step: int) -> None:
        """Go on from a step with what its checkpoint held. Raises ValueError where that does not fit."""
        if self.group.is_first:
            self.records.cut(step, self.span.total)
        self.begun = self.seen = step
        tensors = self.tensors()
        for name, found in state.items():
            if name in tensors and not (
                isinstance(found, Tensor) and (found.shape, found.dtype) == (tensors[name].shape, tensors[name].dtype)
            ):
                raise ValueError(f"{name} of its record does not fit this run")
        if not set(tensors) <= set(state):
            return
        self.begun, self.rate = int(state["begun"]), float(state["rate"])
        if self.group.is_first:
            for name, tensor in tensors.items():
                tensor.copy_(state[name])

    # Looks at the data, the network and the classes: in the first process

    def begin(self) -> None:
        """Note what the run begins with: its data, and how they look to a network that comes with weights."""
        self.records.begin()
        sizes, processes = self.people.sizes, self.group.world
        facts = data_facts(self.experiment, self.sources, sizes, self.model, self.device, processes)
        self.records.append({"kind": "start", "step": 0, "steps": self.steps, **facts, **self.bounds()})

    def go_on(self, number: int, name: str) -> None:
        """Note that a later stage of the run begins, and between which losses it can move."""
        place = {"step": self.span.first, "steps": self.steps, "stage": number, "name": name}
        self.records.append({"kind": "stage", **place, **self.bounds()})

    @property
    def steps(self) -> int:
        return self.span.end - self.span.first

    def bounds(self) -> dict[str, Any]:
        return softmax_facts(self.head, self.model.embedding_dim, self.span.end)

    def judged(self, step: int, figures: dict[str, float]) -> None:
        """Verify people that are trained on, as many as are held out, beside the figures of those."""
        found = self.people.judged(self.model, self.head, self.experiment.evaluation, self.device)
        epoch = self.span.epochs_at(step)
        self.records.append({"kind": "judged", "step": step, "epoch": epoch, **figures, **found})

    def end(self, embeddings: dict[str, EmbeddingSet]) -> None:
        """Note how the classes lie at the end. embeddings: of the verified sets, by name."""
        hardest = self.hardest()
        facts = class_facts(self.model, self.head, self.sources.train, embeddings, self.people, self.device, hardest)
        self.records.append(
            {"kind": "end", "step": self.span.end, "epoch": self.span.epochs_at(self.span.end), **facts}
        )

    def hardest(self) -> list[int]:
        """The classes that were farthest from their weight in the last stretch."""
        rows = [row for row in self.records.rows() if row["kind"] == "stretch"]
        return [worst[0] for worst in rows[-1].get("classes", {}).get("worst", ())] if rows else []


def stretch_epochs(epochs: int, epoch_steps: int) -> int:
    """How many epochs a stretch has, in a run of so many, of so many steps each."""
    wanted = max(-(-epochs // MOST_LINES), -(-FEWEST_STEPS // epoch_steps))
    return min(wanted, max(1, epochs // FEWEST_LINES))


@torch.no_grad()
def record(counters: Counters, head: MarginHead | SeparateHeads, output: StepOutput, probed: int = 8) -> None:
    """Count a step; of the first few examples (`probed`) also where the nearest other class is."""
    lengths = torch.linalg.vector_norm(output.embeddings.float(), dim=1)
    counters.add(output.labels, output.losses, output.cos_target, output.balance, lengths)
    if probed:
        units, labels = unit(output.embeddings[:probed].float()), output.labels[:probed]
        other = nearest_other(head, units, labels)
        counters.probe(labels, output.cos_target[:probed], other, output.balance[1, :probed], units)
