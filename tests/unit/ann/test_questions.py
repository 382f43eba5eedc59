"""Questions made of halves of documents: where their words come from, and what of a document is left to be found."""

from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.ann.questions import QuestionParams, make_questions
from fingerpost.tasks.corpus.analyzer import Analyzer, AnalyzerParams
from fingerpost.tasks.corpus.lexicon import Lexicon, shard_lexicon
from fingerpost.tasks.corpus.term_counts import count_terms
from tests.worlds import texts

ROWS = 120
ANALYZER = Analyzer(AnalyzerParams(language="english"))


@cache
def collection() -> tuple[list[str], list[str], Lexicon]:
    documents = list(texts(ROWS, 3))
    titles, bodies = [row["title"] for row in documents], [f"The {row['text']}" for row in documents]
    return titles, bodies, lexicon_of(titles, bodies)


def lexicon_of(titles: list[str], bodies: list[str]) -> Lexicon:
    return shard_lexicon(count_terms(titles, bodies, ANALYZER)).with_stop(ANALYZER.stop_words)


def content(text: str) -> list[str]:
    """The terms of a text without stop words."""
    return [term for term in ANALYZER.query_tokens(text) if term not in ANALYZER.stop_words]


@settings(max_examples=20)
@given(st.integers(0, 5), st.integers(1, 6))
def test_words_come_from_the_first_half_and_the_second_is_left(seed, words):
    titles, bodies, lexicon = collection()
    params = QuestionParams(questions=10, words=words, min_terms=8, seed=seed)
    made = make_questions(titles, bodies, analyzer=ANALYZER, lexicon=lexicon, params=params)
    assert len(made.rows) == 10
    assert (np.diff(made.rows) > 0).all()
    for row, query, half in zip(made.rows.tolist(), made.queries, made.halves, strict=True):
        whole = content(f"{titles[row]}\n\n{bodies[row]}")
        middle = len(whole) // 2
        assert content(half) == whole[middle:]
        asked = content(query)
        assert len(set(asked)) == len(asked) <= words
        assert set(asked) <= set(whole[:middle])
        assert (lexicon.document_frequency[lexicon.columns(asked)] > 1).all()


def test_questions_do_not_depend_on_each_other():
    titles, bodies, lexicon = collection()
    few, many = (
        make_questions(
            titles, bodies, analyzer=ANALYZER, lexicon=lexicon, params=QuestionParams(questions=count, min_terms=8)
        )
        for count in (15, 60)
    )
    of_many = dict(zip(many.rows.tolist(), zip(many.queries, many.halves, strict=True), strict=True))
    assert [of_many[row] for row in few.rows.tolist()] == list(zip(few.queries, few.halves, strict=True))


def test_rare_words_are_drawn_more_often():
    titles = [""] * 400
    bodies = [
        f"common {'rare' if row % 20 == 0 else 'frequent'} and then follow these other words of it"
        for row in range(400)
    ]
    lexicon = lexicon_of(titles, bodies)
    drawn: Counter[str] = Counter()
    for seed in range(10):
        params = QuestionParams(questions=400, words=1, min_terms=4, seed=seed)
        made = make_questions(titles, bodies, analyzer=ANALYZER, lexicon=lexicon, params=params)
        drawn.update(query for row, query in zip(made.rows, made.queries, strict=True) if row % 20 == 0)
    # Every document has the common word: it says nothing, and is hardly drawn.
    assert drawn["rare"] > 10 * max(drawn["common"], 1)


def test_short_texts_and_texts_of_their_own_words_make_none():
    titles = ["", "", ""]
    bodies = [
        "too short",
        "only words that nobody else uses here alpha beta",
        "gamma delta epsilon zeta eta theta iota",
    ]
    lexicon = lexicon_of(titles, bodies)
    made = make_questions(
        titles, bodies, analyzer=ANALYZER, lexicon=lexicon, params=QuestionParams(questions=5, min_terms=4)
    )
    assert (made.rows.tolist(), made.queries, made.halves) == ([], [], [])


def test_reading_ends_where_too_few_documents_make_questions():
    titles, bodies = [""] * 200, ["short"] * 199 + ["one two three four five six seven eight"]
    lexicon = lexicon_of(titles, bodies)
    read: list[str] = []

    class Reading(Analyzer):
        def query_spans(self, text):
            read.append(text)
            return super().query_spans(text)

    params = QuestionParams(questions=10, tried=3)
    make_questions(titles, bodies, analyzer=Reading(ANALYZER.params), lexicon=lexicon, params=params)
    assert len(read) == 30


@pytest.mark.parametrize("wrong", [{"questions": 0}, {"words": 0}, {"tried": 0}, {"min_terms": 1}])
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="questions: expected questions, words and tried"):
        QuestionParams(**wrong)
