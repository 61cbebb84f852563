"""Everything the service writes down, in one folder that one service holds at a time."""

import os
from contextlib import ExitStack
from pathlib import Path

from angulus.errors import ServiceError
from angulus.folder_locks import LOCK, PATIENCE, locked
from angulus.serve.records.audit_log import AuditLog
from angulus.serve.records.choices import Choices
from angulus.serve.records.crops import Crops


class Ledger:
    """log, choices, and crops where they are kept.  artefact: of the bundle.  keep_days: of lines of the log.
    patience: seconds to wait for another service that holds the folder.

    Raises ServiceError where another service holds the folder, or it cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        artefact: str,
        *,
        keep_crops: bool = False,
        keep_days: float | None = None,
        most_bytes: int = 16 * 2**20,
        patience: float = PATIENCE,
    ) -> None:
        self._held = ExitStack()
        self._held.enter_context(locked(folder, ServiceError, "serving with", patience=patience))
        try:
            _keep_private(folder)
            self.log = AuditLog(folder, most_bytes=most_bytes, keep_days=keep_days)
            self.choices = Choices(folder, artefact)
            self.crops = Crops(folder / "crops") if keep_crops else None
        except BaseException:
            self._held.close()
            raise

    def close(self) -> None:
        """Write what waits, and let the folder go."""
        self.log.close()
        self.choices.close()
        self._held.close()


def _keep_private(folder: Path) -> None:
    """Let the owner alone in: what is written here says who was looked for."""
    try:
        os.chmod(folder, 0o700)
        if (folder / LOCK).exists():
            os.chmod(folder / LOCK, 0o600)
    except OSError as error:
        raise ServiceError(
            f"{folder} must be for its owner alone, and cannot be made so ({error.strerror or error}): name a folder"
            " of your own with --state"
        ) from error
