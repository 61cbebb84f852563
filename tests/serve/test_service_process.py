"""The command as a process on the loopback: keys, TLS refusals, stalled and cut connections, an end that drains."""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from service_parts import crop
from small_bundles import write_bundle

from angulus.errors import ServiceError
from angulus.serve.client import Client
from angulus.serve.settings import Limits
from angulus.serve.web.listening import _Server

COMMAND = [sys.executable, "-m", "angulus", "serve"]


def run(*words):
    return subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """The process, its port and an admin's key."""
    folder = tmp_path_factory.mktemp("process")
    write_bundle(folder / "bundle")
    made = run("keys", "add", "boss", "--role", "admin", "--keys", folder / "keys.json")
    assert made.returncode == 0, made.stderr
    words = ["--bundle", folder / "bundle", "--keys", folder / "keys.json", "--state", folder / "state"]
    process = subprocess.Popen(
        [*COMMAND, *map(str, [*words, "--port", 0, "--crops", "--quiet", "--request-mb", 1])],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True},
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        assert select.select([process.stdout], [], [], 60)[0]
        line = process.stdout.readline()
        assert line.startswith("serving at http://127.0.0.1:"), process.stderr.read()
        yield process, line.split()[-1], made.stdout.strip()
    finally:
        process.kill()
        process.wait()


def connection(url):
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def test_the_client_verifies(running):
    _, url, key = running
    with Client(url, key=key) as client:
        assert client.health().status == "ready"
        assert client.verify(crop(1), crop(1)).decision == "same"
        found = client.verify(crop(1), crop(2))
        assert (found.decision, found.point.far.high) == ("different", 0.002)
        assert client.audit().lines[0]["key"] == "boss"
        with pytest.raises(ServiceError, match="cannot read photo") as refused:
            client.verify(b"no image", crop(1))
        assert (refused.value.status, refused.value.code) == (422, "photo")
        with pytest.raises(ServiceError, match="has no gallery"):
            client.search(crop(1))
    with Client(url, key="angulus_x") as stranger, pytest.raises(ServiceError, match="not known"):
        stranger.card()


