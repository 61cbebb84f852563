"""Options that several commands share, each written down once, and how their words are read.

A record is flattened by the command line: its fields are options of every command that takes it. A command that means
something of its own by one of them says so in its docstring, under the name record.field.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from angulus.cli.numbers import Count, Positive, Rate, Share
from angulus.storage import address_of, in_words
from angulus.text_files import printable
from angulus.whole_files import write_beside

if TYPE_CHECKING:
    from angulus.data import Source
    from angulus.runtime import Recognizer

Flag = Parameter(negative=(), show_default=False)
Several = Parameter(negative=())
Fit = Literal["auto", "proportional", "resize", "crop", "error"]
View = Literal["plain", "sum", "concat"]
Protocol = Literal["plain", "mean-centred", "insightface"]
WithoutFace = Literal["error", "reject"]
Rule = Literal["subcenter", "strict", "nearest", "combined"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ModelUse:
    """How a model is read, and where it runs.

    Parameters
    ----------
    network
        What foreign weights are of, or "module:Class" of your own network.
    device
        auto, cpu, cuda or cuda:N.
    """

    network: str | None = None
    device: str = "auto"

    def place(self) -> str:
        """The device that is meant. Raises ConfigError where it is not here."""
        return device_named(self.device)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Trust:
    """What of a stored recipe may run.

    Parameters
    ----------
    allow
        A class "module:Class" that the recipe stored in a run may name: importing it runs its code. May be given
        several times.
    """

    allow: Annotated[tuple[str, ...], Several] = ()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Fitting:
    """How images come to a model's size.

    Parameters
    ----------
    fit
        How images of another size are brought to the model's. auto: as the model's run did, or else cut off what is
        too wide or too high, or scale where the shape is the same.
    """

    fit: Fit = "auto"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class EmbeddingUse(Fitting, ModelUse):
    """How images go through a model.

    Parameters
    ----------
    batch_size
        Images per pass; what suits the network and the device, where nothing is said.
    """

    batch_size: Annotated[int | None, Count] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Edits:
    """What is changed in a set before it is used.

    Parameters
    ----------
    edits
        Lists of changes (csv: drop, relabel, split, merge) to apply to the set.
    """

    edits: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative="")] = ()

    def applied(self, source: "Source") -> "Source":
        """The source with the changes of these lists made."""
        from angulus.data import apply_edits, read_edits

        return apply_edits(source, [read_edits(path) for path in self.edits]) if self.edits else source


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Views:
    """What of stored embeddings is compared.

    Parameters
    ----------
    views
        Which embedding of an image counts: its own, or with its mirror image (sum, where there is one).
    """

    views: View | None = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Computing:
    """Where stored embeddings are compared.

    Parameters
    ----------
    device
        cpu, cuda or cuda:N.
    """

    device: str = "cpu"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Page:
    """Where a page goes.

    Parameters
    ----------
    report
        Write an HTML page to this file.
    """

    report: Path | None = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Table:
    """Where a table goes.

    Parameters
    ----------
    markdown
        Write the figures as one Markdown table to this file.
    """

    markdown: Path | None = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Figures:
    """Where figures go.

    Parameters
    ----------
    json
        Write the figures to this file.
    """

    json: Path | None = None

    def save(self, content: Any) -> None:
        """Write the figures, whole or not at all; nothing where no file was asked for."""
        save_json(self.json, content)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Said:
    """What is said while a command works.

    Parameters
    ----------
    quiet
        Show warnings only.
    """

    quiet: Annotated[bool, Flag] = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Scoring:
    """What is done to the scores of speaker verification before they are judged; each step may be left out.

    Parameters
    ----------
    center
        Embeddings of other speakers whose mean is subtracted from every embedding.
    cohort
        Embeddings of other speakers, with labels: AS-norm by one mean vector of each of them.
    top
        How many of the highest cohort scores of each side count in AS-norm; left out, 300, or the whole cohort where it
        is smaller.
    calibrate_on
        Embeddings and their trial list, of other speakers, on which scores become log-likelihood ratios by logistic
        regression; without a list their trials are made as those that are judged. Or a file of --keep-calibration.
    quality
        What the calibration takes beside the score, from both sides of a trial: a column of numbers above 0, such as
        seconds, or norm, that of the embedding. May be given several times.
    calibration_prior
        How probable a genuine trial is taken to be where a calibration is fitted: its cost counts most near the
        threshold of this prior. Left out, 0.5.
    keep_calibration
        Write the calibration to this file.
    enrolment
        Lines "model recording recording ..." as Kaldi's spk2utt: the left side of a trial names a model, the mean of
        the normalised embeddings of these recordings.
    enrol
        Without a trial list: so many recordings, drawn, of each speaker become a model, and every other recording is
        compared with every model.
    """

    center: Path | None = None
    cohort: Path | None = None
    top: Annotated[int | None, Count] = None
    calibrate_on: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative="")] = ()
    quality: Annotated[tuple[str, ...], Several] = ()
    calibration_prior: Annotated[float | None, Rate] = None
    keep_calibration: Path | None = None
    enrolment: Path | None = None
    enrol: Annotated[int | None, Count] = None

    @property
    def is_asked_for(self) -> bool:
        """Whether any of it was named."""
        return self != Scoring()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class CopyParts:
    """How the search for copies is done by independent jobs.

    Parameters
    ----------
    part
        Compare one part of all pairs only, i/n with i from 0 to n - 1, into the file that --out then names.
    add
        Files of all parts, of these very sets: their pairs are not compared again.
    """

    part: str | None = None
    add: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative="")] = ()

    def check(self) -> None:
        """Raise EvaluationError for words that do not go together."""
        check_part(self.part, self.add)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Division:
    """How one evaluation is done by independent jobs.

    Parameters
    ----------
    part
        Count one part of the work only, i/n with i from 0 to n - 1, into the file that --out names.
    out
        The file for the counts of one part.
    add
        Files of counts of all parts: the figures are those of the whole, in every digit.
    """

    part: str | None = None
    out: Path | None = None
    add: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative="")] = ()

    def check(self, **others: Any) -> None:
        """Raise EvaluationError for words that do not go together. others: what parts, or their sum, cannot take."""
        from angulus.errors import EvaluationError

        if (self.part is None) != (self.out is None):
            there, lacking = ("--out", "--part i/n") if self.part is None else ("--part", "--out FILE")
            raise EvaluationError(f"{there} counts one part of an evaluation into a file, and {lacking} is missing")
        check_part(self.part, self.add)
        given = [name.replace("_", "-") for name, value in others.items() if value]
        if given and self.is_asked_for:
            option = "--add takes everything from the files of the parts" if self.add else "--part cannot divide it"
            raise EvaluationError(f"{option}, so leave --{given[0]} out")

    def check_added(self, **given: Any) -> None:
        """Raise EvaluationError for words that say again, or otherwise, what the files of the parts say."""
        from angulus.errors import EvaluationError

        said = [name for name, value in given.items() if value]
        if said:
            named = said[0] if said[0] in ("what", "probes", "gallery", "queries") else f"--{said[0]}"
            raise EvaluationError(
                f"--add takes the set and what is asked of it from the files of the parts; leave {named} out"
            )

    def check_counted(self, **given: Any) -> None:
        """Raise EvaluationError for figures, which one part does not have."""
        from angulus.errors import EvaluationError

        said = [name for name, value in given.items() if value]
        if said:
            raise EvaluationError(
                f"one part has no figures, so that there is nothing for --{said[0]}; name it with --add"
            )

    @property
    def is_asked_for(self) -> bool:
        """Whether the evaluation is divided, or put together."""
        return self != Division()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TwoRounds(Division):
    """How all pairs are counted by independent jobs.

    Parameters
    ----------
    after
        Files of counts of all parts of a first round, whose sum was refused because a threshold lay elsewhere than a
        sample had said: the second round looks where the counts prove it to be.
    """

    after: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative="")] = ()

    def check(self, **others: Any) -> None:
        """As `Division.check`."""
        from angulus.errors import EvaluationError

        super().check(**others)
        if self.after and self.part is None:
            raise EvaluationError("--after is for --part: it says where the second round looks; name the part")

    @property
    def is_asked_for(self) -> bool:
        """Whether the evaluation is divided, or put together."""
        return self != TwoRounds()


Choose = Literal["prominent", "largest", "central", "surest"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class BundleUse:
    """How a bundle is run, and how faces are found.

    Parameters
    ----------
    runtime
        What computes: auto takes the first that is installed of those that can open the bundle.
    threads
        Threads of one pass through the network.
    detector
        Another detector than the one that the bundle brings; scrfd, retinaface and yunet need an ONNX file of yours.
    file
        The ONNX file of the detector.
    min_face
        The smallest face to look for, in pixels of the photo, with --detector mtcnn.
    score
        The least score of a face, 0 to 1, with --detector; left out, the detector's own.
    choose
        Which face of several: the prominent one (large and near the middle), the largest, the most central, or the one
        with the highest score.
    crops
        The images are aligned crops: no face is looked for.
    """

    runtime: Literal["auto", "onnxruntime", "openvino", "torch"] = "auto"
    threads: Annotated[int, Count] = 1
    detector: Literal["bundle", "auto", "mtcnn", "yuface", "scrfd", "retinaface", "yunet"] = "bundle"
    file: Path | None = None
    min_face: Annotated[float, Positive] = 40.0
    score: Annotated[float | None, Share] = None
    choose: Choose = "prominent"
    crops: Annotated[bool, Flag] = False

    def recognizer(self, bundle: Path) -> "Recognizer":
        """The bundle, opened. Raises BundleError."""
        from angulus.faces.detectors.catalogue import DetectorChoice
        from angulus.runtime import Recognizer

        other = None
        if self.detector != "bundle":
            other = DetectorChoice(name=self.detector, file=self.file, min_face=self.min_face, score=self.score)
        return Recognizer(bundle, detector=other, choose=self.choose, runtime=self.runtime, threads=self.threads)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class GalleryUse:
    """How a gallery is opened.

    Parameters
    ----------
    key_file
        A file with the key of an encrypted gallery, 32 bytes or 64 hexadecimal digits; or set ANGULUS_GALLERY_KEY.
    transform_key_file
        A file with the key of the transform that its vectors go through.
    search
        How templates are searched: exact, or an index of faiss over them such as faiss:HNSW32.
    """

    key_file: Path | None = None
    transform_key_file: Path | None = None
    search: str = "exact"

    def key(self) -> bytes | None:
        """The key, from the file or from the environment. Raises GalleryError."""
        from angulus.gallery.ciphers import key_bytes, read_key

        if self.key_file is not None:
            return read_key(self.key_file)
        said = os.environ.get("ANGULUS_GALLERY_KEY")
        return key_bytes(said) if said else None


class Usual:
    """What holds where nothing is said."""

    model_use = ModelUse()
    trust = Trust()
    fitting = Fitting()
    embedding_use = EmbeddingUse()
    edits = Edits()
    views = Views()
    computing = Computing()
    page = Page()
    table = Table()
    figures = Figures()
    said = Said()
    scoring = Scoring()
    division = Division()
    two_rounds = TwoRounds()
    copy_parts = CopyParts()
    bundle_use = BundleUse()
    gallery_use = GalleryUse()


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Recipes and `key=value` settings; a file that has "=" in its name is a recipe all the same."""
    recipes = [text for text in arguments if "=" not in text or Path(text).is_file()]
    return recipes, [text for text in arguments if text not in recipes]


