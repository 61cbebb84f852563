"""A whole run from recipe to report, readable in the order in which it happens."""

import logging
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from angulus.data import Batch, MixedSampler, batches, fingerprint
from angulus.data.examples import noun_of
from angulus.data.loading.workers import worker_losses_told
from angulus.data.views.speeds import at_own_speed
from angulus.devices.processors import threads_of_torch
from angulus.embeddings import EmbeddingSet
from angulus.errors import CheckpointError, ConfigError
from angulus.evaluation import VerificationResult
from angulus.evaluation.report.page import Gallery, Sections, write_report
from angulus.evaluation.report.retrievals import Retrieval
from angulus.folder_locks import locked
from angulus.heads import first_centers
from angulus.interruptions import Interruption, noted
from angulus.models import EmbeddingModel, ModelConfig, load_model, save_model
from angulus.plain_numbers import counted
from angulus.speech.background.material import Bank
from angulus.storage import check_free, check_writable, placed, published_run, run_arrived, taken
from angulus.training import judge
from angulus.training.assembly import (
    bank_of,
    begun_folder,
    build_model,
    changes_of,
    chunks_of,
    network_of,
    run_folder,
)
from angulus.training.batch_order import heads_of, initial_loss, losses_by_set, shares_in_words
from angulus.training.device_batches import Feed, line_to
from angulus.training.distributed import (
    Processes,
    batch_norm_synchronised,
    freeze_batch_norm,
    local_device,
    processes,
)
from angulus.training.divergence import FiniteGuard
from angulus.training.experiment import Experiment
from angulus.training.head_initialisation import begin_classes
from angulus.training.interruption import FAILED, StopSign, losses_named
from angulus.training.nodes.restarts import is_of_this_launch, is_restarted, launch
from angulus.training.nodes.shared_folder import check_shared
from angulus.training.optimization import build_optimizer
from angulus.training.plan.compile_choice import compile_in_place, uncompiled, with_compilation
from angulus.training.plan.kernel_settings import kernels_of
from angulus.training.plan.layout_choice import with_layout
from angulus.training.plan.precision_choice import with_precision
from angulus.training.plan.strategy_choice import settled, with_advice
from angulus.training.plan.thread_choice import with_threads
from angulus.training.plan.write_choice import with_writes
from angulus.training.recipe.begun_choices import as_begun, recipe_in
from angulus.training.recipe.choices import Choice
from angulus.training.recipe.data_sources import Sources, limited, open_sources
from angulus.training.recipe.defaults import choose_device, with_choices, with_model
from angulus.training.recipe.description import NAMES, duration, facts, opening, verified
from angulus.training.recipe.fine_tuning import with_fine_tuning
from angulus.training.recipe.first_weights import with_fits
from angulus.training.recipe.holding_out import advice, check_folds, fold_runs, people_counted, told
from angulus.training.recipe.reasons import reasons
from angulus.training.recipe.serialization import record
from angulus.training.recipe.set_unions import largest_head
from angulus.training.recording.recorder import Recorder, Span
from angulus.training.stages.averaging import added, put_mean
from angulus.training.stages.handing_over import hand_over
from angulus.training.stages.legs import Leg, check_kinds, leg_at, legs_of
from angulus.training.stages.legs import told as stages_told
from angulus.training.step import (
    FORMATS,
    Recogniser,
    StepOutput,
    check_batch_norm,
    check_micro_batches,
    gradients,
    set_resting,
    settle_order,
    slice_sizes,
    update,
)
from angulus.training.storage.atomic_files import write_json
from angulus.training.storage.checkpoint import Checkpoints, clear_leftovers
from angulus.training.storage.class_names import start_classes
from angulus.training.storage.run_folder import (
    Metrics,
    RunResult,
    environment,
    finished_figures,
    start_folder,
    told_reasons,
)
from angulus.training.storage.run_state import Trained, TrainState, check_step, restore
from angulus.training.storage.writer import Writer

log = logging.getLogger(__name__)

WARM_UP = 1  # steps whose time says nothing of the others
ENOUGH = 1.0  # seconds of steps after these that say how long the rest will take
LONG = 10.0  # seconds that are worth being told of


