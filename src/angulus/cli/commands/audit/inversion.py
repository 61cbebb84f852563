"""`angulus audit inversion`: what a model and its stored templates give away."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from angulus.cli.inputs.inversion_settings import UNUSED_FACES, USUAL, Settings
from angulus.cli.numbers import Count, Rates, rates_in
from angulus.cli.options import (
    Figures,
    Flag,
    ModelUse,
    Page,
    Said,
    Several,
    Trust,
    Usual,
    check_output,
    check_outside,
    save_text,
)
from angulus.cli.terminal import image_progress
from angulus.errors import ConfigError


def inversion(
    model: Path,
    images: Path,
    /,
    *,
    out: Path,
    judge: Annotated[list[str] | None, Several] = None,
    people: Annotated[int, Count] = 32,
    closed: Annotated[bool, Flag] = False,
    defences: str = "none",
    fars: Annotated[str, Rates] = "0.01,0.001",
    names: Path | None = None,
    leave_out: Path | None = None,
    strangers: Annotated[int, Count] = 300,
    template_photos: Annotated[int, Count] = 1,
    through: str | None = None,
    public: Path | None = None,
    settings: Settings = USUAL,
    use: ModelUse = Usual.model_use,
    trust: Trust = Usual.trust,
    page: Page = Usual.page,
    pictures: Annotated[bool, Parameter(negative="--no-pictures")] = True,
    said: Said = Usual.said,
    figures: Figures = Usual.figures,
) -> None:
    """Attack some people by inversion, and count how often recognisers take the result for them.

    Parameters
    ----------
    model
        The model to attack: the folder of a run or of a model, or foreign weights.
    images
        A folder with one sub-folder of aligned photos for each person.
    out
        The folder of the inversions; given again, the command goes on where it was.
    judge
        A model that had no part in the attack, or module:function of your own; may be given several times.
    people
        How many people are attacked.
    closed
        Attack people that the run was trained on, through its head, instead of templates.
    defences
        What is tried, with commas between: none, no-statistics, 8bit, 4bit, sign, rotated, half-with-key,
        quarter-with-key, vectors-only, label-only.
    fars
        False accept rates of the thresholds, with commas between.
    names
        A text file with the names of the people to use, one a line; others are left out.
    leave_out
        People to leave out: a run (those it was trained on), a folder of identities, or a text file with a name a line.
    strangers
        How many other people the thresholds and the stranger baseline are taken from.
    template_photos
        How many photos of a person the stolen template is the mean of, as a gallery pools them.
    through
        Attack without the model's gradients: invert this other model instead, after a linear map from the templates of
        the one to those of the other, learned on public faces that both have embedded.
    public
        A folder of people for that map, and for pictures to begin with; those who are attacked are left out. Without it
        the strangers serve.
    pictures
        Show the attacked and the inverted faces on the page; --no-pictures leaves them out.
    """
    check_outside(out, images, model)
    if through is not None and closed:
        raise ConfigError("--through inverts templates, and --closed attacks classes; leave one out")
    check_output(page.report, figures.json)
    from angulus.cli.inputs.attacked_people import attack_on, head_of, judges_named, people_of, public_faces
    from angulus.cli.inputs.models_and_images import open_model
    from angulus.inversion import Surrogate, audit, choose_people, model_judge, run_attacks
    from angulus.inversion.assessment.acceptance import check_fars
    from angulus.inversion.assessment.page import render_audit, summary

    rates, place = rates_in(fars), use.place()
    tried = [name.strip() for name in defences.split(",") if name.strip()]
    opened = open_model(model, network=use.network)
    head = head_of(model, trust.allow) if closed else None
    judges = [model_judge(model.name, opened.model, device=place, is_attacked=True)]
    judges += judges_named(judge or (), network=use.network, device=place)
    known = None if head is None else head.names
    drawn = {"attack": known, "stolen": template_photos, "strangers": strangers}
    chosen = choose_people(people_of(images, names, leave_out), people, **drawn)
    check_fars(chosen.strangers, rates)
    faces = None if public is None else public_faces(public, chosen.names)
    surrogate = None
    if through is not None:
        surrogate = Surrogate(name=Path(through).name, model=open_model(through, network=use.network).model)
    with image_progress(quiet=said.quiet, doing="inverting") as progress:
        attack = attack_on(opened.model, head, chosen, settings, place, progress, through=surrogate, public=faces)
        needs_faces = attack.options.begin != "noise" or attack.options.space != "pixels" or "vectors-only" in tried
        if public is not None and surrogate is None and not needs_faces:
            raise ConfigError(UNUSED_FACES)
        made = run_attacks(attack, tried, out)
        found = audit(attack, made, judges, fars=rates)
    content = {"model": model.name, "images": images.name, **found}
    for line in summary(content):
        print(line)
    figures.save(content)
    save_text(page.report, lambda: render_audit(content, attack if pictures else None, made))
