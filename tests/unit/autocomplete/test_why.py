"""What moves suggestions between two completers: told from suggestions, counts, the search and scores."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from fingerpost.flows.domains.autocomplete.why import Side, moves_between
from fingerpost.tasks.autocomplete.completer import Completer, ServingParams
from fingerpost.tasks.autocomplete.matching import matching_key
from fingerpost.tasks.autocomplete.request import Request
from fingerpost.tasks.xmr.ranking import BeamParams
from tests.support.completers import Counts, completer_of

WEIGHTS = {"tea": 9.0, "tent": 8.0, "test": 7.0, "text": 6.0}


class Ranked:
    """A ranker with given scores of rows, which lists no more of the best than its beam."""

    features = 1

    def __init__(self, scores: list[float]) -> None:
        self._scores = np.array(scores, dtype=np.float32)

    def rank_row(self, indices, values, k, ranges, *, params: BeamParams):  # type: ignore[no-untyped-def]
        """The best rows of a range."""
        rows = np.arange(int(ranges[0][0]), int(ranges[1][0]))
        best = rows[np.argsort(-self._scores[rows], kind="stable")][: min(k, params.beam)]
        return best.astype(np.uint32), self._scores[best]


class Known:
    """Features of any request."""

    def row(self, previous, prefix):  # type: ignore[no-untyped-def]
        """One feature."""
        return np.zeros(1, np.int32), np.ones(1, np.float32)

    def trust(self, indptr, columns, values):  # type: ignore[no-untyped-def]
        """Whole."""
        return np.ones(len(indptr) - 1, np.float32)


def side(
    weights: Mapping[str, float] = WEIGHTS,
    followers: Counts | None = None,
    *,
    scores: list[float] | None = None,
    serving: ServingParams = ServingParams(),
    k: int = 3,
    request: Request = Request((), "te"),
) -> Side:
    """A version, with a ranker of given scores if there are any."""
    made = completer_of(weights, followers, serving)
    if scores is not None:
        ranked, known = Ranked(scores), Known()
        made = Completer(made.names, made.trie, made.blend, ranker=ranked, featurizer=known, serving=serving)  # type: ignore[arg-type]
    keys = sorted({matching_key(query) for query in weights})
    return Side(made, keys, request, k)


def kinds(left: Side, right: Side) -> dict[str, tuple[str, str]]:
    """Kind and evidence of each move."""
    return {move.id: (move.kind, move.because) for move in moves_between(left, right)}


def test_nothing_moves_between_equal_versions() -> None:
    assert {kind for kind, _ in kinds(side(), side()).values()} == {"same"}


def test_suggestions_that_came_and_went_move_others() -> None:
    fewer = {query: weight for query, weight in WEIGHTS.items() if query != "tea"}
    found = kinds(side(), side(fewer))
    assert found["tea"] == ("data", "no suggestion any more: asked by too few users, blocked or forgotten")
    assert found["tent"][0] == found["test"][0] == "follows"
    assert found["text"][0] == "data"
    back = kinds(side(fewer), side())
    assert back["tea"] == ("data", "the suggestion is new")
    assert back["text"] == ("data", "suggestions were added or removed; among the rest it keeps its position")


def test_what_is_asked_more_often_moves_by_its_counts() -> None:
    found = kinds(side(), side(WEIGHTS | {"test": 10.0}))
    assert found["test"][0] == "counts"
    assert "asked 7 → 10" in found["test"][1]
    request = Request(("tea",), "te")
    asked = kinds(
        side(request=request, followers={"tea": {"tent": 1.0}}),
        side(request=request, followers={"tea": {"tent": 1.0, "text": 5.0}}),
    )
    assert asked["text"][0] == "counts"
    assert "asked next 0 → 5" in asked["text"][1]


def test_scores_of_the_ranker_move_what_has_the_same_counts() -> None:
    found = kinds(side(scores=[-1.0, -2.0, -3.0, -9.0]), side(scores=[-1.0, -2.0, -9.0, -3.0]))
    assert (found["text"][0], found["test"][0]) == ("scores", "scores")
    assert found["tea"] == ("same", "")


def test_what_a_narrow_search_misses_is_told() -> None:
    scores = [-9.0, -9.0, -1.0, -2.0]
    narrow = ServingParams(beam=BeamParams(beam=1, post_processor="log-l3-hinge"), candidates=1)
    wide = replace(narrow, beam=replace(narrow.beam, beam=4), candidates=4)
    left, right = side(scores=scores, serving=wide, k=2), side(scores=scores, serving=narrow, k=2)
    assert [key for key, _ in left.served] == ["test", "text"]
    assert [key for key, _ in right.served] == ["tea", "tent"]
    found = kinds(left, right)
    assert found["test"] == ("beam", "the later search is approximate: exhaustive scoring has it at 1")
    assert {kind for kind, _ in found.values()} == {"beam"}
    assert left.ranking == right.ranking


@pytest.mark.parametrize("k", [1, 4])
def test_every_answer_of_either_version_is_explained(k: int) -> None:
    left, right = side(k=k), side({"tea": 1.0, "tent": 8.0, "tepid": 3.0}, k=k)
    moves = moves_between(left, right)
    assert [move.id for move in moves if move.after] == [key for key, _ in right.served]
    assert {move.id for move in moves if move.before} == {key for key, _ in left.served}
    assert all(move.title for move in moves)
