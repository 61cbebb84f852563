"""Every command has the options it is meant to have, each once: shared records neither add one nor hide one."""

from typing import get_args, get_type_hints

import pytest
from cyclopts import App

from angulus.cli.application import app

OPTIONS = {
    "align": (
        "choose detector device file format height jobs json min-face no-sheet quiet score sheet sheet-crops "
        "template turn"
    ),
    "audit inversion": (
        "allow batch-size begin betas bn bn-first bn-moment bn-unsquared clamp closed contrast defences device "
        "distance fars flip identity-weight iterations json judge leave-out lr names network no-clamp no-flip "
        "no-pictures norm normalise out people pictures prior public quiet report scale schedule seed settings "
        "shift space start strangers template-photos through turn variation variation-form"
    ),
    "audit labels": "allow angle device fit groups json network out quiet rule shown",
    "config": "allow json leave-open schema",
    "convert": "edits from json pairs quiet to",
    "data get": "json out quiet",
    "data leaks": (
        "add batch-size device edits false-pairs far fit hide-names model network out pairs part quiet remove-from"
    ),
    "data report": "add batch-size device edits fit model network out part quiet",
    "doctor": "json report",
    "embed": (
        "batch-size block device edits fit flip json merge network no-flip out quiet runtime shard skip-unreadable "
        "stamp workers"
    ),
    "evaluate": (
        "add after batch-size calibrate-on calibration calibration-prior center cohort curves device edits enrol "
        "enrolment far fit groups intervals json keep-calibration labels markdown name network no-curves no-intervals "
        "out pairs part protocol quality quiet report top views"
    ),
    "evaluate blufr": "device draw gallery-people json seed train-people trials views",
    "evaluate calibrate": "far fpir gallery-size json out pairs report seed views",
    "evaluate compare": "far json markdown pairs protocol report views",
    "evaluate identify": "add device distractors fpir intervals json name no-intervals out part rank report views",
    "evaluate retrieve": "add at batch-size device fit json network out part precision quiet report rerank rule views",
    "evaluate templates": ("detector-scores device far gallery images json normalised pairs probes views without-face"),
    "export": (
        "detector edits far file fit images json min-face mirror network no-mirror precision preprocessing quantize-on "
        "quiet score to tolerance turn"
    ),
    "gallery add": (
        "alike bundle choose crops detector file json key-file min-face people quiet refuse-alike runtime score search "
        "threads transform-key-file"
    ),
    "gallery create": "bundle fpir key-file search storage transform-key-file",
    "gallery export": "key-file search transform-key-file",
    "gallery info": "bundle json key-file search transform-key-file",
    "gallery load": "key-file search transform-key-file",
    "gallery reissue": "key-file new-transform-key-file search transform-key-file",
    "gallery remove": "key-file photo search transform-key-file",
    "gallery rename": "key-file search transform-key-file",
    "gallery search": (
        "bundle choose count crops detector file fpir json key-file min-face runtime score search threads threshold "
        "transform-key-file"
    ),
    "gallery show": "json key-file search transform-key-file",
    "invert": (
        "allow batch-size begin betas bn bn-first bn-moment bn-unsquared clamp contrast device distance "
        "embeddings first fit flip identities identity-weight images iterations json keys lr network no-clamp "
        "no-flip norm normalise out picture-every prior public quiet save-every scale schedule seed settings "
        "shift space start turn variation variation-form"
    ),
    "plan": "allow classes gpus images json link link-gbits memory nodes processes quiet",
    "purify": "allow angle json no-retrain out quiet retrain rounds rule subcenters",
    "serve": (
        "batch batch-wait behind-proxy bundle certificate check choose crops detector file fpir gallery host "
        "keep-crops keep-days key-file keys lookalike min-face open photos pixels port private-key quiet "
        "request-mb runtime score search seconds state threads transform-key-file waiting workers"
    ),
    "serve keys add": "keys role",
    "serve keys list": "keys",
    "serve keys remove": "keys",
    "study": "allow jobs json out quiet table-only threads",
    "verify": (
        "bundle choose crops detector far file json min-face out pairs photos picture quiet runtime score threads "
        "threshold undecided"
    ),
    "train": "allow json quiet resume",
}


def commands(group: App, words: tuple[str, ...] = ()) -> dict[str, App]:
    """Every command below a group by its words, with the group itself where it is one."""
    found = {" ".join(words): group} if words and group.default_command else {}
    for name in group:
        if not name.startswith("-"):
            found |= commands(group[name], (*words, name))
    return found


def test_every_command_is_listed() -> None:
    assert sorted(commands(app)) == sorted(OPTIONS)


@pytest.mark.parametrize("words", OPTIONS)
def test_a_command_has_its_options_once(words: str) -> None:
    arguments = commands(app)[words].assemble_argument_collection(parse_docstring=True)
    shown = [name for argument in arguments if argument.show for name in argument.names if name.startswith("--")]
    assert sorted(shown) == [f"--{name}" for name in OPTIONS[words].split()]
    assert all(argument.parameter.help for argument in arguments if argument.show)


# Numbers that may be anything, or are words with a number in them that the command reads itself.
ANY_NUMBER = {"--memory"}


@pytest.mark.parametrize("words", OPTIONS)
def test_every_number_is_checked_before_any_work(words: str) -> None:
    """A rate of 5, a batch of 0 or -3 workers are refused while the command line is read."""
    for argument in commands(app)[words].assemble_argument_collection(parse_docstring=True):
        kinds = {argument.hint, *get_args(argument.hint)}
        kinds |= {inner for kind in kinds for inner in get_args(kind)}
        if kinds & {int, float} and argument.name not in ANY_NUMBER:
            assert argument.parameter.validator, argument.name


def test_words_that_are_written_twice_are_the_same() -> None:
    """Commands repeat a few lists of words, so that --help need not import what they choose from."""
    from angulus.cli.commands.align import align
    from angulus.cli.commands.convert import Layout
    from angulus.cli.commands.embed import embed
    from angulus.data import FORMATS
    from angulus.faces.detectors.catalogue import NAMES
    from angulus.inference.runtimes import RUNTIMES, RuntimeName

    assert get_args(Layout) == FORMATS
    assert get_args(get_type_hints(align)["detector"]) == NAMES
    assert get_args(get_type_hints(embed)["runtime"]) == get_args(RuntimeName) == ("torch", *RUNTIMES, "auto")
