"""From the words of a command line to an exit status: 0 done, 1 a run of a study failed, 2 an error, as a sentence."""

import errno
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from difflib import SequenceMatcher
from typing import Any

from cyclopts import (
    App,
    CycloptsError,
    Group,
    MissingArgumentError,
    Parameter,
    UnknownOptionError,
    UnusedCliTokensError,
    ValidationError,
)

from angulus.cli.commands.audit.group import app as audit
from angulus.cli.commands.data.group import app as data
from angulus.cli.commands.evaluate.verification import app as evaluate
from angulus.cli.commands.gallery.group import app as gallery
from angulus.cli.commands.serve.group import app as serve
from angulus.cli.inputs.words.overwritten import OPTIONS, check_apart
from angulus.cli.inputs.words.remote_words import are_remote, fetch_read, publish_written, told_by_address, with_places
from angulus.cli.streams import open_all, say, say_last
from angulus.devices.processors import set_waiting
from angulus.errors import AngulusError
from angulus.interruptions import Interruption, raised
from angulus.lifelines import follow_parent
from angulus.storage import in_words
from angulus.version import __version__

ERROR = 2
INTERRUPTED = 130
PIPE_CLOSED = 141
ALIKE = 0.8  # from here on an option is a slip of the pen for another one
TAKE_SETTINGS = ("train", "config", "plan", "study", "purify")
FULL = (errno.ENOSPC, errno.EDQUOT)
WITH_TORCH = ("torch", "safetensors")
OF_THE_MACHINE = (*FULL, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG, errno.EMFILE)

set_waiting()  # read when torch is first imported, and by every child

app = App(
    name="angulus",
    suppress_keyboard_interrupt=False,  # `main` says how to go on
    group_arguments=Group("Arguments", sort_key=0),
    group_parameters=Group("Parameters", sort_key=1),
    default_parameter=Parameter(negative_iterable=()),  # no --empty-betas
    version=f"angulus {__version__}",
    help="Train, evaluate and compare open-set recognition models with margin-softmax losses.",
    help_epilogue=(
        "A first run: angulus train data.path=FOLDER, where FOLDER has one sub-folder of images for each person."
    ),
)
# By name, so that only the command that is asked for is imported; the second lines are shown by its own --help.
for _command, _help in {
    "train": "Train a model from recipes and settings, and verify it on people it has not seen.\n\n"
    "angulus train data.path=FOLDER, with one sub-folder of images for each person, is enough for a first run; "
    "angulus train recipe.yaml more.yaml margin.m=0.4 optim.lr=0.05 lays settings over recipes; "
    "angulus train --resume runs/x goes on with a run that was interrupted.",
    "align": "Find the faces on photos and cut them out, aligned.\n\n"
    "angulus align PHOTOS OUT writes the crops into the same folders, a manifest, and a contact sheet to look at.",
    "verify": "Say whether the faces on two photos are of one person, and how sure that is.\n\n"
    "angulus verify a.jpg b.jpg --bundle BUNDLE answers with the score, the threshold and its error rates; the exit "
    "status is 0 for one person, 1 for two, 3 where it cannot be told.",
    "embed": "Turn a set of images into embeddings.",
    "export": "Make a bundle for deployment of a model: its file, its threshold, and the proof that it is the same.\n\n"
    "angulus export runs/x x.bundle --images people writes an ONNX file and calibrates its threshold on the images; "
    "--to openvino is faster on most processors.",
    "convert": "Write a set of images in another layout: folder, rec, tar, parquet, packed or manifest.\n\n"
    "angulus convert people people.packed takes the layout from the suffix; "
    "angulus convert faces_emore people --to folder turns insightface's train.rec into a folder.",
    "plan": "Show the memory a run would take with each strategy, what fits this machine, and a step's time.\n\n"
    "angulus plan recipe.yaml plans for the data at hand; angulus plan recipe.yaml --classes 1000000 --memory 80GB "
    "pretends so many identities and such a device.",
    "invert": "Make images of people from a model alone: those it was trained on, or those of stored embeddings.\n\n"
    "angulus invert 068.ckpt --images people --out inverted embeds the images, forgets them, and makes new ones from "
    "the embeddings; angulus invert runs/x --first 16 --out inverted takes classes of the run's head.",
    "purify": "Find wrong labels with sub-centers, list them, and train again without them.\n\n"
    "angulus purify recipe.yaml data.path=FOLDER does all of it: a run with 3 centers for each identity, a list of "
    "what lies beyond 75 degrees of the dominant one, a plain run without that; angulus purify runs/x cleans the "
    "training set of a finished run with sub-centers. No image is touched.",
    "doctor": "Say what is wrong with a training run, and which key to change.\n\n"
    "angulus doctor runs/x reads what the run recorded, also while it is going on; --report page.html draws it.",
    "study": "Run a grid of recipes and seeds and put them into one table.",
    "config": "Show the recipe that results from files and settings, or everything a recipe may hold.",
}.items():
    app.command(f"angulus.cli.commands.{_command}:{_command}", name=_command, help=_help, help_epilogue="")
