import numpy as np

from fingerpost.tasks.ann.blend_reasons import blend_name, plain_reasons, reasons_of
from fingerpost.tasks.ann.fusion import AnswerParams, only_dense, only_lexical
from fingerpost.tasks.ann.judged import IntervalParams

DEFAULT = AnswerParams()
INTERVAL = IntervalParams(resamples=100)


def reasons(gains, chosen, default=DEFAULT):
    rows = {blend: np.full(10, value) for blend, value in gains.items()}
    return {part: (value, on, why) for part, value, on, why in reasons_of(rows, chosen, default, INTERVAL, "on these")}


def blend(dense=0.2, near=0.2, feedback=True):
    return AnswerParams(dense, near, DEFAULT.feedback if feedback else None)


def test_names_say_which_parts_there_are():
    assert blend_name(DEFAULT) == "words 0.8 (feedback, neighbours 0.2), vectors 0.2"
    assert blend_name(blend(dense=0.25, near=0.0, feedback=False)) == "words 0.75, vectors 0.25"
    assert blend_name(only_lexical(DEFAULT)) == "words (feedback)"
    assert blend_name(only_lexical(blend(feedback=False))) == "words"
    assert blend_name(only_dense(DEFAULT)) == "vectors"


def test_parts_that_take_part_are_compared_with_their_absence():
    gains = {DEFAULT: 0.5, blend(feedback=False): 0.4, blend(near=0.0): 0.5, blend(dense=0.0): 0.52}
    found = reasons(gains, DEFAULT)
    assert found["feedback"] == (
        "50 terms of 10 documents",
        True,
        "0.1000 higher (interval 0.1000 to 0.1000) than without it, on these",
    )
    assert found["words of neighbours"][2].startswith("0.0000 higher (interval 0.0000 to 0.0000, not certain) than")
    assert found["vectors"][2] == "0.0200 lower (interval -0.0200 to -0.0200) than without it, on these"


def test_values_that_were_moved_are_compared_with_the_default_too():
    chosen = blend(dense=0.4)
    gains = {chosen: 0.6, DEFAULT: 0.5, blend(0.4, feedback=False): 0.5, blend(0.4, 0.0): 0.5, blend(dense=0.0): 0.4}
    value, on, why = reasons(gains, chosen)["vectors"]
    assert (value, on) == ("0.4", True)
    assert why.endswith("on these; 0.1000 higher (interval 0.1000 to 0.1000) than with 0.2, the default")


def test_a_part_that_is_off_says_what_it_would_have_lost():
    chosen = blend(feedback=False)
    gains = {chosen: 0.6, DEFAULT: 0.5, blend(near=0.0, feedback=False): 0.5, blend(dense=0.0, feedback=False): 0.4}
    assert reasons(gains, chosen)["feedback"] == (
        "none",
        False,
        "off: 0.1000 higher (interval 0.1000 to 0.1000) than with it, on these",
    )
    assert reasons(gains, chosen, default=chosen)["feedback"] == ("none", False, "off as set")


def test_one_reason_for_all():
    assert [row[3] for row in plain_reasons(DEFAULT, "as set")] == ["as set"] * 3
