"""What benchmarks/inversion.py keeps of an audit: templates have a stolen photo, classes of a head have none."""

import pytest
from benchmark_scripts import script


@pytest.fixture
def inversion(monkeypatch):
    return script("inversion", monkeypatch)


def audited(*forms: str) -> dict:
    accepted = {"estimate": 0.5, "low": 0.25, "high": 0.75}
    rates = [{"form": form, "target_far": far, "accepted": accepted} for form in forms for far in (1e-2, 1e-3)]
    return {"judges": [{"name": "dlib", "attacks": [{"rates": rates}]}], "attacks": [{"seconds": 3.0}]}


@pytest.mark.parametrize("forms", [("other photos", "real photos", "strangers"), ("same photo", "other photos")])
def test_a_row_has_the_comparisons_that_there_are(inversion, forms):
    row = inversion.row_of("name", audited(*forms), 0, 0.0)
    assert [form for form in inversion.FORMS if form in row] == [form for form in inversion.FORMS if form in forms]
    assert row["other photos"]["dlib"]["estimate"] == row["other at 1e-2"] == 0.5
    assert inversion.cells(row)[:3] == ["name", "50 % (25 to 75)", "**50 %**"]