app.command(data)
app.command(evaluate)
app.command(audit)
app.command(gallery)
app.command(serve)
app.register_install_completion_command(help="Let the shell complete commands and options: bash, zsh, fish.")


def main(tokens: Sequence[str] | None = None) -> int:
    """Run one command; print errors as sentences on stderr and return the exit status."""
    open_all()
    follow_parent()
    words = sys.argv[1:] if tokens is None else list(tokens)
    if not are_remote(words):
        return run(words)
    with told_by_address():
        return run(words, remote=True)


def run(words: list[str], *, remote: bool = False) -> int:
    """The same for words that were read.  remote: some of them are addresses of stores."""
    try:
        with raised():
            words = with_places(words) if remote else words
            arguments = parsed(words) if remote else {}
            fetch_read(arguments)
            if any(word.split("=")[0] in OPTIONS for word in words):
                check_apart(parsed(words))
            status = app(
                words,
                exit_on_error=False,
                print_error=False,
                result_action="return_value",
            )
            publish_written(arguments)
        sys.stdout.flush()
    except CycloptsError as error:
        return fail(usage_sentence(error))
    except AngulusError as error:
        return fail(str(error))
    except ModuleNotFoundError as error:
        if error.name not in WITH_TORCH:
            raise
        return fail(
            'this command needs torch, which is not installed: pip install "angulus[torch]" (without it there are'
            " verify, gallery and serve)"
        )
    except KeyboardInterrupt as interrupt:
        sentence = f"interrupted{''.join(f'; {part}' for part in interrupt.args)}"
        say(f"\n{sentence}")
        say_last(sentence)
        return interrupt.status if isinstance(interrupt, Interruption) else INTERRUPTED
    except BrokenPipeError:
        # the reader of our output is gone (`| head`): Python would complain once more when it closes stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except OSError as error:
        if error.errno not in OF_THE_MACHINE:
            raise
        return fail(unwritten(error))
    return status if isinstance(status, int) else 0


def parsed(words: Sequence[str]) -> dict[str, Any]:
    """The arguments of a command line by their names; none where it is wrong, which is said when it is run."""
    with suppress(CycloptsError):
        _, bound, _ = app.parse_args(list(words), exit_on_error=False, print_error=False)
        return dict(bound.arguments)
    return {}


def fail(sentence: str) -> int:
    said = f"error: {in_words(sentence)}"
    say(said)
    say_last(said)
    return ERROR


def unwritten(error: OSError) -> str:
    """What a full or a read-only disk prevented, in a sentence."""
    reason = "the disk is full" if error.errno in FULL else error.strerror
    if error.filename is not None:
        return f"{error.filename}: {reason}; make room, or name another place"
    with suppress(OSError):
        # what is left in the buffer would be tried once more, and complained of, at the end of Python
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return f"what the command prints, or writes, could not be written: {reason}"


def usage_sentence(error: CycloptsError) -> str:
    """What is wrong with the words of the command line."""
    text = str(error).strip()
    if isinstance(error, MissingArgumentError) and error.argument is not None and not error.argument.tokens:
        command = " ".join(["angulus", *(error.command_chain or ())])
        return f"{error.argument.name} is missing; {command} --help says what it is"
    if isinstance(error, UnknownOptionError):
        unknown, _, near = text.partition(" Did you mean ")
        word = (error.token.keyword or error.token.value).partition("=")[0]
        meant = "" if SequenceMatcher(None, word, near.rstrip("?")).ratio() > ALIKE else unknown_settings(error)
        return f"{unknown} {meant[0].upper()}{meant[1:]}" if meant else text
    if isinstance(error, UnusedCliTokensError):
        command = " ".join(["angulus", *(error.command_chain or ())])
        words = error.unused_tokens or []
        settings = any("=" in word and not word.startswith("-") for word in words)
        own = "; settings are for train and config, here they are options" if settings else ""
        return f"{command} takes no further words, got {' '.join(words)}{own}; {command} --help says all"
    if isinstance(error, ValidationError) and error.argument is not None and error.argument.tokens:
        return f"{error.argument.tokens[0].keyword or error.argument.name} {error.exception_message}"
    return text


def unknown_settings(error: UnknownOptionError) -> str:
    """How unknown options are written as settings of a recipe, where the command takes some."""
    command = " ".join(error.command_chain or ())
    if command not in TAKE_SETTINGS:
        return ""
    from angulus.cli.inputs.words.mistyped_settings import settings_meant

    return settings_meant(command, list(error.unused_tokens or [error.token.keyword or error.token.value]))
