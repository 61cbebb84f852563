"""Keys: shown once, stored as digests, taken over and ended while the service runs."""

import json
import stat

import pytest
from starlette.datastructures import Headers

from angulus.errors import ServiceError
from angulus.serve.records import keys as keys_module
from angulus.serve.records.keys import KeyRing, add_key, read_keys, remove_key
from angulus.serve.web.gate import check_origin


def test_a_key_is_stored_as_a_digest_that_only_its_owner_can_read(tmp_path):
    path = tmp_path / "keys.json"
    secret = add_key(path, "office", "enrol")
    assert secret not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    ring = KeyRing(path)
    assert ring.find(secret).name == "office"
    assert ring.find(secret + "x") is None
    assert ring.find("") is None


def test_roles_contain_each_other(tmp_path):
    key = {name: add_key(tmp_path / "keys.json", name, name) for name in ("read", "enrol", "admin")}
    ring = KeyRing(tmp_path / "keys.json")
    allowed = {name: [least for least in key if ring.find(secret).allows(least)] for name, secret in key.items()}
    assert allowed == {"read": ["read"], "enrol": ["read", "enrol"], "admin": ["read", "enrol", "admin"]}


def test_changes_are_taken_over_while_it_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(keys_module, "RECHECK", 0.0)
    path = tmp_path / "keys.json"
    first = add_key(path, "first", "read")
    ring = KeyRing(path)
    second = add_key(path, "second", "read")
    assert ring.find(second).name == "second"
    remove_key(path, "first")
    assert ring.find(first) is None
    for breaks in (lambda: path.write_text("a secret"), path.unlink):
        breaks()
        for _ in range(2):
            with pytest.raises(ServiceError, match="the file of keys cannot be read now") as refused:
                ring.find(second)
            assert (refused.value.status, refused.value.code) == (503, "no_keys")
            assert "secret" not in str(refused.value)
            assert str(tmp_path) not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: add_key(path, "office", "read"), "has a key of the name office"),
        (lambda path: add_key(path, "../x", "read"), "a key's name must be"),
        (lambda path: add_key(path, "x", "root"), "a role must be one of"),
        (lambda path: remove_key(path, "nobody"), "it has: office"),
        (lambda path: path.write_text("[]") and read_keys(path), "is no file of keys"),
        (lambda path: path.write_text("{") and read_keys(path), "cannot be read as a file of keys"),
        (
            lambda path: path.write_text(json.dumps({"format": 1, "keys": [{"name": 3}]})) and read_keys(path),
            "a key must",
        ),
    ],
)
def test_what_is_wrong_is_said(tmp_path, change, said):
    path = tmp_path / "keys.json"
    add_key(path, "office", "enrol")
    with pytest.raises(ServiceError, match=said):
        change(path)


@pytest.mark.parametrize(
    ("headers", "fine"),
    [
        ({"host": "a:8000"}, True),
        ({"host": "a:8000", "origin": "http://a:8000", "sec-fetch-site": "same-origin"}, True),
        ({"host": "a:8000", "origin": "http://evil.example"}, False),
        ({"host": "a:8000", "origin": "null"}, False),
        ({"host": "a:8000", "origin": "http://[x"}, False),
        ({"origin": "http://[x"}, False),
        ({"host": "a:8000", "sec-fetch-site": "cross-site"}, False),
        ({"host": "a:8000", "sec-fetch-site": "none"}, True),
    ],
)
def test_pages_of_other_origins_are_refused(headers, fine):
    if fine:
        check_origin(Headers(headers))
    else:
        with pytest.raises(ServiceError, match="other origins"):
            check_origin(Headers(headers))
