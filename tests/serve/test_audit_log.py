"""The log: whole lines on the disk, in files of bounded size and age; who was removed is in none of them."""

import json
import stat
from datetime import UTC, datetime, timedelta

import pytest

from angulus.errors import ServiceError
from angulus.serve.records.audit_log import CURRENT, AuditLog
from angulus.serve.records.choices import Choices
from angulus.serve.records.ledger import Ledger
from angulus.serve.records.lines import LineFile

ANN, BEN = {"name": "Ann", "id": "aa" * 16}, {"name": "Ben", "id": "bb" * 16}


def line(number, *people):
    return {"request": f"r{number}", "key": "office", "operation": "search", "decision": "person", "people": people}


def test_lines_are_read_newest_first(tmp_path):
    log = AuditLog(tmp_path)
    for number in range(5):
        log.note(line(number)).result()
    assert [row["request"] for row in log.lines(3)] == ["r4", "r3", "r2"]
    log.close()
    assert len((tmp_path / CURRENT).read_text().splitlines()) == 5


def test_a_half_line_is_cut_off(tmp_path):
    path = tmp_path / "lines.jsonl"
    file = LineFile(path)
    file.append([{"a": 1}])
    file.close()
    with path.open("a") as half:
        half.write('{"a": 2, "b"')
    file = LineFile(path)
    file.append([{"a": 3}])
    file.close()
    assert [json.loads(row)["a"] for row in path.read_text().splitlines()] == [1, 3]


def test_files_are_bounded_in_size_and_age(tmp_path):
    clock = [datetime(2026, 1, 1, tzinfo=UTC)]
    log = AuditLog(tmp_path, most_bytes=500, keep_days=10, now=lambda: clock[0])
    for number in range(12):
        log.note(line(number)).result()
    assert len(log.files()) == 3
    assert max(path.stat().st_size for path in log.files()) < 1000
    assert len(log.lines(100)) == 12
    clock[0] += timedelta(days=11)
    log.note(line(99)).result()
    log.note(line(100)).result()
    assert {row["request"] for row in log.lines(100)} >= {"r99", "r100"}
    clock[0] += timedelta(days=11)
    log.note(line(101)).result()
    assert [row["request"] for row in log.lines(100)][:1] == ["r101"]
    assert not any(row["request"] == "r3" for row in log.lines(100))
    log.close()


def test_who_was_removed_is_in_no_line_of_any_file(tmp_path):
    log = AuditLog(tmp_path, most_bytes=600)
    for number in range(8):
        log.note(line(number, ANN if number % 2 else BEN)).result()
    log.note(line(8, ANN, BEN)).result()
    log.note(line(9, {"name": "Ann renamed", "id": ANN["id"]})).result()
    log.forget("Ann", ANN["id"]).result()
    log.note(line(10, BEN)).result()
    rows = log.lines(100)
    log.close()
    assert all(b"Ann" not in path.read_bytes() and ANN["id"].encode() not in path.read_bytes() for path in log.files())
    assert len(rows) == 11
    forgotten = [row for row in rows if row.get("forgotten")]
    assert len(forgotten) == 6
    assert set(forgotten[0]) == {"time", "request", "key", "forgotten"}


def test_many_are_forgotten_together(tmp_path):
    log = AuditLog(tmp_path, most_bytes=600)
    for number in range(300):
        log.note(line(number, {"name": f"p{number}", "id": f"{number:032}"}))
    gone = [log.forget(f"p{number}", "") for number in range(300)]
    kept = log.note(line(300, {"name": "p1", "id": "ff" * 16}))  # enrolled anew
    assert [one.result() for one in gone] == [1] * 300
    assert kept.result() == 0
    assert log.forget("nobody", "").result() == 0
    rows = log.lines(1000)
    log.close()
    assert [row["request"] for row in rows] == [f"r{number}" for number in range(300, -1, -1)]
    assert [row["people"][0]["name"] for row in rows if "people" in row] == ["p1"]


def test_one_service_holds_the_folder(tmp_path):
    ledger = Ledger(tmp_path / "state", "0" * 64)
    with pytest.raises(ServiceError, match="another process is serving with"):
        Ledger(tmp_path / "state", "0" * 64, patience=0.0)
    ledger.close()
    Ledger(tmp_path / "state", "0" * 64).close()


@pytest.mark.parametrize(
    "damage",
    [
        '{"use": "verify", "threshold": 0.1, "rate": null, "by": "\\ud800", "reason": "y", "artefact": "ARTEFACT"}',
        '{"use": "verify", "threshold": NaN, "by": "x", "reason": "y"}',
        '{"use": "verify", "threshold": 1e999}',
        '{"use": [{}], "threshold": 0.1}',
        '{"use": "verify", "threshold": 1' + "0" * 400 + "}",
        "\x00",
        "[]",
    ],
)
def test_damaged_lines_are_left_out(tmp_path, damage):
    said = {"key": "office", "by": "B. Officer", "reason": "fewer false alarms"}
    choices = Choices(tmp_path, "a" * 64)
    choices.choose("verify", threshold=0.4, rate=None, **said)
    choices.close()
    with (tmp_path / "choices.jsonl").open("a") as file:
        file.write(damage.replace("ARTEFACT", "a" * 64) + "\n")
    again = Choices(tmp_path, "a" * 64)
    assert [choice.threshold for choice in again.history()] == [0.4]
    assert again.current("verify").threshold == 0.4
    again.close()


def test_the_folder_is_for_its_owner_alone(tmp_path):
    (tmp_path / "state").mkdir(mode=0o755)
    ledger = Ledger(tmp_path / "state", "0" * 64, keep_crops=True)
    ledger.log.note(line(0)).result()
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()}
    ledger.close()
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert found == {".lock": 0o600, "audit.jsonl": 0o600, "choices.jsonl": 0o600, "crops": 0o700}


def test_the_last_choice_of_this_artefact_holds(tmp_path):
    choices = Choices(tmp_path, "a" * 64)
    said = {"key": "office", "by": "B. Officer", "reason": "fewer false alarms"}
    choices.choose("verify", threshold=0.4, rate=None, **said)
    choices.choose("verify", threshold=0.5, rate=None, **said)
    choices.choose("search", threshold=None, rate=0.01, **said)
    choices.close()
    again, other = Choices(tmp_path, "a" * 64), Choices(tmp_path, "b" * 64)
    assert again.current("verify").threshold == 0.5
    assert again.current("search").rate == 0.01
    assert other.current("verify") is None
    assert [choice.threshold for choice in other.history()] == [None, 0.5, 0.4]
    for wrong in ({"threshold": 2.0, "rate": None}, {"threshold": 0.1, "rate": 0.1}, {"threshold": None, "rate": 1.0}):
        with pytest.raises(ServiceError):
            again.choose("verify", **wrong, **said)
    with pytest.raises(ServiceError, match="reason must say something"):
        again.choose("verify", threshold=0.4, rate=None, key="office", by="B.", reason=" ")
    with pytest.raises(ServiceError, match="use must be"):
        again.choose("all", threshold=0.4, rate=None, **said)
    again.close()
    other.close()
