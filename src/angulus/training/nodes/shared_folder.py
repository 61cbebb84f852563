"""Whether all processes see the folder of a run, which a head that is divided over them needs for its checkpoints.

Every process writes the class weights that it has, and the first one puts them in place, publishes them and has them
read again: parts on another machine's disk would be missed only when the run is to be gone on with.
"""

import time
import uuid
from pathlib import Path

from angulus.errors import CheckpointError
from angulus.storage import address_of
from angulus.training.distributed import Processes

PATIENCE = 40.0  # seconds after which a network's file system shows what another machine has written, at the latest
LOOK = 0.5


def check_shared(folder: Path, group: Processes, *, divided: bool) -> None:
    """Raise CheckpointError in every process where one does not see what the first writes in a folder, or above it.

    folder: of the run; it may not be there yet. divided: whether the head is divided over the processes; nothing is
    looked at where it is not, or where there is one process.
    """
    if not divided or group.group is None:
        return
    whole = folder.absolute()
    above = (whole, *whole.parents)
    lowest = next((number for number, one in enumerate(above) if one.is_dir()), 0)
    number, name = group.every((lowest, f".angulus-{uuid.uuid4().hex}.seen"))[0]
    mark = above[min(number, len(above) - 1)] / name
    try:
        with group.together():
            if group.is_first:
                try:
                    mark.touch()
                except OSError as error:
                    raise CheckpointError(f"{folder} cannot be written: {error.strerror or error}") from error
        blind = [rank for rank, sees in enumerate(group.every(_sees(mark))) if not sees]
    finally:
        if group.is_first:
            mark.unlink(missing_ok=True)
    if blind:
        others = f"process {', '.join(map(str, blind[:8]))}{' ...' if len(blind) > 8 else ''}"
        raise CheckpointError(
            f"out must be a folder that all machines see, since head.sharded=true has every process write its own part "
            f"of a checkpoint; what the first process writes for {_shown(folder)} is not seen by {others} of "
            f"{group.world}: {_remedy(folder)}, or take head.sharded=false"
        )


def _sees(mark: Path) -> bool:
    until = time.monotonic() + PATIENCE
    while not mark.exists():
        if time.monotonic() > until:
            return False
        time.sleep(LOOK)
    return True


def _shown(folder: Path) -> str:
    return address_of(folder) or str(folder)


def _remedy(folder: Path) -> str:
    if address_of(folder) is None:
        return "name a folder on a disk that they share"
    return "let ANGULUS_CACHE be on a disk that they share, where such a run is written before it is published"
