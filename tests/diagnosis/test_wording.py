"""Findings speak of recordings where a run is on speech, and leave keys of the recipe as they are."""

import pytest

from angulus.diagnosis.findings import Finding
from angulus.diagnosis.records import Record
from angulus.diagnosis.wording import worded, worded_finding

SPEECH = Record(recipe={"model": {"input": {"content": "waveform"}}}, metrics=[], lines=[])
IMAGES = Record(recipe={"model": {"input": {"height": 112}}}, metrics=[], lines=[])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("5 images of 1 image", "5 recordings of 1 recording"),
        ("raise data.identities.min_images=4 or augment.name=images", None),
        ("imagery", None),
    ],
)
def test_words_of_a_run(text: str, said: str | None) -> None:
    assert worded(text, SPEECH) == (said or text)
    assert worded(text, IMAGES) == text


def test_a_finding_is_worded_in_all_its_sentences() -> None:
    finding = Finding(name="few_images", title="images", severity="costs", evidence="an image", advice="more images")
    found = worded_finding(finding, SPEECH)
    assert (found.title, found.evidence, found.advice) == ("recordings", "a recording", "more recordings")
    assert found.name == "few_images"
