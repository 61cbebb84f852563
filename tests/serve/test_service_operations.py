"""The operations that need a bundle alone: verify, detect, embed, card, health."""

import base64
from dataclasses import replace

import numpy as np
import pytest
from service_parts import Served, crop, encoded, sentence_of
from small_bundles import matrix, vectors_of, write_bundle
from starlette.testclient import TestClient

from angulus.serve.records.keys import ROLES
from angulus.serve.service import Service
from angulus.serve.web.app import create_app


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return Served(tmp_path_factory.mktemp("served"))


def test_two_photos_of_one_person_and_of_two(served):
    same, different = served.verify(crop(1), crop(1)), served.verify(crop(1), crop(2))
    assert (same.status_code, different.status_code) == (200, 200)
    assert same.json()["decision"] == "same"
    assert same.json()["score"] == pytest.approx(1, abs=1e-5)
    assert same.json()["point"]["far"] == {"estimate": 0.001, "low": 0.0004, "high": 0.002}
    assert different.json()["decision"] == "different"
    assert [photo["name"] for photo in same.json()["photos"]] == ["a.png", "b.png"]


def test_json_is_the_same_as_multipart(served):
    body = {"left": base64.b64encode(crop(1)).decode(), "right": base64.b64encode(crop(1, 1)).decode(), "crops": True}
    as_json = served.ask("POST", "/v1/verify", json=body).json()
    as_parts = served.verify(crop(1), crop(1, 1)).json()
    assert as_json["score"] == as_parts["score"]


def test_vectors_are_those_of_the_network(served):
    answer = served.ask(
        "POST",
        "/v1/embed",
        role="admin",
        files=[("photos", ("a.png", crop(n))) for n in (1, 2)],
        data={"crops": "true"},
    ).json()
    from faces_drawn import face

    wanted = vectors_of(np.stack([face(n, side=16) for n in (1, 2)]), matrix())
    np.testing.assert_allclose(np.array(answer["vectors"]), wanted, atol=1e-5)


def test_a_bundle_that_was_never_calibrated_decides_nothing(tmp_path):
    other = Served(tmp_path, bundle=write_bundle(tmp_path / "bare.bundle", calibrated=False))
    refused = other.verify(crop(1), crop(1))
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "bundle")
    assert "no threshold" in sentence_of(refused)
    assert str(tmp_path) not in refused.text
    assert other.ask("GET", "/v1/calibration").status_code == 409
    assert "verify" not in other.ask("GET", "/v1/operating-point").json()
    assert "calibration" not in other.ask("GET", "/v1/card").json()
    files = {"photos": ("a.png", crop(1))}
    assert other.ask("POST", "/v1/embed", role="admin", files=files, data={"crops": "true"}).status_code == 200


@pytest.mark.parametrize("role", [None, *ROLES])
def test_roles(served, role):
    status = served.verify(crop(1), crop(1), role=role).status_code
    assert status == (401 if role is None else 200)
    files = {"photos": ("a.png", crop(1))}
    status = served.ask("POST", "/v1/embed", role=role, files=files, data={"crops": "true"}).status_code
    assert status == {None: 401, "admin": 200}.get(role, 403)


def test_a_wrong_key(served):
    refused = served.ask("GET", "/v1/card", role=None, headers={"authorization": "Bearer angulus_wrong"})
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert "not known" in sentence_of(refused)


def test_card_and_health(served):
    card = served.ask("GET", "/v1/card").json()
    assert card["artefact"]["name"] == served.service.bundle.artefact.name
    assert card["calibration"]["stranger_pairs"] == 300_000
    assert served.ask("GET", "/v1/health", role=None).json()["status"] == "ready"


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (b"no image", 422, "not an image of a known format"),
        (crop(1)[:-40], 422, "cannot read a.png"),
        (b"", 422, "cannot read a.png"),
        (encoded(np.zeros((20, 30, 3))), 422, "no aligned crop"),
    ],
)
def test_images_that_cannot_be_used(served, content, status, said):
    refused = served.verify(content, crop(1))
    assert refused.status_code == status
    assert said in sentence_of(refused)


def test_a_card_of_what_no_json_can_hold(tmp_path, monkeypatch):
    other = Served(tmp_path)
    strange = {"trained\ud800": ["\udfffx", float("nan")], "images": 3}
    monkeypatch.setattr(other.service.bundle, "description", replace(other.service.bundle.description, model=strange))
    card = other.ask("GET", "/v1/card")
    assert card.status_code == 200
    assert card.json()["model"]["images"] == 3
    assert card.json()["model"]["trained?"][0] == "?x"


def test_a_path_is_never_led_to_another_host(served):
    refused = served.ask("GET", "/v1/people/", role=None, headers={"host": "evil.example"}, follow_redirects=False)
    assert refused.status_code in (401, 404)
    assert "location" not in refused.headers


def test_without_keys_a_host_that_is_none_is_refused(served):
    service = Service(served.recognizer, served.ledger)
    client = TestClient(create_app(service, None), raise_server_exceptions=False)
    for headers, status in (
        ({"host": "[::1"}, 403),
        ({"host": "localhost", "origin": "http://[x"}, 403),
        ({"host": "[::1]:8000"}, 200),
    ):
        assert client.get("/v1/card", headers=headers).status_code == status


def test_a_long_head_is_refused(served):
    for path, headers in (("/v1/health", {"x-long": "x" * 20_000}), ("/v1/health?x=" + "x" * 20_000, {})):
        refused = served.ask("GET", path, role=None, headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (431, "head")
    assert served.ask("GET", "/v1/health", role=None, headers={"x-long": "x" * 10_000}).status_code == 200


def test_what_is_missing_or_unknown_is_said(served):
    refused = served.ask("POST", "/v1/verify", files={"left": ("a.png", crop(1))})
    assert (refused.status_code, sentence_of(refused)) == (422, "right must be 1 photo, got 0")
    refused = served.ask("POST", "/v1/verify", files={"middle": ("a.png", crop(1))})
    assert "known are: left, right, crops" in sentence_of(refused)
    refused = served.ask("POST", "/v1/verify", content=b"x", headers={"content-type": "text/plain"})
    assert refused.status_code == 415
    assert served.ask("GET", "/v1/nothing").json()["error"]["code"] == "path"
    assert served.ask("GET", "/v1/verify").status_code == 405
