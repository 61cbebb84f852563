"""`angulus serve`: decisions over HTTP, with keys, limits, a log and a page."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from angulus.cli.commands.serve.keys import app as keys_app
from angulus.cli.numbers import Count, CountOrNone, Positive, Rate, Score
from angulus.cli.options import BundleUse, Flag, GalleryUse, Said, Several, Usual
from angulus.cli.terminal import log_lines
from angulus.errors import ConfigError

if TYPE_CHECKING:
    from angulus.serve.records.keys import KeyRing
    from angulus.serve.settings import Settings

app = App(
    name="serve",
    help="Serve decisions over HTTP: verify, enrol, search, with keys, limits, a log and a page.\n\n"
    "angulus serve keys add office --role enrol --keys keys.json makes a key; angulus serve --bundle 068.bundle "
    "--gallery people --keys keys.json serves at http://127.0.0.1:8000.",
    help_epilogue="",
)
app.command(keys_app)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How much the service takes.

    Parameters
    ----------
    workers
        Threads that decode photos and find faces; left out, as many as there are cores.
    batch
        Crops of several requests that go through the network together, at most; 1 for no batching. Left out, 16 where
        that is measured to be faster at the start.
    batch_wait
        Milliseconds that a crop waits for others.
    waiting
        Jobs that wait in a queue, at most; what comes then is answered 503.
    request_mb
        Megabytes of a request, at most.
    photos
        Photos of a request, at most.
    pixels
        Pixels of a photo, at most.
    seconds
        For the work of a request, its waiting included; then it is answered 504.
    """

    workers: Annotated[int | None, Count] = None
    batch: Annotated[int | None, Count] = None
    batch_wait: Annotated[float, Positive] = 2.0
    waiting: Annotated[int, Count] = 64
    request_mb: Annotated[float, Positive] = 20.0
    photos: Annotated[int, Count] = 20
    pixels: Annotated[int, Count] = 40_000_000
    seconds: Annotated[float, Positive] = 30.0


BOUNDS = Bounds()


