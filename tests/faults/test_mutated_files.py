"""A damaged file gives the same result or an AngulusError: no other exception, at most 10 s and 500 MB."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

EACH = 40
MUST_NOTICE = ("packed images", "packed index", ".npz", "safetensors", "model.safetensors")
MUST_NOTICE += ("embedding part", "embedding manifest")


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    out = tmp_path_factory.mktemp("faults") / "faults.json"
    script = Path(__file__).parent / "mutation_run.py"
    subprocess.run([sys.executable, str(script), str(EACH), str(out)], check=True, timeout=300)
    return json.loads(out.read_text())


@pytest.mark.slow
def test_no_other_exception_and_no_hang(rows):
    assert {row["reader"]: row["faults"] for row in rows if row["fault"]} == {}
    assert all(row["same"] + row["refused"] + row["warned"] + row["silent"] == EACH for row in rows)
    assert len(rows) == 28


@pytest.mark.parametrize("name", MUST_NOTICE)
def test_formats_with_a_checksum_are_never_silent(rows, name):
    (row,) = (row for row in rows if row["reader"] == name)
    assert (row["silent"], row["warned"]) == (0, 0)


def test_what_stays_silent_has_a_reason(rows):
    assert [row["reader"] for row in rows if (row["silent"] or row["warned"]) and not row["reason"]] == []
