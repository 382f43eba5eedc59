"""Words of a query that no document has: by word as written, however many terms one has."""

import re

import numpy as np
import pytest

from fingerpost.tasks.corpus.lexicon import Lexicon
from fingerpost.tasks.corpus.missing_words import missing_words, words, written


class Parts:
    """Words in lower case without a plural s, those with underscores also in parts."""

    def tokens(self, text: str) -> list[str]:
        return [term for term, _, _ in self.spans(text)]

    query_tokens = tokens

    def spans(self, text: str) -> list[tuple[str, int, int]]:
        found = []
        for word in re.finditer(r"\w+", text):
            found.append((word[0].lower().removesuffix("s"), *word.span()))
            if "_" in word[0]:
                found += [
                    (part[0].lower(), word.start() + part.start(), word.start() + part.end())
                    for part in re.finditer(r"[^_]+", word[0])
                ]
        return found

    query_spans = spans

    def query_keys(self, text: str) -> list[str]:
        return ["=" + text.replace("_", "").lower()]


def lexicon(*terms: str) -> Lexicon:
    ones = np.ones(len(terms), np.int64)
    return Lexicon.of(sorted(terms), documents=1, document_frequency=ones, occurrences=np.stack([ones] * 3))


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("", ()),
        ("read csv", ()),
        ("Reads CSV", ()),
        ("read_csv", ()),
        ("read_csvx", ()),
        ("write_json fast", ("write_json", "fast")),
        ("Qux, qux and Qux", ("Qux", "qux", "and")),
    ],
)
def test_a_word_is_missing_if_all_its_terms_are(text: str, missing: tuple[str, ...]) -> None:
    assert missing_words(text, Parts(), lexicon("read", "csv")) == missing  # type: ignore[arg-type]


def test_nothing_is_missing_of_a_name() -> None:
    assert missing_words("writejson", Parts(), lexicon("=writejson", "csv")) == ()  # type: ignore[arg-type]
    assert missing_words("writejsonx", Parts(), lexicon("=writejson", "csv")) == ("writejsonx",)  # type: ignore[arg-type]


def test_spans_that_overlap_are_one_word() -> None:
    spans = [("ab", 0, 2), ("bc", 1, 3), ("x", 3, 4), ("whole_name", 5, 15), ("whole", 5, 10), ("name", 11, 15)]
    assert list(words(spans)) == [
        (["ab", "bc"], 0, 3),
        (["x"], 3, 4),
        (["whole", "whole_name", "name"], 5, 15),
    ]
    assert list(words([])) == []


def test_a_term_is_written_as_the_text_has_it() -> None:
    text = "Two Libraries of a library's librarie"
    assert written("librarie", "Two Libraries of books", Parts(), like="x") == "libraries"  # type: ignore[arg-type]
    assert written("librarie", text, Parts(), like="librari") == "librarie"  # type: ignore[arg-type]
    assert written("nowhere", text, Parts(), like="nowhre") == "nowhere"  # type: ignore[arg-type]
