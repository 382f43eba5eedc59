"""What a completer is opened from: texts in Arrow's memory, and the members that answer."""

import pyarrow as pa
import pytest

from fingerpost.schemas.refs import Ref
from fingerpost.tasks.autocomplete.open import FINAL, served_members, texts_of

NAMES = ["", "numpy.zeros", "天气", "é"]
WHOLE = pa.array(NAMES, pa.string())


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.chunked_array([WHOLE]), NAMES),
        (pa.chunked_array([WHOLE.slice(1, 2)]), NAMES[1:3]),
        (pa.chunked_array([WHOLE, WHOLE.slice(2)]), NAMES + NAMES[2:]),
        (pa.chunked_array([WHOLE.slice(0, 1)]), [""]),
        (pa.chunked_array([], pa.string()), []),
        (pa.chunked_array([WHOLE.slice(0, 0)]), []),
    ],
)
def test_texts_are_those_of_the_column(column: pa.ChunkedArray, texts: list[str]) -> None:
    found = texts_of(column)
    assert len(found) == len(texts)
    assert found.between(0, len(texts)) == texts


def members(*roles: str) -> dict[str, Ref]:
    """An artifact of each role."""
    return {role: Ref("autocomplete.trie", "2026-01-01", f"{number:032x}") for number, role in enumerate(roles)}


def test_what_was_rebuilt_from_all_sessions_answers_where_there_is_any() -> None:
    measured = ("sessions", "suggestions", "trie", "followers", "vocabulary", "tree", "model")
    rebuilt = tuple(FINAL + role for role in measured)
    made = members(*measured, *rebuilt)
    answering = measured[1:]
    assert served_members(made) == {role: made[FINAL + role] for role in answering}
    assert served_members(made, measured=True) == {role: made[role] for role in answering}
    assert served_members(members(*measured)) == {role: members(*measured)[role] for role in answering}


def test_a_ranker_that_was_only_measured_does_not_answer_for_other_suggestions() -> None:
    made = members("suggestions", "trie", "followers", "vocabulary", "tree", "model", "final_suggestions", "final_trie")
    assert served_members(made) == {role: made[FINAL + role] for role in ("suggestions", "trie")}
