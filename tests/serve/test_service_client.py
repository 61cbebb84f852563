"""The client gives out the service's records and sentences, and tries again only where nothing was done."""

import httpx
import pytest
from service_parts import crop
from test_service_gallery import with_gallery

from angulus.errors import ServiceError
from angulus.serve import client as client_module
from angulus.serve.client import Client
from angulus.serve.settings import Settings


class Through(httpx.BaseTransport):
    """Requests go to a test client of the application."""

    def __init__(self, inside):
        self._inside = inside

    def handle_request(self, request):
        headers = [(name, value) for name, value in request.headers.items() if name != "host"]
        said = self._inside.request(request.method, str(request.url), content=request.read(), headers=headers)
        return httpx.Response(said.status_code, headers=dict(said.headers), content=said.content)


@pytest.fixture
def served(tmp_path):
    made = with_gallery(tmp_path, settings=Settings(workers=2, fpir=0.05, crops=True))
    yield made
    made.service.close()


def client_of(served, role="admin", **options):
    return Client("http://testserver", key=served.keys[role], transport=Through(served.client), **options)


def test_every_operation(served, tmp_path):
    (tmp_path / "a.png").write_bytes(crop(1))
    with client_of(served) as client:
        assert client.health().status == "ready"
        assert client.card().calibration["people"] == 200
        made = client.enrol("Ann/Lee", [tmp_path / "a.png", crop(1, 1)], note="by post")
        assert (made.people, made.photos[0].photo.name) == (1, "a.png")
        assert client.people().people[0].photos == 2
        person = client.person("Ann/Lee")
        found = client.search(crop(1))
        assert (found.decision, found.candidates[0].photo) == ("person", person.photos[0].id)
        assert client.verify(tmp_path / "a.png", crop(2), undecided=True).decision == "different"
        assert len(client.embed([crop(1), crop(2)]).vectors) == 2
        assert client.calibration(people=100).people == 100
        points = client.choose("search", rate=0.05, by="B.", reason="enough")
        assert points.search == client.points().search
        assert client.remove_photo("Ann/Lee", person.photos[0].id).person_removed is False
        assert client.remove("Ann/Lee").photos == 1
        assert client.audit(most=2).lines[0]["operation"] == "remove"
        with pytest.raises(ServiceError, match="nobody of the name"):
            client.person("Ann/Lee")
        with pytest.raises(ServiceError, match="brings no detector"):
            client.detect(crop(1))
        with pytest.raises(ServiceError, match="cannot read"):
            client.detect(tmp_path / "missing.png")
    with client_of(served, "read") as client, pytest.raises(ServiceError, match="needs a key of the role enrol") as no:
        client.enrol("Ann", [crop(1)])
    assert (no.value.status, no.value.code) == (403, "role")


class Script(httpx.BaseTransport):
    """Answers as written down."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), 0

    def handle_request(self, request):
        self.asked += 1
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def refusal(status, code, **headers):
    said = {"error": {"code": code, "message": f"it is {code}", "request": "r"}}
    return httpx.Response(status, json=said, headers=headers)


READY = {"status": "ready", "version": "1"}


def test_busy_is_tried_again_after_the_time_that_was_asked_for(monkeypatch):
    slept = []
    monkeypatch.setattr(client_module.time, "sleep", slept.append)
    script = Script(refusal(503, "busy", **{"retry-after": "3"}), refusal(503, "busy"), httpx.Response(200, json=READY))
    assert Client("http://x", transport=script).health().status == "ready"
    assert slept == [3, 1]


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (refusal(503, "not_written", **{"retry-after": "10"}), 503, "not_written"),
        (refusal(409, "name_taken"), 409, "name_taken"),
        (httpx.Response(502, text="<html>"), 502, "answer"),
        (httpx.Response(200, json={"other": 1}), 502, "answer"),
        (httpx.ConnectError("refused"), 503, "unreachable"),
        (httpx.ReadTimeout("slow"), 503, "unreachable"),
    ],
)
def test_nothing_else_is_tried_again(answer, status, code):
    script = Script(answer)
    with pytest.raises(ServiceError) as refused:
        Client("http://x", transport=script).health()
    assert (refused.value.status, refused.value.code, script.asked) == (status, code, 1)


def test_busy_ends_at_last(monkeypatch):
    monkeypatch.setattr(client_module.time, "sleep", lambda _: None)
    script = Script(*(refusal(503, "busy") for _ in range(3)))
    with pytest.raises(ServiceError, match="it is busy"):
        Client("http://x", transport=script, tries=3).health()
    assert script.asked == 3
