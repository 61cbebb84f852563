"""What is too much, too slow or hostile is refused with the right status, and the service goes on."""

import asyncio
import base64
import json
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from service_parts import Served, crop, encoded, sentence_of
from small_bundles import write_bundle

from angulus.runtime import Recognizer
from angulus.serve.answers import CheckResult
from angulus.serve.settings import Batching, Limits, Settings

LIMITS = Limits(request_bytes=200_000, open_bytes=400_000, photos=3, pixels=50_000)


def fine(face):
    return CheckResult(passed=True, score=float(face.crop.mean()))


def never(face):
    return CheckResult(passed=False, remark="it is a picture of a picture")


def broken(face):
    raise RuntimeError("secret detail")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    entries = {name: f"{__name__}:{name}" for name in ("fine", "never", "broken")}
    return Served(tmp_path_factory.mktemp("served"), settings=Settings(workers=2, limits=LIMITS, checks=entries))


@pytest.fixture(autouse=True)
def _alive_after(served):
    yield
    assert served.verify(crop(1), crop(1)).json()["decision"] == "same"


def png_of(width, height):
    """A PNG that says it has so many pixels, all black."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(100_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("photo", "status", "said"),
    [
        (png_of(30_000, 30_000), 413, "at most 50,000 are taken"),
        (png_of(100_000, 100_000), 413, "pixels"),
        (encoded(np.zeros((300, 300, 3))), 413, "at most 50,000 are taken"),
        (encoded(np.random.default_rng(0).integers(0, 255, (64, 64, 3)), "JPEG")[:900], 422, "cannot read a.png"),
        (b"\xff\xd8\xff\xe0" + b"\xff\xda" * 200, 422, "cannot read a.png"),
        (encoded(np.zeros((16, 16, 3)), "JPEG") + b"\xff\xda" * 200, 422, "scans"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", 422, "not an image of a known format"),
    ],
)
def test_images_of_strangers(served, photo, status, said):
    refused = served.verify(photo, crop(1))
    assert refused.status_code == status
    assert said in sentence_of(refused)


def test_a_body_that_is_too_large_is_not_read_to_its_end(served):
    refused = served.verify(bytes(300_000), crop(1))
    assert refused.status_code == 413
    sent = []

    def endless():
        while len(sent) < 10_000:
            sent.append(1)
            yield bytes(1000)

    kind = {"content-type": "multipart/form-data; boundary=x"}
    assert served.ask("POST", "/v1/verify", content=endless(), headers=kind).status_code == 413
    assert served.app.middleware_stack is not None


def test_bodies_of_all_requests_together_are_bounded(served):
    stated = {"content-type": "application/json"}
    budget = next(m.kwargs["budget"] for m in served.app.user_middleware)
    budget.take(300_000)
    refused = served.ask("POST", "/v1/verify", content=b"x" * 150_000, headers=stated)
    budget.give_back(300_000)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert budget.taken == 0


def test_too_many_photos(served):
    files = [("photos", ("a.png", crop(1)))] * 4
    refused = served.ask("POST", "/v1/embed", role="admin", files=files, data={"crops": "true"})
    assert refused.status_code in (413, 422)
    body = {"photos": [base64.b64encode(crop(1)).decode()] * 4}
    assert served.ask("POST", "/v1/embed", role="admin", json=body).status_code == 413


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("[" * 9_000, "not readable JSON"),
        ('{"left": ' + '{"a":' * 70 + "1" + "}" * 71, "not readable JSON"),
        ("[1]", "must be an object"),
        ('{"left": 3, "right": "x"}', "must be a photo"),
        ('{"left": "***", "right": "x"}', "base64"),
        ('{"crops": ["true", "false"]}', "given twice"),
        ('{"crops": {"a": 1}}', "must be a text"),
        (b"\xff\xfe", "not readable JSON"),
        ('{"crops": "\\ud800"}', "crops must be readable text"),
        ('{"left": "\\udfff", "right": "x"}', "left must be a photo"),
        ('{"\\ud800": "x"}', "there is no field"),
    ],
)
def test_bodies_that_are_no_request(served, body, said):
    refused = served.ask("POST", "/v1/verify", content=body, headers={"content-type": "application/json"})
    assert refused.status_code == 422
    assert said in sentence_of(refused)


def test_json_that_swells_in_memory(served):
    content = '{"left": [' + "[]," * 50_000 + "1]}"
    refused = served.ask("POST", "/v1/verify", content=content, headers={"content-type": "application/json"})
    assert (refused.status_code, sentence_of(refused)) == (413, "the body must have at most 10,000 values")


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=x"])
def test_multipart_that_is_none(served, kind):
    refused = served.ask("POST", "/v1/verify", content=b"--y\r\nnothing", headers={"content-type": kind})
    assert refused.status_code == 422


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "C:\\x\\..\\y.png", "/dev/zero", "a\x00b", "\u202ex", "", "x" * 999]
)
def test_names_of_files_are_data(served, name, tmp_path):
    before = sorted(path for path in served.folder.rglob("*") if "state" not in path.parts)
    answer = served.ask(
        "POST", "/v1/verify", files={"left": (name or "x", crop(1)), "right": ("b", crop(1))}, data={"crops": "true"}
    )
    if answer.status_code == 200:
        shown = answer.json()["photos"][0]["name"]
        assert "/" not in shown
        assert "\\" not in shown
        assert len(shown) <= 200
    else:
        assert answer.status_code == 422
    assert sorted(path for path in served.folder.rglob("*") if "state" not in path.parts) == before


def test_words_are_checked(served):
    assert "crops must be true or false" in sentence_of(served.verify(crop(1), crop(1), crops="maybe"))


def test_checks(served):
    refused = served.verify(crop(1), crop(1), checks="fine,liveness")
    assert (refused.status_code, refused.json()["error"]["code"]) == (412, "no_such_check")
    assert "installed: fine, never, broken" in sentence_of(refused)
    passed = served.verify(crop(1), crop(1), checks="fine").json()
    assert passed["decision"] == "same"
    assert passed["photos"][0]["face"]["checks"]["fine"]["passed"] is True
    assert "checks" not in served.verify(crop(1), crop(1)).json()["photos"][0]["face"]
    failed = served.verify(crop(1), crop(1), checks="never").json()
    assert (failed["decision"], "score" in failed) == ("cannot tell", False)
    assert "a picture of a picture" in failed["reason"]
    crashed = served.verify(crop(1), crop(1), checks="broken")
    assert crashed.status_code == 500
    assert "secret" not in crashed.text


def test_headers_of_every_answer(served):
    for answer in (
        served.ask("GET", "/", role=None),
        served.ask("GET", "/v1/card"),
        served.ask("GET", "/x", role=None),
    ):
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in answer.headers
        assert len(answer.headers["x-request-id"]) == 16


def test_metrics_count(served):
    before = served.ask("GET", "/v1/metrics").text
    served.verify(crop(1), crop(2))
    after = served.ask("GET", "/v1/metrics").text
    line = 'angulus_decisions_total{decision="different",operation="verify"}'

    def value(text):
        return sum(float(row.split()[-1]) for row in text.splitlines() if row.startswith(line))

    assert value(after) == value(before) + 1
    assert 'angulus_requests_total{operation="verify",status="200"}' in after
    assert "angulus_batch_size_bucket" in after


class Held(Recognizer):
    """Its faces are found only when `go` is set."""

    def __init__(self, bundle):
        super().__init__(bundle)
        self.go, self.begun = threading.Event(), threading.Event()

    def as_crop(self, crop, name):
        self.begun.set()
        assert self.go.wait(20)
        return super().as_crop(crop, name)


def test_overload_is_refused_at_once_and_what_was_taken_is_finished(tmp_path):
    held = Held(write_bundle(tmp_path / "bundle"))
    limits = Limits(waiting=4, seconds=20)
    other = Served(tmp_path, recognizer=held, settings=Settings(workers=1, limits=limits, batching=Batching(most=1)))
    with ThreadPoolExecutor(8) as pool:
        first = [pool.submit(other.verify, crop(1), crop(1)) for _ in range(2)]
        assert held.begun.wait(10)
        while other.service.looking.workers.open < 4:
            pass
        refused = other.verify(crop(1), crop(1))
        assert other.service.looking.workers.open == 4  # the refused request left nothing behind
        held.go.set()
        assert [one.result().status_code for one in first] == [200, 200]
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert other.verify(crop(1), crop(1)).status_code == 200


def test_what_takes_too_long_is_answered_504(tmp_path):
    held = Held(write_bundle(tmp_path / "bundle"))
    other = Served(tmp_path, recognizer=held, settings=Settings(workers=1, limits=Limits(seconds=0.2)))
    late = other.verify(crop(1), crop(1))
    held.go.set()
    assert late.status_code == 504
    assert other.verify(crop(1), crop(1)).status_code == 200


def test_each_of_16_callers_gets_its_own_answer(served):
    def ask(number):
        body = {"photos": base64.b64encode(crop(number)).decode(), "crops": True}
        return served.ask("POST", "/v1/embed", role="admin", json=body).json()["vectors"][0]

    alone = [ask(number) for number in range(8)]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(ask, [number % 8 for number in range(48)]))
    for number, vector in enumerate(together):
        np.testing.assert_allclose(vector, alone[number % 8], atol=1e-5)


def test_what_cannot_be_written_down_is_not_answered(tmp_path, monkeypatch):
    other = Served(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("angulus.serve.records.lines.os.fsync", full)
    refused = other.verify(crop(1), crop(1))
    monkeypatch.undo()
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_written")
    assert "decision" not in refused.json()
    assert str(tmp_path) not in refused.text
    assert other.service.ledger.log.lines(10) == []
    assert other.verify(crop(1), crop(1)).status_code == 200


def test_the_log_has_no_images_no_vectors_and_no_names_of_files(tmp_path):
    other = Served(tmp_path)
    other.verify(crop(1), crop(1))
    (row,) = other.ask("GET", "/v1/audit", role="admin").json()["lines"]
    assert set(row) == {"time", "request", "key", "operation", "decision", "score", "threshold"}
    assert (row["key"], row["operation"], row["decision"]) == ("a-read", "verify", "same")
    assert other.ask("GET", "/v1/audit", role="enrol").status_code == 403
    assert json.dumps(row)


@pytest.mark.slow
@pytest.mark.parametrize(("pause", "status"), [(5.0, 408), (0.0, 400)])
def test_a_body_that_stalls_or_is_cut_short(tmp_path, pause, status):
    other = Served(tmp_path, settings=Settings(workers=1, limits=Limits(body_seconds=0.2)))
    parts = [{"type": "http.request", "body": b"{", "more_body": True}]
    sent = []

    async def receive():
        if parts:
            return parts.pop()
        await asyncio.sleep(pause)
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    key = f"Bearer {other.keys['read']}".encode()
    headers = [(b"authorization", key), (b"content-type", b"application/json"), (b"content-length", b"100")]
    scope = {
        **{"type": "http", "method": "POST", "path": "/v1/verify", "raw_path": b"/v1/verify", "query_string": b""},
        **{"headers": headers, "http_version": "1.1", "scheme": "http", "server": ("x", 80), "client": ("y", 1)},
    }
    asyncio.run(other.app(scope, receive, send))
    assert sent[0]["status"] == status
