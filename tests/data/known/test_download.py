"""Files come whole or not at all, go on after a cut, and have the right checksum; a local server plays the web."""

import hashlib
import importlib.util
import io
import socket
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from angulus.cli import main
from angulus.data.known.catalogue import ELSEWHERE, SETS, KnownSet, SetFile, known_set
from angulus.data.known.download import fetch_file, fetch_set
from angulus.errors import DataError

pytest.importorskip("pooch")

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT at /file; `cuts`: so many answers break off in the middle; `ranges`: whether it goes on there."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.cuts, self.ranges, self.asked = CONTENT, 0, True, []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/file"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append(self.headers.get("Range"))
        if self.path != "/file":
            self.send_error(404)
            return
        begin = 0
        if server.ranges and self.headers.get("Range"):
            begin = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if begin >= len(server.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(server.content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        rest = server.content[begin:]
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if server.cuts:
            server.cuts -= 1
            rest = rest[: len(rest) // 2]
        self.wfile.write(rest)

    def log_message(self, *arguments):
        """Nothing on stderr."""


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def file_of(server, checksum=f"sha256:{SHA256}", **more):
    return SetFile(name="file.bin", urls=(server.url,), checksum=checksum, **more)


def test_a_file_comes_and_is_not_fetched_twice(server, tmp_path):
    seen = []
    fetched = fetch_file(file_of(server), tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert fetched.path.read_bytes() == CONTENT
    assert (fetched.sha256, fetched.verified, fetched.resumed, fetched.unpacked) == (SHA256, True, 0, None)
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    fetch_file(file_of(server), tmp_path)
    assert server.asked == [None]
    assert [path.name for path in tmp_path.iterdir()] == ["file.bin"]


def test_after_a_cut_only_the_rest_is_fetched(server, tmp_path):
    server.cuts = 1
    assert fetch_file(file_of(server), tmp_path).path.read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={len(CONTENT) // 2}-"]


def test_what_was_kept_is_gone_on_with_by_the_next_command(server, tmp_path):
    server.cuts = 1
    with pytest.raises(DataError, match=r"150,000 bytes are kept and the same command goes on"):
        fetch_file(file_of(server), tmp_path, tries=1)
    assert [path.name for path in tmp_path.iterdir()] == ["file.bin.download"]
    fetched = fetch_file(file_of(server), tmp_path)
    assert (fetched.path.read_bytes(), fetched.resumed) == (CONTENT, 150_000)


def test_a_server_that_cannot_go_on_is_asked_from_the_beginning(server, tmp_path):
    server.cuts, server.ranges = 1, False
    fetched = fetch_file(file_of(server), tmp_path)
    assert (fetched.path.read_bytes(), fetched.resumed) == (CONTENT, 0)


def test_a_transfer_that_was_whole_but_not_put_in_place(server, tmp_path):
    (tmp_path / "file.bin.download").write_bytes(CONTENT)
    assert fetch_file(file_of(server), tmp_path).path.read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(CONTENT)}-"]


def test_a_wrong_checksum_leaves_nothing(server, tmp_path):
    server.content = CONTENT[:-1] + b"!"
    with pytest.raises(DataError, match="has not the checksum sha256:"):
        fetch_file(file_of(server), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_rests_of_another_file_do_not_survive(server, tmp_path):
    (tmp_path / "file.bin.download").write_bytes(b"another" * 10)
    with pytest.raises(DataError, match="deleted"):
        fetch_file(file_of(server), tmp_path)
    assert fetch_file(file_of(server), tmp_path).path.read_bytes() == CONTENT


def test_without_a_checksum_the_word_is_that_it_is_not_verified(server, tmp_path):
    (tmp_path / "file.bin.download").write_bytes(b"rest")
    fetched = fetch_file(file_of(server, checksum=None), tmp_path)
    assert (fetched.verified, fetched.sha256, fetched.resumed) == (False, SHA256, 0)
    assert server.asked == [None]


def test_a_file_that_is_not_there_and_the_next_address(server, tmp_path):
    gone = server.url.replace("file", "gone")
    with pytest.raises(DataError, match="answers 404: the file is not there; put the file into"):
        fetch_file(SetFile(name="file.bin", urls=(gone,), checksum=None), tmp_path)
    both = SetFile(name="file.bin", urls=(gone, server.url), checksum=f"sha256:{SHA256}")
    assert fetch_file(both, tmp_path).verified


def test_no_network(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/file"
        with pytest.raises(DataError, match=r"cannot be fetched \(ConnectionError\); is there a network\?"):
            fetch_file(SetFile(name="file.bin", urls=(url,), checksum=None), tmp_path, tries=2)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_is_unpacked_and_cannot_write_elsewhere(server, tmp_path):
    def packed(name):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            member = tarfile.TarInfo(name)
            member.size = 3
            archive.addfile(member, io.BytesIO(b"abc"))
        return buffer.getvalue()

    server.content = packed("faces/Ada/1.jpg")
    checksum = "sha256:" + hashlib.sha256(server.content).hexdigest()
    file = SetFile(name="set.tgz", urls=(server.url,), checksum=checksum)
    known = KnownSet(name="one", what="", terms="", checked="", megabytes=1, files=(file,))
    (fetched,) = fetch_set(known, tmp_path)
    assert fetched.unpacked == tmp_path / "one" / "set"
    assert (fetched.unpacked / "faces" / "Ada" / "1.jpg").read_bytes() == b"abc"
    server.content = packed("../../escaped")
    with pytest.raises(DataError, match="cannot be unpacked"):
        fetch_file(SetFile(name="bad.tgz", urls=(server.url,), checksum=None), tmp_path)
    assert not (tmp_path.parent / "escaped").exists()
    assert not (tmp_path / "bad").exists()


def test_every_known_set_has_checksums_of_full_length():
    lengths = {"sha256": 64, "md5": 32}
    for known in SETS.values():
        for file in known.files:
            kind, _, digest = file.checksum.partition(":")
            assert len(digest) == lengths[kind], file.name
            assert set(digest) <= set("0123456789abcdef")


def test_lfw_is_fetched_with_the_checksums_that_scikit_learn_publishes():
    found = importlib.util.find_spec("sklearn")  # its text is read, since its import takes seconds
    if found is None:
        pytest.skip("scikit-learn is not installed")
    theirs = (Path(found.submodule_search_locations[0]) / "datasets" / "_lfw.py").read_text()
    ours = {file.checksum for known in SETS.values() if "lfw" in known.name for file in known.files}
    assert len(ours) == 5
    assert [each for each in ours if each.removeprefix("sha256:") not in theirs] == []


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("voxceleb2", "its terms must be accepted by you; ask for it with the form"),
        ("MS1MV2", "Microsoft withdrew it in 2019"),
        ("lwf", "did you mean lfw"),
        ("nothing like it", "Those that can be fetched: lfw, lfw-funneled"),
    ],
)
def test_sets_that_are_not_to_be_had(capsys, tmp_path, monkeypatch, name, sentence):
    monkeypatch.chdir(tmp_path)
    assert main(["data", "get", name]) == 2
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_list(capsys):
    assert main(["data", "get"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in SETS)
    assert all(text in shown for text in ELSEWHERE.values())
    assert known_set("LFW_funneled").name == "lfw-funneled"


def test_get_fetches_and_tells(server, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = (file_of(server, checksum=None, unpacked=False),)
    known = KnownSet(name="mine", what="a set", terms="none", checked="nobody", megabytes=1, files=files)
    monkeypatch.setitem(SETS, "mine", known)
    assert main(["data", "get", "mine", "--out", "sets", "--json", "got.json"]) == 0
    assert f"could not be verified, no checksum is known, sha256 {SHA256}" in capsys.readouterr().out
    assert (tmp_path / "sets" / "mine" / "file.bin").read_bytes() == CONTENT
