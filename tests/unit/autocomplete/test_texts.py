"""Texts in one buffer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.tasks.autocomplete.texts import Texts

TEXTS = st.lists(st.text(alphabet=st.characters(codec="utf-8"), max_size=9), max_size=9)


@given(TEXTS)
def test_every_row_is_the_text_that_was_given(texts: list[str]) -> None:
    table = Texts.of(texts)
    assert len(table) == len(texts)
    assert [table[row] for row in range(len(table))] == texts


def test_a_row_beyond_the_last_is_refused() -> None:
    with pytest.raises(IndexError):
        Texts.of(["a"])[1]
    with pytest.raises(IndexError):
        Texts(np.empty(0, np.uint8), np.zeros(1, np.int32))[0]
