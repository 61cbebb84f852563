"""The service under load on the loopback: throughput, latency, batching on and off, overload, and hostile clients.

    nice -n 5 python benchmarks/service.py --bundle 068.bundle
    python benchmarks/service.py --bundle 068.bundle --seconds 3 --clients 1 8

Each row is a fresh `angulus serve` process. A client is a thread that holds one connection and compares two crops after
two others (POST /v1/verify, JPEG of drawn faces, multipart), as fast as it is answered; all clients are threads of this
process, on the same cores as the service, so that the figures are a lower bound of what the service can do. Latency: of
answered requests. Memory: what the service's process holds (VmRSS), before and after, and its high-water mark.

"overload": 64 clients against queues of 8, who ask again at once when refused. "slow": 30 clients that never finish
their bodies, while one works. "upload": a body of 100 MB. "hostile": one request of each kind, and the status of its
answer (0: the connection was cut by the client).
"""

import argparse
import io
import json
import shlex
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import machines
import numpy as np
from PIL import Image

from angulus.runtime import Bundle

RESULTS = Path(__file__).parent / "results"
BOUNDARY = "angulus-benchmark"
KIND = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
MANY = 64


def crop(person: int, height: int, width: int) -> bytes:
    """A drawn face as a JPEG."""
    coarse = np.random.default_rng(person).integers(0, 256, (9, 9, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def body(left: bytes, right: bytes) -> bytes:
    """The multipart body of a comparison of two crops."""
    parts = []
    for name, content in (("left", left), ("right", right)):
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}.jpg"\r\n\r\n'
        parts.append(head.encode() + content + b"\r\n")
    parts.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="crops"\r\n\r\ntrue\r\n'.encode())
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


@dataclass
class Running:
    """A service that runs: its port, a key, and its process."""

    port: int
    key: str
    process: subprocess.Popen[str]

    def memory(self, name: str = "VmRSS") -> float:
        """Megabytes."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name + ":"))

    def connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=60)

    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}", **KIND}

    def ask(self, content: bytes, headers: dict[str, str] | None = None) -> int:
        """The status of one request; 0 where the connection was cut."""
        connection = self.connect()
        try:
            connection.request("POST", "/v1/verify", content, headers or self.headers())
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, HTTPException):
            return 0
        finally:
            connection.close()


@contextmanager
def served(bundle: Path, *words: str) -> Iterator[Running]:
    """A service of its own, ended afterwards."""
    command = [sys.executable, "-m", "angulus", "serve"]
    with tempfile.TemporaryDirectory() as folder:
        keys = f"{folder}/keys.json"
        made = subprocess.run(
            [*command, "keys", "add", "load", "--role", "admin", "--keys", keys],
            **{"check": True, "capture_output": True, "text": True},
        )
        given = ["--bundle", str(bundle), "--keys", keys, "--state", f"{folder}/state", "--port", "0", "--quiet"]
        process = subprocess.Popen([*command, *given, *words], stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().rsplit(":", 1)[1])
            yield Running(port=port, key=made.stdout.strip(), process=process)
        finally:
            process.terminate()
            process.wait()


def loaded(service: Running, bodies: list[bytes], clients: int, seconds: float) -> dict[str, Any]:
    """Figures of so many clients who ask for so long."""
    statuses: Counter[int] = Counter()
    latencies: list[float] = []
    lock, ends = threading.Lock(), time.perf_counter() + seconds

    def client(number: int) -> None:
        connection, own, took = service.connect(), Counter[int](), []
        turn = number
        while (began := time.perf_counter()) < ends:
            try:
                connection.request("POST", "/v1/verify", bodies[turn % len(bodies)], service.headers())
                answer = connection.getresponse()
                answer.read()
            except (OSError, HTTPException):
                own[0] += 1
                connection.close()
                continue
            own[answer.status] += 1
            if answer.status == 200:
                took.append(time.perf_counter() - began)
            turn += 1
        connection.close()
        with lock:
            statuses.update(own)
            latencies.extend(took)

    before = service.memory()
    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = {"before_mb": round(before), "after_mb": round(service.memory()), "most_mb": round(service.memory("VmHWM"))}
    figures = {"requests_a_second": round(statuses[200] / seconds, 1), "statuses": dict(sorted(statuses.items()))}
    if len(latencies) > 1:
        cuts = statistics.quantiles(latencies, n=100, method="inclusive")
        figures |= {"p50_ms": round(1000 * cuts[49], 1), "p99_ms": round(1000 * cuts[98], 1)}
    return {"clients": clients, "seconds": seconds, **figures, **after}


def slow(service: Running, bodies: list[bytes], seconds: float) -> dict[str, Any]:
    """One client works while 30 others never finish their bodies."""
    stalled = []
    for _ in range(30):
        one = socket.create_connection(("127.0.0.1", service.port))
        head = "".join(f"{name}: {value}\r\n" for name, value in service.headers().items())
        one.sendall(f"POST /v1/verify HTTP/1.1\r\nHost: x\r\n{head}Content-Length: 100000\r\n\r\n-".encode())
        stalled.append(one)
    found = loaded(service, bodies, 1, seconds)
    for one in stalled:
        one.close()
    return {**found, "stalled": len(stalled)}


def upload(service: Running) -> dict[str, Any]:
    """A body of 100 MB."""
    before = service.memory()
    began = time.perf_counter()
    status = service.ask(body(bytes(100_000_000), b""))
    seconds = round(time.perf_counter() - began, 2)
    return {"status": status, "seconds": seconds, "grown_mb": round(service.memory("VmHWM") - before, 1)}


def bomb() -> bytes:
    """A PNG of some kilobytes that says it has 900 million pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(10_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def hostile(service: Running, good: bytes) -> dict[str, int]:
    """The status of each kind of hostile request, and that of a good one afterwards."""
    wrong = {**KIND, "authorization": "Bearer angulus_wrong"}
    trick = body(good, good).replace(b'filename="left.jpg"', b'filename="../../../etc/passwd"')
    found = {
        "decompression bomb": service.ask(body(bomb(), good)),
        "truncated JPEG": service.ask(body(good[: len(good) // 2], good)),
        "no image": service.ask(body(b"%!PS-Adobe", good)),
        "wrong key": service.ask(body(good, good), wrong),
        "no key": service.ask(body(good, good), KIND),
        "path as a name": service.ask(trick),
        "half a body": half(service),
    }
    return {**found, "a good one afterwards": service.ask(body(good, good))}


def half(service: Running) -> int:
    """A connection that is cut in the middle of a body."""
    with socket.create_connection(("127.0.0.1", service.port)) as raw:
        head = "".join(f"{name}: {value}\r\n" for name, value in service.headers().items())
        raw.sendall(f"POST /v1/verify HTTP/1.1\r\nHost: x\r\n{head}Content-Length: 9000\r\n\r\n-".encode())
        raw.shutdown(socket.SHUT_WR)
        raw.settimeout(5)
        with suppress(OSError):
            answer = raw.recv(100)
            return int(answer.split()[1]) if answer else 0
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    size = Bundle(given.bundle).artefact.preprocessing
    crops = [crop(person, size.height, size.width) for person in range(16)]
    bodies = [body(crops[place], crops[(place + 1) % 16]) for place in range(16)]
    out = given.out or RESULTS / f"service_{machines.slug()}.json"
    rows: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": shlex.join(["python", "benchmarks/service.py", "--bundle", given.bundle.name]),
        **machines.about(),
        "bundle": {"precision": Bundle(given.bundle).artefact.precision, "kind": Bundle(given.bundle).artefact.kind},
    }

    def keep(name: str, figures: Any) -> None:
        rows[name] = figures
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(rows, indent=1) + "\n")
        print(f"{name:<24} {json.dumps(figures)}", flush=True)

    for batch in (1, 16):
        for clients in given.clients:
            with served(given.bundle, "--batch", str(batch), "--waiting", "256") as service:
                loaded(service, bodies, 1, 1.0)
                keep(f"batch {batch}, clients {clients}", loaded(service, bodies, clients, given.seconds))
    with served(given.bundle, "--waiting", "8") as service:
        loaded(service, bodies, 8, 1.0)
        keep("overload", loaded(service, bodies, MANY, given.seconds))
    with served(given.bundle) as service:
        loaded(service, bodies, 1, 1.0)
        keep("slow", slow(service, bodies, given.seconds))
        keep("upload", upload(service))
        keep("hostile", hostile(service, crops[0]))


if __name__ == "__main__":
    main()
