"""The first sentence of a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.tasks.corpus.sentences import first_sentence, remove_first_sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("The U.S. economy grew. It had not for years.", "The U.S. economy grew."),
        (
            "Dr. J. R. Smith vs. Mr. Jones: no. 5 on the list. Next.",
            "Dr. J. R. Smith vs. Mr. Jones: no. 5 on the list.",
        ),
        ("Return a copy, e.g. of an array. Sorted.", "Return a copy, e.g. of an array."),
        ("At 5 p.m. Monday it rained. Then not.", "At 5 p.m. Monday it rained."),
        ("She holds a Ph.D. from Bonn. He does not.", "She holds a Ph.D. from Bonn."),
        ("Yahoo! said no. Others did.", "Yahoo! said no."),
        ('"Wait!" he said. Nobody did.', '"Wait!" he said.'),
        ("Really?! Yes.", "Really?!"),
        ("Return a sorted copy\n of an array.", "Return a sorted copy of an array."),
        ("Version 3.12 is out. Get it.", "Version 3.12 is out."),
        ("1. Peel it. Then eat.", "1. Peel it."),
        ("First paragraph\n\nsecond one.", "First paragraph"),
        ("Version 1.5 is e.g.that. Next", "Version 1.5 is e.g.that."),
        ("See Fig. 3 and eq. 4, i.e. numpy.sort. Then more.", "See Fig. 3 and eq. 4, i.e. numpy.sort."),
        ("a wing in a slipstream . an experimental study .", "a wing in a slipstream ."),
        ("see fig. 3 of it. then more.", "see fig. 3 of it."),
        ("猫はどこ。ここです。", "猫はどこ。"),
        ("यह एक वाक्य है। दूसरा वाक्य।", "यह एक वाक्य है।"),
        ("أين الكتاب؟ هنا.", "أين الكتاب؟"),
        ("یہ ایک کتاب ہے۔ دوسری کتاب۔", "یہ ایک کتاب ہے۔"),
        ("នេះជាប្រយោគ។ ទីពីរ។", "នេះជាប្រយោគ។"),
        ("", ""),
        ("no end", "no end"),
    ],
)
def test_a_sentence_ends_at_its_stop(text: str, sentence: str) -> None:
    assert first_sentence(text) == sentence


@given(st.text(alphabet="aAB. !?\"'\n。é1", max_size=30))
def test_it_is_the_beginning_of_the_text(text: str) -> None:
    found = first_sentence(text)
    assert " ".join(text.split()).startswith(found)
    assert bool(found) == bool(text.strip())


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Return a sorted\n  copy of an array. Then more.\n\nThe body.", "Then more.\n\nThe body."),
        ("Read a CSV file.\n\nMore.", "More."),
        ("Only one.", ""),
        ("猫はどこ。ここです。", "ここです。"),
        ("", ""),
    ],
)
def test_the_rest_begins_behind_it(text: str, left: str) -> None:
    assert remove_first_sentence(text) == left
