"""What the service takes, and how much of it: bounds of bytes, pixels, photos, faces, seconds and queues."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from angulus.devices.processors import bound_cores
from angulus.errors import ServiceError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of one request, and of all that are open at once.

    request_bytes: of a body.  open_bytes: of all bodies that are being read or worked on.  photos: of a request.
    faces: of a photo.  pixels: of a photo.  body_seconds: to send a body in.  head_seconds: to send a first line and
    headers in.  seconds: for the work of a request, its waiting included.  waiting: pieces of work in each queue.
    """

    request_bytes: int = 20 * 2**20
    open_bytes: int = 256 * 2**20
    photos: int = 20
    faces: int = 50
    pixels: int = 40_000_000
    body_seconds: float = 20.0
    head_seconds: float = 10.0
    seconds: float = 30.0
    waiting: int = 64

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ServiceError(f"{name} must be above 0, got {value}")
        if self.open_bytes < self.request_bytes:
            raise ServiceError(
                f"open_bytes must be at least request_bytes, {self.request_bytes:,}, got {self.open_bytes:,}"
            )


@dataclass(frozen=True, kw_only=True)
class Batching:
    """How crops of several requests go through the network together.

    most: crops in a batch; 1 turns batching off.  wait: seconds that a crop waits for others while none is computed.
    """

    most: int = 16
    wait: float = 0.002

    def __post_init__(self) -> None:
        if self.most < 1 or not 0 <= self.wait <= 1:
            raise ServiceError(f"most must be at least 1 and wait 0 to 1 s, got {self.most} and {self.wait:g}")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How the service behaves.

    limits, batching: see there.  workers: threads that decode and look for faces.  checks: entries "module:function"
    by the name of the check.  keep_crops: of enrolled photos.  crops: all photos are aligned crops, whatever a request
    says.  fpir: wanted of searches, until an operator chooses.  lookalike: score from which another person is reported
    at enrolment; None takes the threshold of searches.
    """

    limits: Limits = field(default_factory=Limits)
    batching: Batching = field(default_factory=Batching)
    workers: int = field(default_factory=bound_cores)
    checks: Mapping[str, str] = field(default_factory=dict)
    keep_crops: bool = False
    crops: bool = False
    fpir: float = 0.01
    lookalike: float | None = None