@dataclass(frozen=True)
class Progress:
    """Where a run is: for a progress bar. loss is None until the first log interval."""

    step: int
    total: int
    epoch: int
    loss: float | None
    images_per_second: float


def train(
    experiment: Experiment,
    *,
    resume: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> RunResult:
    """Train, verify held-out identities, write the run folder.

    resume: go on from the newest checkpoint in the run folder, if there is one; a finished run is left as it is. A run
      that torchrun starts again after it lost a process goes on by itself.
    progress: called now and then, in the first process only.

    Raises an AngulusError that says what to do: ConfigError, DataError, ModelError, CheckpointError, NonFiniteError,
    OutOfMemoryError. SIGINT and SIGTERM are answered with a checkpoint after the step and an Interruption.
    """
    device = local_device(choose_device(experiment.device))
    experiment = replace(experiment, out=None if experiment.out is None else placed(experiment.out))
    with ExitStack() as stack:
        group = stack.enter_context(processes(device))
        resume = resume or (is_restarted(group) and is_of_this_launch(group, begun_folder(experiment)))
        kept = run_arrived(begun_folder(experiment)) if resume else None
        begun_as = None if kept is None else recipe_in(kept)
        experiment = asked = experiment if begun_as is None else as_begun(experiment, begun_as)
        torch.manual_seed(experiment.seed)
        is_open = experiment.model is None and experiment.init is None
        experiment = with_model(experiment, device)
        begun = None if experiment.init is None else build_model(experiment)  # weights that do not fit are told first
        experiment = with_fits(experiment)
        sources = open_sources(experiment, network_of(experiment).input)
        check_folds(sources.hold_out, group.world)
        experiment = replace(experiment, evaluation=replace(experiment.evaluation, hold_out=sources.hold_out))
        counts = len(sources.train), len(sources.train.identities)
        experiment, for_tuning = with_fine_tuning(experiment, counts[0], device)
        heads = largest_head(sources.mixture)
        more = {"processes": group.world, "model_is_open": is_open, "head_classes": heads}
        experiment, by_rules = with_choices(experiment, *counts, device, **more)
        model, config = begun or build_model(experiment)
        experiment = replace(experiment, model=config)
        chosen = reasons(asked, experiment, (*for_tuning, *by_rules), counts[1])
        folder = run_folder(experiment)
        experiment, precision = with_precision(experiment, model, device, group=group, folder=kept)
        experiment, layout = with_layout(experiment, model, device, group=group, folder=kept)
        stack.enter_context(threads_of_torch(torch.get_num_threads()))
        threads = with_threads(experiment, model, device, group=group, folder=kept)
        experiment, forecast = settled(experiment, model, sources, device, group, kept)
        stack.enter_context(with_advice(forecast))
        stack.enter_context(kernels_of(experiment.train, device))
        # pyrefly: ignore[no-matching-overload]  (its stub of Module.to does not know memory_format)
        model = model.to(device, memory_format=FORMATS[experiment.train.layout])
        number = len(sources.train)
        experiment, compiled = with_compilation(experiment, model, device, number, group=group, folder=kept)
        run = Run(experiment, model, config, sources, folder, device, group, progress, chosen)  # may refuse
        writes = with_writes(experiment, model, run.head, group)
        run.writes_beside = writes.chosen == "background"
        done: dict[str, float] | None = None
        with group.together():
            if group.is_first:
                check_writable(folder)
                if not resume:
                    check_free(folder)
        stack.enter_context(taken(folder))
        check_shared(folder, group, divided=experiment.head.sharded)
        with group.together():
            if group.is_first:
                stack.enter_context(locked(folder, CheckpointError, "training in"))
                stack.enter_context(published_run(folder))
                clear_leftovers(folder)
                start_folder(folder, record(experiment), resume)
                start_classes(folder, sources.train.identities)
                done = finished_figures(folder)
                if done is None:
                    asked_device = {"precision": precision, "layout": layout, "threads": threads, "compile": compiled}
                    asked_device |= {"checkpoint_writes": writes}
                    recorded = {name: asdict(choice) for name, choice in asked_device.items()}
                    anew = {one.key: asdict(one) for one in chosen}
                    settings = [*({one["key"]: one for one in told_reasons(folder)} | anew).values()]
                    about = environment(device, fingerprint(sources.train), recorded)
                    about |= {"settings": settings, "launch": launch()}
                    write_json(folder / "environment.json", about)
        if any(found is not None for found in group.every(done)):
            log.info("%s is finished already: nothing is done", folder)
            return RunResult(folder, done or {}, folder / "report.html")
        stack.enter_context(losses_named(group))
        stack.enter_context(worker_losses_told())
        if experiment.train.batch_norm == "synchronised":
            stack.enter_context(batch_norm_synchronised(model, group.group))
        with run.recorder.failures():
            return run.go(resume)


class Run:
    """One training run with everything it needs at hand."""

    def __init__(
        self,
        experiment: Experiment,
        model: EmbeddingModel,
        config: ModelConfig,
        sources: Sources,
        folder: Path,
        device: torch.device,
        group: Processes,
        progress: Callable[[Progress], None] | None,
        chosen: Sequence[Choice] = (),
    ) -> None:
        self.chosen = chosen
        self.whole, self.config, self.sources = experiment, config, sources
        self.folder, self.device, self.group = folder, device, group
        self.report_progress = progress if group.is_first else None
        self.model = model
        self.legs = legs_of(experiment, sources)
        self.total = self.legs[-1].end
        self.check()
        self.checkpoints = Checkpoints(folder / "checkpoints", experiment.train.keep_last)
        self.metrics = Metrics(folder / "metrics.jsonl")
        self.state = TrainState()
        self.writes_beside = False
        self.folds: VerificationResult | None = None
        self.loss: float | None = None
        self.is_compiled = False
        self.started = time.perf_counter()
        self.take_up(self.legs[0])
        if experiment.head.center is not None:
            self.state.centers = first_centers(self.head.num_classes, model.embedding_dim, device)

    def check(self) -> None:
        """Raise ConfigError for a stage that could not be trained."""
        check_kinds(self.legs)
        for leg in self.legs:
            train, sampler = leg.experiment.train, leg.sampler
            smallest = len(self.sources.train) if self.sources.mixture is None else train.batch
            ends = {0, leg.epoch_steps - 1}
            with stage_named(leg):
                check_micro_batches(train, smallest, self.group.world)
                check_batch_norm(self.model, train, [len(sampler.batch(0, each)) for each in ends], self.group.world)

    def take_up(self, leg: Leg) -> None:
        """Make what belongs to a stage: a new head and optimizer, the order of the examples and their changes."""
        self.leg, self.experiment = leg, leg.experiment
        dim, sources, device, group = self.model.embedding_dim, self.sources, self.device, self.group
        self.head, self.portions = heads_of(self.experiment, sources, dim, leg.margin, group, device)
        self.optimizer = build_optimizer(self.experiment.optim, self.model, self.head, leg.tuning)
        self.guard = FiniteGuard({"backbone": self.model, "head": self.head}, device, group)
        self.chunks = chunks_of(self.experiment, self.model)
        span = Span(leg.first_step, leg.end, self.total, leg.epoch_steps, leg.first_epoch, leg.epochs)
        self.recorder = Recorder(self.experiment, sources, self.model, self.head, self.folder, device, group, span)
        self.trained = Trained(
            model=self.model,
            config=self.config,
            head=self.head,
            optimizer=self.optimizer,
            classes=tuple(sources.train.identities),
            device=device,
            group=group,
            divided=self.experiment.head.sharded,
            has_centers=self.experiment.head.center is not None,
        )
        self.resting: bool | None = None
        self.feed: Feed | None = None
        self.told_time, self.warm = False, 0.0
        self.leg_started, self.first_step = time.perf_counter(), self.state.step

    def go(self, resume: bool) -> RunResult:
        if resume:
            self.restore()
        self.announce()
        self.folds = self.verified_in_folds()
        if self.state.step == 0:
            config, images = self.experiment.head, self.sources.train
            with uncompiled(self.experiment.train):
                begin_classes(config, self.head, self.model, images, self.device, self.group)
            with self.group.together():
                if self.group.is_first:
                    self.recorder.begin()
            if self.experiment.init is not None and self.verifies():
                self.evaluate()
        board = tensorboard(self.experiment, self.folder) if self.group.is_first else None
        self.started = time.perf_counter()
        writer = Writer(self.checkpoints, self.group, self.device, background=self.writes_beside)
        with noted() as asked, writer as self.writer:
            sign = StopSign(asked, self.group, lambda: writer.failed)
            for leg in self.legs[self.leg.number - 1 :]:
                if self.state.step == leg.end:
                    continue  # resumed where it ended
                recogniser = self.entered(leg)
                for batch in self.remaining():
                    self.settle_resting(recogniser)
                    if self.head.update is not None:
                        self.head.learning_rate = self.rate()
                    output = gradients(
                        recogniser,
                        self.model,
                        batch,
                        augment=self.changes,
                        config=self.experiment.train,
                        seed=self.experiment.seed,
                        step=self.state.step,
                        device=self.device,
                        world=self.group.world,
                        portions=self.portions,
                    )
                    self.guard.look(self.state.step, output.losses, batch.indices)
                    if self.device.type == "cpu":
                        self.guard.raise_if_bad(self.sources.train.keys)
                    rate, clip = self.rate(), self.experiment.train.clip_norm
                    self.recorder.look(self.state.step, output, rate)
                    norm = update(self.optimizer, self.model, rate, clip, rests=self.rests(self.state.step))
                    self.move_centers(output)
                    self.state.step += 1
                    self.tell_time(self.state.step - self.first_step)
                    if self.is_log_step():
                        self.write(self.row(output, norm, rate), board)
                    if self.ends_epoch():
                        self.recorder.close()
                        self.average()
                    if self.ends_epoch() and self.evaluates():
                        self.evaluate()
                    if self.saves():
                        self.save()
                    if number := sign.seen():
                        self.stop(number)
            if number := sign.last():
                self.stop(number)
        self.guard.raise_if_bad(self.sources.train.keys)
        self.head.raise_for_labels()
        return self.finish()

    # Where the run stands

    @property
    def epoch(self) -> int:
        return self.leg.place(self.state.step)[0]

    def seconds(self) -> float:
        """Time spent in this run so far, interruptions left out."""
        return self.state.seconds + time.perf_counter() - self.started

    def ends_epoch(self) -> bool:
        return self.leg.place(self.state.step)[1] == 0

    def evaluates(self) -> bool:
        every = self.experiment.evaluation.every or 1
        if not self.verifies() or self.state.step == self.total:
            return False
        return self.epoch % every == 0 or self.state.step == self.leg.end

    def verifies(self) -> bool:
        """Whether people are held out and looked at during the run."""
        return self.sources.held_out is not None and self.experiment.evaluation.every is not None

    def saves(self) -> bool:
        every = self.experiment.train.checkpoint_every
        is_end = self.state.step == self.leg.end
        return is_end or (self.ends_epoch() if every is None else self.state.step % every == 0)

    def is_log_step(self) -> bool:
        ends = (1, self.leg.first_step + 1, self.leg.end)
        return self.state.step % self.experiment.train.log_every == 0 or self.state.step in ends

    def tell_time(self, steps: int) -> None:
        """Say once how long the run is expected to take, when enough of its steps have been taken to know."""
        steps = min(steps, self.state.step - self.leg.resting_end)  # the head alone takes a third of the time
        if self.told_time or steps <= WARM_UP or not self.group.is_first:
            return
        if steps == WARM_UP + 1:
            self.warm = time.perf_counter()
            return
        now = time.perf_counter()
        if now - self.warm < ENOUGH or (self.device.type == "cuda" and not self.is_log_step()):
            return
        each = (now - self.warm) / (steps - WARM_UP - 1)
        left = each * (self.leg.end - self.state.step)
        self.told_time = True
        if left >= LONG:
            where = "" if len(self.legs) == 1 else f" in the stage {self.leg.name}"
            log.info("%sabout %s to go%s, %.2g seconds a step", "time".ljust(NAMES), duration(left), where, each)

    def rate(self) -> float:
        return self.leg.rate(self.state.step)

    def rests(self, step: int) -> bool:
        """Whether the network stays as it is in this step and the head learns alone."""
        return step < self.leg.resting_end

    # Parts of the loop

    def entered(self, leg: Leg) -> nn.Module:
        """Begin a stage, or go on in it: the module that is called in its steps."""
        if leg is not self.leg:
            before = self.head
            self.optimizer.zero_grad(set_to_none=True)
            self.optimizer.state.clear()  # its memory is free before the next one takes some
            self.take_up(leg)
            hand_over(before, self.head)
            if self.group.is_first:
                self.recorder.go_on(leg.number, leg.name)
        if self.group.is_first and len(self.legs) > 1:
            log.info("stage %d of %d, %s, from step %d on", leg.number, len(self.legs), leg.name, self.state.step)
        self.changes = changes_of(self.experiment, self.bank, self.model)
        recogniser = self.wrapped()
        self.leg_started, self.first_step = time.perf_counter(), self.state.step
        return recogniser

    @cached_property
    def bank(self) -> Bank | None:
        """What the speech of this run gets as a background, in any of its stages: made once, before the first step."""
        asked = [leg.experiment for leg in self.legs]
        return bank_of(asked, self.sources.train, self.model, self.device)

    def move_centers(self, output: StepOutput) -> None:
        """Where there is a center loss, move the centers of the classes that were in a step."""
        center, features = self.experiment.head.center, output.features
        if center is None or self.state.centers is None or features is None:
            return
        sizes = slice_sizes(output.total, self.group.world)
        center.move(self.state.centers, features, output.labels, group=self.group.group, sizes=sizes)

    def average(self) -> None:
        """At the end of an epoch: keep the network for the mean, and at the end of the stage take the mean over."""
        if not self.leg.is_averaged(self.state.step):
            return
        self.state.sums = added(self.state.sums, self.model.state_dict())
        self.state.summed += 1
        if self.state.step < self.leg.end:
            return
        with self.group.together():
            if self.group.is_first and self.state.step == self.total:
                save_model(self.folder / "last", self.model, self.config, extra={"step": self.state.step})
        put_mean(self.model, self.state.sums, self.state.summed)
        if self.group.is_first:
            log.info("the network is the mean of those after the last %d epochs", self.state.summed)
        self.state.sums, self.state.summed = {}, 0

    def settle_resting(self, recogniser: nn.Module) -> None:
        """Let the network rest or move, as the next step wants it."""
        if self.leg.resting_end == self.leg.first_step or self.resting == (rests := self.rests(self.state.step)):
            return
        self.resting = rests
        set_resting(recogniser, self.model, self.experiment.train, rests)
        if self.group.is_first:
            log.info("the class weights move alone, the network rests" if rests else "the network moves too")

    def wrapped(self) -> nn.Module:
        """The module that is called: compiled and distributed as the recipe says, in training mode."""
        config, head = self.experiment.train, self.experiment.head
        beside = (head.triplet, self.group.group, head.center, self.state.centers)
        if config.compile and not self.is_compiled:
            compile_in_place(self.model)
            self.is_compiled = True
        if self.group.group is None:
            recogniser: nn.Module = Recogniser(self.model, self.head, *beside)
        elif self.head.holds_whole_gradient:
            recogniser = Recogniser(self.parallel(self.model), self.head, *beside)
        else:
            recogniser = self.parallel(Recogniser(self.model, self.head, *beside))
        with uncompiled(config):
            settle_order(recogniser.eval(), self.model, self.device, config.layout)
        recogniser.train()
        if config.batch_norm == "frozen":
            freeze_batch_norm(self.model)
        return recogniser

    def parallel(self, module: nn.Module) -> DistributedDataParallel:
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(module, device_ids=devices, broadcast_buffers=False)

    def remaining(self) -> Iterator[Batch]:
        """The batches to the end of the stage, on the device; the time that it waits for them is counted."""
        epoch, start = self.leg.place(self.state.step)
        stream = batches(
            self.sources.train,
            self.leg.sampler,
            epoch=epoch,
            start=start,
            end_epoch=self.leg.end_epoch,
            chunks=self.chunks,
            rank=self.group.rank,
            world_size=self.group.world,
            num_workers=self.experiment.train.workers,
        )
        self.feed = Feed(stream, line_to(self.device))
        while self.state.step < self.leg.end:
            batch = next(self.feed, None)
            if batch is None:
                return
            yield batch

    def row(self, output: StepOutput, norm: torch.Tensor, rate: float) -> dict[str, Any]:
        """A line of metrics. Reads the device, and looks whether all was finite."""
        seconds, steps = time.perf_counter() - self.leg_started, self.state.step - self.first_step
        self.guard.raise_if_bad(self.sources.train.keys)
        self.head.raise_for_labels()
        loss = float(self.group.mean(output.loss))
        cos_target = float(self.group.sum(output.cos_target.sum())) / output.total
        self.loss = loss
        waited = 0.0 if self.feed is None else self.feed.waited()
        return {
            "step": self.state.step,
            "epoch": self.leg.epochs_at(self.state.step),
            **({"stage": self.leg.number} if len(self.legs) > 1 else {}),
            "loss": loss,
            "cos_target": cos_target,
            **({} if output.pairs is None else {"loss/triplet": float(self.group.mean(output.pairs))}),
            **({} if output.center is None else {"loss/center": float(self.group.mean(output.center))}),
            **losses_by_set(output, self.sources.mixture, self.leg.sampler, self.group),
            "gradient_norm": float(norm),
            "lr": rate,
            "images_per_second": round(steps * self.experiment.train.batch / seconds, 1),
            "waiting_for_data": round(waited / seconds, 4),
        }

    def write(self, row: dict[str, Any], board: Any) -> None:
        if not self.group.is_first:
            return
        self.metrics.append(row)
        if board is not None:
            for name in ("loss", "cos_target", "gradient_norm", "lr", "images_per_second"):
                board.add_scalar(f"train/{name}", row[name], row["step"])
        log.info(
            "step %d/%d  epoch %.2f  loss %.4f  own cosine %.3f  lr %.2g  %.0f %ss/s  waiting for data %.0f %%",
            *(row["step"], self.total, row["epoch"], row["loss"], row["cos_target"], row["lr"]),
            *(row["images_per_second"], noun_of(self.sources.train), 100 * row["waiting_for_data"]),
        )
        if self.report_progress is not None:
            self.report_progress(Progress(self.state.step, self.total, self.epoch, self.loss, row["images_per_second"]))

    def evaluate(self) -> None:
        """Verify the held-out identities in the first process and keep the network if it is the best so far."""
        with self.group.together(), uncompiled(self.experiment.train):
            if self.group.is_first:
                self.judge_held_out()

    def judge_held_out(self) -> None:
        assert self.sources.held_out is not None
        embeddings = judge.embeddings_of(self.model, self.sources.held_out, self.experiment.evaluation, self.device)
        results = judge.judge(embeddings, self.experiment.evaluation, "held-out")
        figures = judge.figures_of(results, "held-out")
        figures |= judge.figures_of_search(judge.searched(embeddings, self.experiment.evaluation), "held-out")
        self.metrics.append({"step": self.state.step, "epoch": self.epoch, **figures})
        self.recorder.judged(self.state.step, figures)
        when = f"epoch {self.epoch}" if self.state.step else "with the weights of init, before training"
        log.info("%s: %s on %d people not trained on", when, verified(figures), self.held_out_people())
        self.keep_if_best(figures)

    def held_out_people(self) -> int:
        return 0 if self.sources.held_out is None else len(self.sources.held_out.identities)

    def keep_if_best(self, figures: dict[str, float]) -> None:
        better, value = judge.is_better(figures, self.state.best, self.experiment.evaluation)
        if better and self.experiment.train.keep_best:
            self.state.best = value
            save_model(self.folder / "best", self.model, self.config, extra={"step": self.state.step, **figures})

    def verified_in_folds(self) -> VerificationResult | None:
        """Where people are verified in folds: a run without each of them, begun or gone on with; the pooled figures."""
        if self.sources.hold_out != "folds":
            return None
        runs = fold_runs(self.whole, len(at_own_speed(self.sources.train).identities), self.folder)
        embedded: list[EmbeddingSet] = []
        for number, (run, people) in enumerate(zip(runs, self.sources.folds, strict=True), start=1):
            log.info("fold %d of %d: a model without %s, verified on them", number, len(runs), people_counted(people))
            begun = time.perf_counter()
            with torch.random.fork_rng([]), judge.quieter():
                trained = train(run, resume=True, progress=self.report_progress)
                model = load_model(trained.folder / "model").to(self.device)
                people = limited(run, people)
                embedded.append(judge.embeddings_of(model, people, self.experiment.evaluation, self.device))
            left = (time.perf_counter() - begun) * (len(runs) + 1 - number)
            if left >= LONG:
                log.info("%sabout %s to go", "time".ljust(NAMES), duration(left))
        log.info("the model that is kept, trained on everybody:")
        return judge.judge_folds(embedded, self.experiment.evaluation)

    def tell_of_start(self, figures: dict[str, float]) -> None:
        """Say it where training made the weights that it began with worse."""
        start = next((row for row in self.metrics.rows() if row["step"] == 0 and "held-out/eer" in row), None)
        if start is None:
            return
        _, before = judge.is_better(start, None, self.experiment.evaluation)
        _, now = judge.is_better(figures, None, self.experiment.evaluation)
        if now < before:
            log.warning(
                "the weights of init were better on the held-out people than the network at the end (EER %.2f %% "
                "against %.2f %%); best/ holds the best network of the run",
                100 * start["held-out/eer"],
                100 * figures["held-out/eer"],
            )

    # Checkpoints

    def save(self) -> None:
        self.guard.raise_if_bad(self.sources.train.keys)
        state = replace(self.state, seconds=self.seconds(), recorded=self.recorder.state())
        self.writer.save(self.trained, state)
        if self.state.step == self.leg.end:  # what comes after may start processes, and a run ends with all written
            self.writer.wait()

    def stop(self, number: int) -> None:
        """End because of a signal, with a checkpoint to go on from, or because one could not be written."""
        self.writer.wait()
        if number == FAILED:
            raise CheckpointError(
                f"a process could not write its part of a checkpoint in {self.folder}; resume the run"
            )
        if not self.saves():
            self.save()
            self.writer.wait()
        raise Interruption(f"step {self.state.step} of {self.total} is saved", number=number)

    def restore(self) -> None:
        found = restore(self.trained_at, self.checkpoints)
        check_step(self.folder, 0 if found is None else found.step, self.total)
        if self.group.is_first:
            self.metrics.cut(-1 if found is None else found.step, self.total)
            self.loss = None if found is None else self.metrics.loss_at(found.step, self.total)
            if found is None:
                log.info("no checkpoint in %s: the run starts at its beginning", self.folder)
            else:
                log.info("resumed at step %d of %d", found.step, self.total)
        self.state = found or self.state
        self.recorder.restore(self.state.recorded, self.state.step)

    def trained_at(self, step: int) -> Trained:
        """What a checkpoint of a step is read into: the head and the optimizer of its stage."""
        leg = leg_at(self.legs, step)
        if leg is not self.leg:
            self.take_up(leg)
        return self.trained

    # Beginning and end

    def announce(self) -> None:
        if not self.group.is_first:
            return
        for line in opening(self.whole, self.model, self.sources.notes, self.chosen, self.device):
            log.info("%s", line)
        if self.state.step < self.total and self.bank is not None:
            for row, line in enumerate(self.bank.told):
                log.info("%s%s", ("" if row else "sounds").ljust(NAMES), line)
        for row, said in enumerate(advice(self.whole, len(self.sources.train.identities))):
            log.info("%s%s", ("" if row else "advice").ljust(NAMES), said)
        if self.sources.mixture is not None and isinstance(self.leg.sampler, MixedSampler):
            log.info("%severy batch has %s", " " * NAMES, shares_in_words(self.sources.mixture, self.leg.sampler))
        classes = self.head.num_classes
        loss = initial_loss(self.head, self.portions, self.model.embedding_dim)
        first = self.legs[0]
        for row, line in enumerate(stages_told(self.legs)):
            log.info("%s%s", ("" if row else "stages").ljust(NAMES), line)
        log.info(
            "%s%s of %s, kept in %s; a random network has a loss near %.2f with %d classes",
            *("run".ljust(NAMES), counted(first.epochs, "epoch"), counted(first.epoch_steps, "step")),
            *(self.folder, loss, classes),
        )

    def finish(self) -> RunResult:
        """Verify every set with the network as it is at the end, and write model, figures and report."""
        figures: dict[str, float] = {}
        with self.group.together(), uncompiled(self.experiment.train):
            if self.group.is_first:
                figures = self.judge_all()
        return RunResult(self.folder, figures, self.folder / "report.html")

    def judge_all(self) -> dict[str, float]:
        figures: dict[str, float] = {}
        results = [] if self.folds is None else [self.folds]
        if results:
            figures |= judge.figures_of(results, "held-out")
        hardest: list[Gallery] = []
        across: list[Retrieval] = []
        embedded: dict[str, EmbeddingSet] = {}
        held_out = {} if self.sources.held_out is None else {"held-out": self.sources.held_out}
        for name, source in {**held_out, **self.sources.also}.items():
            embeddings = judge.embeddings_of(self.model, source, self.experiment.evaluation, self.device)
            embedded[name] = embeddings
            judged = judge.judge(embeddings, self.experiment.evaluation, name, intervals=None)
            figures |= judge.figures_of(judged, name)
            if (found := judge.searched(embeddings, self.experiment.evaluation)) is not None:
                figures |= judge.figures_of_search(found, name)
                across.append(Retrieval(name=f"{name}, across cameras", result=found))
            results += judged
            hardest = hardest or judge.galleries(embeddings, source, self.experiment.evaluation)
        self.metrics.append({"step": self.state.step, "epoch": self.epoch, **figures})
        if held_out:
            self.recorder.judged(self.state.step, figures)
            self.tell_of_start(figures)
            self.keep_if_best(figures)
        self.recorder.end(embedded)
        if self.loss is not None:
            figures["loss"] = self.loss
        figures["seconds"] = round(self.seconds(), 2)
        save_model(self.folder / "model", self.model, self.config, extra=figures)
        stages = stages_told(self.legs)
        write_report(
            self.folder / "report.html",
            f"Run {self.folder.name}",
            results,
            galleries=hardest,
            notes=[*told(self.sources.hold_out, len(self.sources.folds)), *self.sources.notes],
            curves={self.folder.name: self.metrics.rows()},
            facts={**facts(self.whole, self.head), **({"stages": "; ".join(stages)} if stages else {})},
            sections=Sections(retrievals=across),
        )
        if across:
            write_json(self.folder / "retrieval.json", [{"name": one.name, **one.result.as_dict()} for one in across])
        write_json(self.folder / "evaluation.json", [result.as_dict() for result in results])
        write_json(self.folder / "result.json", {"figures": figures, "recipe": record(self.whole)})
        log.info("finished, %s from the first step on", duration(figures["seconds"]))
        return figures


@contextmanager
def stage_named(leg: Leg) -> Generator[None, None, None]:
    """What is wrong with a later stage is said to be so."""
    try:
        yield
    except ConfigError as error:
        if leg.number == 1:
            raise
        raise ConfigError(f"stages[{leg.number - 2}] ({leg.name}): {error}") from error


def tensorboard(experiment: Experiment, folder: Path) -> Any:
    """A TensorBoard writer where the recipe asks for one, else None."""
    if not experiment.train.tensorboard:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ConfigError("train.tensorboard needs TensorBoard: pip install 'angulus[tensorboard]'") from None
    return SummaryWriter(str(folder / "tensorboard"))
