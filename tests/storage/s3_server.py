"""A real S3 server (moto's) on this machine, behind a gate that plants faults."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

SLOW = 0.3  # seconds
HUNG = 3.0  # longer than a client of the tests waits for an answer
EXPIRED = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
BROKEN = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"


@dataclass
class Fault:
    """What happens to the next `times` requests whose method and path fit."""

    kind: str  # slow, hung, broken, cut, expired, before
    method: str
    path: str
    times: int
    call: Callable[[], Any] | None = None
    seen: int = 0


@dataclass
class Gate:
    """The WSGI application of the server with faults before it, and a list of the requests."""

    inner: Any
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str, str]] = field(default_factory=list)

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.requests.append((method, path, environ.get("HTTP_RANGE", "")))
        fault = next((one for one in self.faults if one.method == method and one.path in path and one.times > 0), None)
        if fault is None:
            return self.inner(environ, start)
        fault.times -= 1
        fault.seen += 1
        if fault.kind == "slow":
            time.sleep(SLOW)
        elif fault.kind == "hung":
            time.sleep(HUNG)
        elif fault.kind in ("broken", "expired"):
            body, status = (EXPIRED, "403 Forbidden") if fault.kind == "expired" else (BROKEN, "500 Internal Error")
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
            return [b"" if method == "HEAD" else body]
        elif fault.kind == "cut":
            whole = b"".join(self.inner(environ, start))
            return [whole[: len(whole) // 2]]  # fewer than the head has promised, then the end of the connection
        elif fault.kind == "before" and fault.call is not None:
            fault.call()
        return self.inner(environ, start)


@dataclass
class Server:
    """Where the server listens, and its gate."""

    address: str
    gate: Gate

    def plant(self, kind: str, method: str, path: str, times: int = 1, call: Callable[[], Any] | None = None) -> Fault:
        """Plant a fault for requests of a method whose path holds `path`."""
        fault = Fault(kind, method, path, times, call)
        self.gate.faults.append(fault)
        return fault

    def reads_of(self, name: str) -> list[str]:
        """The ranges that were read of objects whose path ends so."""
        return [span for method, path, span in self.gate.requests if method == "GET" and path.endswith(name)]


@contextmanager
def serving() -> Iterator[Server]:
    """The server while the block runs."""
    gate = Gate(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, gate, threaded=True)
    server.RequestHandlerClass.log_request = lambda *arguments: None
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Server(f"http://127.0.0.1:{server.server_port}", gate)
    finally:
        server.shutdown()
        thread.join()