@app.default
def serve(
    *,
    bundle: Path,
    gallery: str | None = None,
    state: Path = Path("serve_state"),
    keys: Path | None = None,
    open: Annotated[bool, Flag] = False,
    host: str = "127.0.0.1",
    port: Annotated[int, CountOrNone] = 8000,
    certificate: Path | None = None,
    private_key: Path | None = None,
    behind_proxy: Annotated[bool, Flag] = False,
    fpir: Annotated[float | None, Rate] = None,
    lookalike: Annotated[float | None, Score] = None,
    check: Annotated[tuple[str, ...], Several] = (),
    keep_crops: Annotated[bool, Flag] = False,
    keep_days: Annotated[float | None, Positive] = None,
    bounds: Bounds = BOUNDS,
    opening: GalleryUse = Usual.gallery_use,
    use: BundleUse = Usual.bundle_use,
    said: Said = Usual.said,
) -> None:
    """Serve decisions over HTTP until a signal ends it: what was begun is finished first.

    Parameters
    ----------
    bundle
        What angulus export wrote: a folder or a .zip file.
    gallery
        The gallery of enrolled people: a folder, which is made where it is missing, or postgresql://... as angulus
        gallery create takes it. Left out, there is no enrolment and no search.
    state
        The folder for the log, the operators' choices and, where they are kept, crops.
    keys
        The file of keys that angulus serve keys add wrote.
    open
        Serve without keys; at the loopback alone.
    host
        The address to listen at.
    port
        The port to listen at; 0 takes a free one.
    certificate
        The file with the certificate, for TLS.
    private_key
        The file with the certificate's private key.
    behind_proxy
        Listen without TLS beyond the loopback, because a proxy in front brings it.
    fpir
        The wanted share of strangers that a search takes for somebody; left out, the one that the gallery was made
        with, or 0.01. Operators may choose another one.
    lookalike
        Report other people at enrolment from this score on; left out, from the threshold of searches.
    check
        A plug-in NAME=module:function that requests may ask for, such as liveness=mypackage.liveness:check. May be
        given several times.
    keep_crops
        Keep the crops of enrolled photos, so that the page can show which one matched.
    keep_days
        Remove lines of the log that are older; left out, all are kept.
    use.crops
        All photos of requests are aligned crops: no face is looked for.
    """
    import numpy as np

    from angulus.cli.inputs.deciding.galleries import rotation_of
    from angulus.gallery.gallery import wanted_fpir
    from angulus.serve.gallery_opening import open_roster
    from angulus.serve.queues.batch_choice import paying_batch
    from angulus.serve.records.ledger import Ledger
    from angulus.serve.service import Service
    from angulus.serve.web.app import create_app
    from angulus.serve.web.listening import Address, listen

    address = Address(host=host, port=port, certificate=certificate, private_key=private_key)
    address.check_tls()
    ring = _ring(keys, open=open, is_loopback=address.is_loopback)
    if not address.is_loopback and certificate is None and not behind_proxy:
        raise ConfigError(
            f"--host {host} can be reached from elsewhere, where keys and faces must not travel in the clear: give"
            " --certificate and --private-key, or --behind-proxy where a proxy brings TLS"
        )
    key = opening.key()
    if keep_crops and key is not None:
        raise ConfigError("--keep-crops stores pictures in the clear: it does not go with an encrypted gallery")
    recognizer = use.recognizer(bundle)
    dim, secret = recognizer.bundle.artefact.dim, opening.transform_key_file
    transform = None if secret is None else rotation_of(secret, dim)
    kept = {"key": key, "transform": transform, "search": opening.search}
    roster = None if gallery is None else open_roster(gallery, recognizer.bundle, **kept)
    wanted = wanted_fpir({} if roster is None else roster.facts()) if fpir is None else fpir
    with log_lines(quiet=said.quiet):
        crop = np.zeros((recognizer.template.height, recognizer.template.width, 3), np.uint8)
        batch = bounds.batch or paying_batch(lambda count: recognizer.embedder.vectors(np.stack([crop] * count)))
        settings = _settings(bounds, batch, wanted, lookalike, check, crops=use.crops, keep_crops=keep_crops)
        ledger = Ledger(state, recognizer.bundle.artefact.name, keep_crops=keep_crops, keep_days=keep_days)
        service = Service(recognizer, ledger, settings, gallery=roster)
        try:
            listen(create_app(service, ring), address, settings.limits, started=_started)
        finally:
            service.close()


def _started(url: str) -> None:
    print(f"serving at {url}", flush=True)


def _ring(keys: Path | None, *, open: bool, is_loopback: bool) -> "KeyRing | None":
    from angulus.serve.records.keys import KeyRing

    if open and keys is not None:
        raise ConfigError("give --keys or --open, not both")
    if keys is not None:
        return KeyRing(keys)
    if not open:
        raise ConfigError(
            "who may use the service? angulus serve keys add NAME --role admin --keys keys.json makes a key, and"
            " --keys keys.json takes it; --open serves without keys, on this machine alone"
        )
    if not is_loopback:
        raise ConfigError("--open is for the loopback alone (--host 127.0.0.1): elsewhere give --keys")
    return None


def _settings(
    bounds: Bounds,
    batch: int,
    fpir: float,
    lookalike: float | None,
    check: tuple[str, ...],
    *,
    crops: bool,
    keep_crops: bool,
) -> "Settings":
    from angulus.devices.processors import bound_cores
    from angulus.serve.settings import Batching, Limits, Settings

    entries = dict(_entry(one) for one in check)
    most = round(bounds.request_mb * 2**20)
    limits = Limits(
        **{"request_bytes": most, "open_bytes": max(Limits().open_bytes, 4 * most), "photos": bounds.photos},
        **{"pixels": bounds.pixels, "seconds": bounds.seconds, "waiting": bounds.waiting},
    )
    return Settings(
        limits=limits,
        batching=Batching(most=batch, wait=bounds.batch_wait / 1000),
        workers=bounds.workers or bound_cores(),
        **{"checks": entries, "keep_crops": keep_crops, "crops": crops, "fpir": fpir, "lookalike": lookalike},
    )


def _entry(text: str) -> tuple[str, str]:
    name, found, entry = text.partition("=")
    if not found or not name or ":" not in entry:
        raise ConfigError(f"--check must be NAME=module:function, got {text!r}")
    return name, entry
