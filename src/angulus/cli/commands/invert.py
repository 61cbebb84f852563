"""`angulus invert`: a model and stored embeddings (or people it was trained on) in, pictures of faces out."""

from pathlib import Path
from typing import Annotated

from angulus.cli.inputs.inversion_settings import UNUSED_FACES, USUAL, Settings
from angulus.cli.inputs.inversion_targets import ANYBODY, Wanted
from angulus.cli.numbers import Count
from angulus.cli.options import Figures, Fitting, ModelUse, Said, Trust, Usual, check_output, check_outside
from angulus.cli.terminal import image_progress
from angulus.errors import ConfigError


def invert(
    model: Path,
    /,
    *,
    out: Path,
    wanted: Wanted = ANYBODY,
    settings: Settings = USUAL,
    public: Path | None = None,
    fitting: Fitting = Usual.fitting,
    use: ModelUse = Usual.model_use,
    save_every: Annotated[int, Count] = 200,
    picture_every: Annotated[int, Count] = 500,
    trust: Trust = Usual.trust,
    said: Said = Usual.said,
    figures: Figures = Usual.figures,
) -> None:
    """Make images of people from a model alone: those that it was trained on, or those of stored embeddings.

    Parameters
    ----------
    model
        The folder of a run or of a model, or foreign weights (.ckpt, .pt, .pth).
    out
        The folder to write; given again, the command goes on where it was.
    public
        A folder of people whose faces the settings begin with or look among (--settings best); those who are attacked
        are left out.
    save_every
        Iterations between two states to go on from.
    picture_every
        Iterations between two intermediate pictures.
    figures.json
        Write the content of result.json to this file, too.
    """
    check_output(figures.json)
    check_outside(out, wanted.images, model)
    from angulus.cli.inputs.attacked_people import public_faces
    from angulus.cli.inputs.models_and_images import open_model
    from angulus.cli.printing.inverted_images import inverted_lines
    from angulus.inversion import help_of_faces
    from angulus.inversion import invert as invert_model

    options, place = settings.options("published"), use.place()
    opened = open_model(model, network=use.network)
    targets, originals = wanted.aims(model, opened, fitting.fit, place, trust.allow)
    if public is not None and options.begin == "noise" and options.space == "pixels":
        raise ConfigError(UNUSED_FACES)
    faces = None if public is None else public_faces(public, targets.identities)
    helped = help_of_faces(options, opened.model, targets, faces, device=place)
    with image_progress(quiet=said.quiet, doing="inverting") as progress:
        result = invert_model(
            *(opened.model, targets, out, options),
            device=place,
            begins=helped.begins,
            space=helped.space,
            originals=originals,
            save_every=save_every,
            picture_every=picture_every,
            facts={"model": model.name, "device": place, **helped.facts},
            progress=progress,
        )
    print(inverted_lines(result, out))
    figures.save(result)
