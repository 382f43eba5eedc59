"""The choice of field weights: for collections whose fields differ, and not for others."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.tasks.corpus.field_questions import REST, TITLES, WHOLE, make_questions, reciprocal_ranks
from fingerpost.tasks.corpus.field_weights import Choice, FieldWeightParams, best_field_weights, choose
from fingerpost.tasks.corpus.impacts import FieldWeights, term_impacts
from fingerpost.tasks.corpus.lexicon import Lexicon, shard_lexicon
from fingerpost.tasks.corpus.term_counts import TermCounts, count_terms

Collection = tuple[list[str], list[str]]


class Words:
    """An analyzer that takes words as they are."""

    def tokens(self, text: str) -> list[str]:
        return text.replace(".", " ").split()

    def name_keys(self, title: str) -> list[str]:
        return []

    query_tokens = tokens


def counted(titles: list[str], texts: list[str]) -> tuple[TermCounts, Lexicon]:
    counts = count_terms(titles, texts, Words())
    return counts, shard_lexicon(counts).with_stop({"the", "of"})


def chosen(titles: list[str], texts: list[str], **params: object) -> Choice:
    counts, lexicon = counted(titles, texts)
    given = FieldWeightParams(min_questions=20, **params)  # type: ignore[arg-type]
    return best_field_weights(titles, texts, analyzer=Words(), counts=counts, lexicon=lexicon, params=given)


def collection(*, telling: str, words: int = 16, seed: int = 0) -> Collection:
    """One document for every two words: they are its title and are said in one field, while the other has any words.

    telling: "first" or "body".
    """
    generator = np.random.default_rng(seed)
    titles, texts = [], []
    for pair in combinations(range(words), 2):
        own = [f"topic{word}" for word in pair]
        other = " ".join(f"topic{word}" for word in generator.integers(0, words, 12))
        about = " ".join([*own, "said", f"plain{sum(pair) % 7}"])
        first, body = (about, other) if telling == "first" else (other, about)
        titles.append(" ".join(own))
        texts.append(f"Kind{sum(pair)} a{pair[0]} b{pair[1]} c{pair[0]} word. Also {first}\n\n{body}")
    return titles, texts


def test_first_paragraphs_that_tell_weigh_more() -> None:
    choice = chosen(*collection(telling="first"))
    assert choice.weights.first > 1
    assert choice.quality["mrr"] > choice.quality["mrr_of_default"]
    ((part, value, on, reason),) = choice.reasons
    assert part == "name : first paragraph : rest"
    assert value.startswith(f"3 : {choice.weights.first:g} : 1")
    assert on
    assert "instead of" in reason
    assert TITLES in reason


def test_first_paragraphs_that_tell_nothing_do_not() -> None:
    choice = chosen(*collection(telling="body"))
    assert choice.weights.first == 1
    assert {kind for _, kind, _, _ in choice.figures} == {TITLES, WHOLE}, (
        "the rest says nothing of first sentences here"
    )


def test_nothing_is_chosen_without_questions() -> None:
    titles, texts = [""] * 90, [f"word{i} plain{i % 7} said{i % 5} of the kind" for i in range(90)]
    choice = chosen(titles, texts)
    assert choice.weights == FieldWeights()
    assert "too few questions" in choice.reasons[0][3]
    assert choice.quality["questions"] == 0
    assert chosen([], []).weights == FieldWeights()


def test_titles_that_texts_do_not_answer_say_nothing() -> None:
    titles, texts = collection(telling="first")
    choice = chosen([f"name{row} called{row}" for row in range(len(titles))], texts)
    assert choice.weights == FieldWeights()
    assert "do not answer them" in choice.reasons[0][3]


def test_texts_of_one_paragraph_have_no_weight_of_the_first_to_choose() -> None:
    titles, texts = collection(telling="first")
    choice = chosen(titles, [text.split("\n\n")[0] for text in texts])
    assert choice.weights.first == 1
    assert {name.partition(",")[0] for name, *_ in choice.figures} == {"3 : 1 : 1"}


def test_a_sample_is_drawn_of_large_collections_and_is_the_same_every_time() -> None:
    titles, texts = collection(telling="first")
    one, other = (chosen(titles, texts, documents=80, questions=40, seed=5) for _ in range(2))
    assert one == other
    questions = {value for _, _, metric, value in one.figures if metric == "questions"}
    assert max(questions) <= 40
    assert one.figures != chosen(titles, texts, documents=80, questions=40, seed=6).figures


def test_ranks_equal_those_of_a_search_of_changed_documents() -> None:
    titles, texts = collection(telling="first", words=9)
    counts, lexicon = counted(titles, texts)
    made = make_questions(
        titles, texts, analyzer=Words(), counts=counts, lexicon=lexicon, documents=36, questions=12, seed=1
    )
    weights = FieldWeights(first=2.0)
    ranks = reciprocal_ranks(made, weights, lexicon)
    rows = term_impacts(counts, lexicon, weights).toarray()
    own = term_impacts(made.shortened, lexicon, weights).toarray()
    for place, (target, query) in enumerate(zip(made.targets, made.sentences.toarray(), strict=True)):
        changed = rows.copy()
        changed[target] = own[place]
        for kind, scores in ((REST, changed @ query), (WHOLE, rows @ query)):
            rank = 1 + (scores > scores[target]).sum() + ((scores == scores[target]).sum() - 1) / 2
            assert ranks[kind][place] == pytest.approx(1 / rank if scores[target] > 0 else 0.0)
    bare = term_impacts(counts, lexicon, FieldWeights(name=0.0, first=2.0)).toarray()
    for place, (target, query) in enumerate(zip(made.titled, made.titles.toarray(), strict=True)):
        scores = bare @ query
        rank = 1 + (scores > scores[target]).sum() + ((scores == scores[target]).sum() - 1) / 2
        assert ranks[TITLES][place] == pytest.approx(1 / rank if scores[target] > 0 else 0.0)


A, B = FieldWeights(), FieldWeights(first=10.0)


def gains(kind: str, mean: float, count: int = 200) -> dict[str, np.ndarray]:
    """Reciprocal ranks of a kind that differ from 0.5 by a mean, with a spread of 0.1."""
    spread = np.tile([-0.1, 0.1], count // 2)
    return {kind: 0.5 + mean + spread}


def test_a_certain_gain_is_taken() -> None:
    before = gains(TITLES, 0.0) | gains(WHOLE, 0.0)
    assert choose({A: {k: v * 0 + 0.5 for k, v in before.items()}, B: gains(TITLES, 0.1) | gains(WHOLE, 0.1)}, 3.0) == B


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(gains(TITLES, 0.005) | gains(WHOLE, 0.0), id="within the noise"),
        pytest.param(gains(TITLES, 0.1) | gains(REST, -0.02), id="one kind loses"),
        pytest.param(gains(TITLES, 0.0) | gains(WHOLE, 0.3), id="only the whole gains"),
        pytest.param(gains(WHOLE, 0.3), id="only the whole is asked"),
        pytest.param(gains(REST, 0.3) | gains(WHOLE, 0.3), id="no titles are asked"),
        pytest.param(gains(TITLES, -0.02) | gains(REST, 0.3), id="titles object"),
    ],
)
def test_an_uncertain_gain_is_not(after: dict[str, np.ndarray]) -> None:
    before = {kind: np.full(len(values), 0.5) for kind, values in after.items()}
    assert choose({A: before, B: after}, 3.0) == A


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_equal_ranks_change_nothing(values: list[float]) -> None:
    ranks = {TITLES: np.array(values)}
    assert choose({A: ranks, B: {TITLES: np.array(values)}}, 3.0) == A


def test_inputs_are_checked() -> None:
    counts, lexicon = counted(["sort"], ["sort array"])
    with pytest.raises(ValueError, match="expected one row for each of 2 titles and 2 texts, got 1"):
        best_field_weights(
            ["a", "b"], ["a", "b"], analyzer=Words(), counts=counts, lexicon=lexicon, params=FieldWeightParams()
        )
    with pytest.raises(ValueError, match="expected at least 1 document and question"):
        FieldWeightParams(questions=0)
    with pytest.raises(ValueError, match="expected values to try"):
        FieldWeightParams(first=())
