"""Names of margins: every one stands for itself, in the list that a type checker reads as well."""

from typing import get_args

import pytest

from angulus.margins import MARGINS, MarginName, margin_of


@pytest.mark.parametrize("name", MARGINS)
def test_a_name_stands_for_its_margin(name):
    assert margin_of(name) == MARGINS[name]()
    assert margin_of(MARGINS[name]()) == MARGINS[name]()


def test_a_type_checker_knows_the_same_names():
    assert get_args(MarginName) == tuple(MARGINS)
