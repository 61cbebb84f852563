"""How a set is looked at: as photos, recordings or stored features, by its first example that can be read."""

from angulus.data.examples import Source, noun_of
from angulus.errors import DataError
from angulus.inspection.looks.features import FEATURES
from angulus.inspection.looks.look import Look
from angulus.inspection.looks.photos import PHOTOS
from angulus.inspection.looks.recordings import RECORDINGS

_TRIED = 100
_BY_AXES: dict[int, Look] = {1: RECORDINGS, 2: FEATURES, 3: PHOTOS}


def look_of(source: Source) -> Look:
    """The look that suits a source; where none of the first examples can be read, what it says of itself."""
    for index in range(min(_TRIED, len(source))):
        try:
            return _BY_AXES[source.read(index).ndim]
        except DataError:
            continue
    return RECORDINGS if noun_of(source) == "recording" else PHOTOS


def one_look(*sources: Source) -> Look:
    """The look of sets that are to be compared. Raises DataError where they hold different things."""
    looks = [look_of(source) for source in sources]
    if any(look is not looks[0] for look in looks):
        names = " and ".join(type(look).__name__.lower() for look in looks)
        raise DataError(f"sets that are compared must hold examples of one kind, got {names}")
    return looks[0]
