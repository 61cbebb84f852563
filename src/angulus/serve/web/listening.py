"""The application on a socket: connections that stall are closed, and a signal lets what was begun come to its end."""

import asyncio
import contextlib
import ipaddress
import os
import signal
import socket
import ssl
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import uvicorn
from starlette.types import ASGIApp

from angulus.errors import ServiceError
from angulus.files import open_regular
from angulus.serve.settings import Limits
from angulus.serve.web.gate import MOST_HEAD

SIGNALS = (signal.SIGINT, signal.SIGTERM)
BACKLOG = 128
MOST_CONNECTIONS = 1000


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the service listens.  certificate, private_key: files for TLS, both or none."""

    host: str = "127.0.0.1"
    port: int = 8000
    certificate: Path | None = None
    private_key: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.private_key is None):
            raise ServiceError("TLS needs both: --certificate and --private-key")
        if not 0 <= self.port < 2**16:
            raise ServiceError(f"port must be 0 to 65,535, got {self.port}")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def check_tls(self) -> None:
        """Raise ServiceError where the files for TLS cannot be used."""
        if self.certificate is None or self.private_key is None:
            return
        try:
            for path in (self.certificate, self.private_key):
                os.close(open_regular(path))  # a pipe would be waited for
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate, self.private_key, password=_no_phrase)
        except OSError as error:
            raise ServiceError(
                f"{self.certificate} and {self.private_key} cannot be used for TLS: {error.strerror or error}"
            ) from error


def _no_phrase() -> str:
    """Left to itself OpenSSL asks for a phrase at the terminal, where nobody may be."""
    raise ServiceError("the private key for TLS must not be encrypted: a service cannot ask for its phrase")


def bound_socket(address: Address) -> socket.socket:
    """A socket that listens. Raises ServiceError where the address cannot be had."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            *(address.host, address.port),
            type=socket.SOCK_STREAM,
            proto=socket.IPPROTO_TCP,
            flags=socket.AI_PASSIVE,
        )[0]
        made = socket.socket(family, kind, protocol)  # asyncio sends at once (TCP_NODELAY) only where TCP is named
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(place)
        made.listen(BACKLOG)
    except UnicodeError as error:
        raise ServiceError(f"cannot listen at {address.host!r}: it is no host name or address; check --host") from error
    except OSError as error:
        raise ServiceError(
            f"cannot listen at {address.host} port {address.port}: {error.strerror or error}; take another --port"
        ) from error
    return made


def listen(app: ASGIApp, address: Address, limits: Limits, *, started: Callable[[str], None] = lambda _: None) -> None:
    """Serve until SIGINT or SIGTERM, then finish what was begun.  started: is told the address when it is reachable."""
    address.check_tls()
    listener = bound_socket(address)
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    scheme = "http" if address.certificate is None else "https"
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=int(limits.seconds + limits.body_seconds) + 1,
        h11_max_incomplete_event_size=MOST_HEAD,
        ssl_certfile=address.certificate,
        ssl_keyfile=address.private_key,
    )
    server = _Server(config, limits, lambda: started(f"{scheme}://{shown}:{port}"))
    asyncio.run(server.serve(sockets=[listener]))


class _Server(uvicorn.Server):
    """uvicorn's server, which also closes connections over which no request comes."""

    def __init__(self, config: uvicorn.Config, limits: Limits, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._limits, self._told = limits, started
        self._idle_since: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self._told()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second; once a second connections are looked at."""
        if counter % 10 == 0:
            self._close_stalled()
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """A signal asks for the end, a second one for a quick one; the process then ends as it would have anyhow."""
        before = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _close_stalled(self) -> None:
        """A client that never finishes its headers would hold its connection for ever."""
        now = time.monotonic()
        for connection in list(self.server_state.connections):
            cycle = getattr(connection, "cycle", None)
            waits = cycle is None or (
                cycle.response_complete and getattr(connection, "timeout_keep_alive_task", None) is None
            )
            if not waits:
                self._idle_since.pop(connection, None)
            elif now - self._idle_since.setdefault(connection, now) > self._limits.head_seconds:
                transport = getattr(connection, "transport", None)
                if transport is not None:
                    transport.close()
