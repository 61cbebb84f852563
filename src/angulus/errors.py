"""Every error that a user of Angulus can cause; the command line prints its sentence and no traceback.

AngulusError
  ConfigError       a recipe or an override is wrong (lists every problem at once)
  DataError         a folder, an image, a pair list or labels
  FacesError        a detector, landmarks or the alignment of photos
  ModelError        a network, its weights or the images it is fed
  CheckpointError   a run folder or a checkpoint in it
  EvaluationError   embeddings or a protocol
  BundleError       a bundle for deployment, its artefact, threshold or runtime
  GalleryError      a gallery of enrolled people, or what is done to it
  ServiceError      a request that the service refuses, or the service itself
  NonFiniteError    a loss or gradient became infinite or NaN
  StorageError      an object store or a server, or an address in one
  OutOfMemoryError  a run took more memory than there is
"""

from collections.abc import Sequence


class AngulusError(Exception):
    """Base of all errors with a sentence for the user: the rule, the name, the value, what to do."""


class ConfigError(AngulusError, ValueError):
    """A recipe is wrong; `problems` holds one line for each mistake, with its full path."""

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        if len(self.problems) == 1:
            super().__init__(self.problems[0])
        else:
            lines = "".join(f"\n  - {problem}" for problem in self.problems)
            super().__init__(f"{len(self.problems)} problems in the configuration:{lines}")


class DataError(AngulusError, ValueError):
    """Images, folders, labels or pair lists that cannot be used as they are."""


class FacesError(AngulusError, ValueError):
    """A detector that is not here, landmarks that fit no face, or photos that cannot be aligned."""


class ModelError(AngulusError, ValueError):
    """A network, its weights, or images that do not fit it."""


class CheckpointError(AngulusError, ValueError):
    """A run folder or checkpoint that cannot be written, read or resumed."""


class DamagedCheckpointError(CheckpointError):
    """A checkpoint that is cut short, or whose bytes are not those that were written; an earlier one may do."""


class EvaluationError(AngulusError, ValueError):
    """Embeddings or a protocol that cannot be evaluated."""


class BundleError(AngulusError, ValueError):
    """A bundle that cannot be made, read or used, or a threshold of another artefact."""


class GalleryError(AngulusError, ValueError):
    """A gallery that cannot be opened or changed as it was asked to."""


class ServiceError(AngulusError, ValueError):
    """A request that is refused, or a service that cannot start or be reached.

    status: of HTTP.  code: a word for programs.  retry_after: seconds, where trying again makes sense.
    """

    def __init__(self, sentence: str, *, status: int = 422, code: str = "invalid", retry_after: int = 0) -> None:
        super().__init__(sentence)
        self.status, self.code, self.retry_after = status, code, retry_after


class NonFiniteError(AngulusError, ArithmeticError):
    """A loss or a gradient became infinite or NaN during training."""


class OutOfMemoryError(AngulusError, MemoryError):
    """A run took more memory than there is; the sentence says which setting takes less."""


class StorageError(AngulusError):
    """An object store or a server cannot be read or written, or an address is none."""


class ChangedError(StorageError):
    """An object was replaced while it was read."""
