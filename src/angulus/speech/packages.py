"""Packages that only reading sound needs, imported when they are: soundfile (libsndfile) and soxr."""

from typing import Any

from angulus.errors import DataError

NEEDS = 'pip install "angulus[speech]"'


def soundfile_package() -> Any:
    """The module soundfile. Raises DataError that says what to install where it is missing."""
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: the package is here, its libsndfile is not
        raise DataError(f"reading sound files needs soundfile ({error}): {NEEDS}") from None
    return soundfile


def soxr_package() -> Any:
    """The module soxr. Raises DataError that says what to install where it is missing."""
    try:
        import soxr
    except (ImportError, OSError) as error:
        raise DataError(f"another sampling rate or speed needs soxr ({error}): {NEEDS}") from None
    return soxr