def test_a_stranger_is_refused_before_the_body_is_sent(running):
    _, url, _ = running
    with connection(url) as raw:
        raw.sendall(b"POST /v1/verify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
        raw.sendall(b"Content-Length: 100000000\r\n\r\n")
        assert raw.recv(1000).startswith(b"HTTP/1.1 401 ")


def test_a_large_upload_gets_its_answer(running):
    _, url, key = running
    with Client(url, key=key) as client, pytest.raises(ServiceError, match="at most 1,048,576 bytes") as refused:
        client.verify(bytes(30_000_000), crop(1))
    assert refused.value.status == 413


def test_a_slow_client_holds_nobody_up(running):
    _, url, key = running
    with connection(url) as slow:
        head = (
            f"POST /v1/verify HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
        )
        slow.sendall(head.encode() + b"Content-Length: 1000\r\n\r\n{")
        with Client(url, key=key) as client:
            assert client.verify(crop(1), crop(1)).decision == "same"
        slow.shutdown(socket.SHUT_RDWR)


def test_a_signal_lets_what_was_begun_finish(running):
    process, url, key = running
    found = []

    def ask():
        with Client(url, key=key, tries=1) as client:
            while True:
                try:
                    found.append(client.verify(crop(1), crop(1)).decision)
                except ServiceError as error:
                    found.append(error.code)
                    return

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(found) < 8:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    for thread in threads:
        thread.join(30)
    assert set(found) <= {"same", "unreachable", "busy"}
    assert "Traceback" not in process.stderr.read()


def certificate(folder, phrase=None):
    """A certificate for the loopback that it signs itself, and its key, encrypted where there is a phrase."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    begins = datetime.now(UTC) - timedelta(days=1)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(name, name, key.public_key(), 7, begins, begins + timedelta(days=9))
    made = made.add_extension(alternative, critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    if phrase is not None:
        plain = serialization.BestAvailableEncryption(phrase)
    (folder / "cert.pem").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return folder / "cert.pem", folder / "key.pem"


def test_tls(tmp_path):
    write_bundle(tmp_path / "bundle")
    cert, key = certificate(tmp_path)
    words = ["--bundle", tmp_path / "bundle", "--state", tmp_path / "state", "--port", 0, "--open", "--quiet"]
    process = subprocess.Popen(
        [*COMMAND, *map(str, [*words, "--certificate", cert, "--private-key", key])], stdout=subprocess.PIPE, text=True
    )
    try:
        assert select.select([process.stdout], [], [], 60)[0]
        url = process.stdout.readline().split()[-1]
        assert url.startswith("https://")
        with Client(url, certificate=cert) as client:
            assert client.verify(crop(1), crop(1), crops=True).decision == "same"
        with Client(url) as client, pytest.raises(ServiceError, match="CERTIFICATE_VERIFY_FAILED"):
            client.health()
    finally:
        process.terminate()
        assert process.wait(30) == 0


class Connection:
    """What uvicorn keeps of a connection."""

    def __init__(self, cycle=None, timer=None):
        self.cycle, self.timeout_keep_alive_task = cycle, timer
        self.transport = self
        self.closed = False

    def close(self):
        self.closed = True


class Cycle:
    def __init__(self, complete):
        self.response_complete = complete


def test_connections_over_which_no_request_comes_are_closed(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("angulus.serve.web.listening.time.monotonic", lambda: clock[0])
    server = _Server(uvicorn.Config(lambda: None), Limits(head_seconds=5), lambda: None)
    silent, works, rests = Connection(), Connection(Cycle(complete=False)), Connection(Cycle(complete=True), timer=1)
    stalls = Connection(Cycle(complete=True))
    server.server_state.connections.update((silent, works, rests, stalls))
    for now in (0.0, 4.0, 6.0):
        clock[0] = now
        server._close_stalled()
    assert [one.closed for one in (silent, works, rests, stalls)] == [True, False, False, True]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--open", "--certificate", "KEYS", "--private-key", "KEYS"), "cannot be used for TLS"),
        (("--open", "--keep-crops", "--key-file", "SECRET"), "does not go with an encrypted gallery"),
        ((), "keys add NAME --role admin"),
        (("--open", "--host", "0.0.0.0"), "--open is for the loopback alone"),
        (("--open", "--check", "liveness"), "--check must be NAME=module:function"),
        (("--open", "--check", "liveness=no.such:check"), "cannot be imported"),
        (("--open", "--certificate", "x.pem"), "TLS needs both"),
        (("--open", "--certificate", "PIPE", "--private-key", "PIPE"), "not a regular file"),
        (("--open", "--certificate", "TLS", "--private-key", "SEALED"), "must not be encrypted"),
        (("--keys", "KEYS", "--behind-proxy", "--host", "a..b"), "no host name or address"),
        (("--keys", "KEYS", "--host", "0.0.0.0"), "must not travel in the clear"),
    ],
)
def test_what_would_not_be_safe_is_refused(tmp_path, words, said, capsys):
    from angulus.cli import main
    from angulus.serve.records.keys import add_key

    write_bundle(tmp_path / "bundle")
    add_key(tmp_path / "keys.json", "boss", "admin")
    (tmp_path / "secret").write_text("ab" * 32)
    if "SEALED" in words:
        certificate(tmp_path, b"a phrase")
    os.mkfifo(tmp_path / "pipe")
    files = {"KEYS": "keys.json", "SECRET": "secret", "PIPE": "pipe", "TLS": "cert.pem", "SEALED": "key.pem"}
    given = [str(tmp_path / files[word]) if word in files else word for word in words]
    paths = ["--bundle", str(tmp_path / "bundle"), "--state", str(tmp_path / "state"), "--port", "0"]
    assert main(["serve", *paths, *given]) == 2
    assert said in capsys.readouterr().err