def check_part(part: str | None, add: Sequence[Path]) -> None:
    """Raise EvaluationError for a part that there is not, or one that is counted and added at once."""
    from angulus.errors import EvaluationError
    from angulus.evaluation.parts.divisions import Part

    if part is not None:
        Part.parse(part)
    if add and part is not None:
        raise EvaluationError("--part counts and --add adds what was counted: name one of them")


def check_output(*paths: Path | None) -> None:
    """Raise AngulusError before the work begins when a result could not be written at its end."""
    from angulus.errors import AngulusError

    for path in paths:
        if path is None:
            continue
        if path.is_dir():
            raise AngulusError(f"{path} is a folder; name a file to write")
        if path.is_symlink() or (path.exists() and not path.is_file()):
            kind = "a link" if path.is_symlink() else "a device or a pipe"
            raise AngulusError(f"{path} is {kind}, in whose place the result would be laid; name a plain file")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            probe = path.with_name(f".{path.name}.probe")
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise AngulusError(f"{path} cannot be written: {error.strerror or error}") from error


def check_outside(out: Path | None, *inputs: Path | None) -> None:
    """Raise AngulusError where results would lie inside a folder that is read, and be read with it the next time."""
    from angulus.errors import AngulusError

    for folder in inputs:
        if out is None or folder is None or not folder.is_dir():
            continue
        place, whole = out.resolve(), folder.resolve()
        if place == whole or whole in place.parents:
            other = whole.with_name(f"{whole.name}_{out.name if place != whole else 'out'}")
            beside = address_of(other) or os.path.relpath(other)
            where = "is the folder that is read" if place == whole else f"lies inside {folder}, which is read"
            raise AngulusError(
                f"{out} {where}: what is written there would be taken for a part of it the "
                f"next time; name a folder outside, such as {beside}"
            )


def save_json(path: Path | None, content: Any) -> None:
    """Write a command's figures, whole or not at all; nothing where no file was asked for."""
    if path is not None:
        text = in_words(json.dumps(content, indent=2, allow_nan=False)) + "\n"
        write_beside(path, lambda part: part.write_text(text, encoding="utf-8"))


def save_text(path: Path | None, text: Callable[[], str]) -> None:
    """Write a text, whole or not at all; nothing where no file was asked for."""
    if path is not None:
        content = printable(in_words(text())).encode()
        write_beside(path, lambda part: part.write_bytes(content))


def device_named(name: str) -> str:
    """The device that a name means. Raises ConfigError where it is not here."""
    from angulus.errors import ConfigError
    from angulus.training.recipe.defaults import choose_device

    try:
        return str(choose_device(name))
    except ValueError as error:
        raise ConfigError(f"--{error}") from error
