"""Rates are written as a person reads them, without powers of ten."""

from dataclasses import dataclass

import pytest

from angulus.plain_numbers import counted, one_in, out_of, percent, plain, several, span, with_article


@dataclass
class Ends:
    low: float
    high: float


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.959, 0.9784, "95.90 to 97.84%"),
        (1.5e-8, 0.9999, "cannot be told"),
        (1e-6, 0.03, "under 0.01 to 3.00%"),
        (0.4, 0.99999, "40.00 to over 99.99%"),
        (2.4e-5, 9.6e-5, "0.0024 to 0.0096%"),
        (4.56e-5, 2.19e-4, "0.0046 to 0.022%"),
        (4.56e-5, 2.19e-3, "under 0.01 to 0.22%"),
        (0.0, 2.19e-4, "0.00 to 0.02%"),
        (1e-9, 4e-5, "under 0.004%"),
        (0.99995, 0.99999, "over 99.99%"),
        (0.0, 0.02, "0.00 to 2.00%"),
    ],
)
def test_the_ends_of_an_interval(low, high, text):
    assert span(Ends(low, high)) == text


def test_nothing_is_ever_written_with_a_power_of_ten():
    for power in range(13):
        for digit in (1, 2.5, 9.99):
            rate = min(digit * 10.0**-power, 1.0)
            texts = [percent(rate), percent(1 - rate), plain(rate), one_in(rate), span(Ends(rate / 10, rate))]
            assert not any("e-" in text or "e+" in text for text in texts), texts


def test_shares_that_can_be_imagined():
    assert [one_in(rate) for rate in (0.001, 1 / 1234, 0.4, 0)] == ["1 in 1,000", "1 in 1,200", "1 in 2.5", "none"]
    assert out_of(0.8, "do", Ends(0.7, 0.9)) == "8 of 10 do (7 to 9)"
    assert out_of(0.884, "do", Ends(0.868, 0.898)) == "88 of 100 do (87 to 90)"
    assert out_of(0.9987, "do", Ends(0.998, 0.999)) == "999 of 1,000 do (998 to 999)"
    assert out_of(0.9958, "do") == "996 of 1,000 do"
    assert out_of(0.97, "do", Ends(0.8, 0.99)) == "97 of 100 do (80 to 99)"
    assert out_of(1.0, "do", Ends(0.8, 1.0)) == "10 of 10 do (8 to 10)"
    assert plain(1e-6) == "0.000001"


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (1, "recording", "1 recording"),
        (0, "image", "0 images"),
        (1200, "identity", "1,200 identities"),
        (1, "person", "1 person"),
        (2, "person", "2 people"),
        (2, "entry", "2 entries"),
    ],
)
def test_a_number_and_what_it_counts(number, noun, text):
    assert counted(number, noun) == text


def test_words_for_one_and_for_several():
    assert (several("epoch"), with_article("image"), with_article("recording")) == ("epochs", "an image", "a recording")
