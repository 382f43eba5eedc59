"""What moves the answers of an alignment between two versions: told from what is stored of each pair."""

from collections.abc import Iterator
from unittest import mock

import pytest

from fingerpost.flows.domains.kg.answers import answerer
from fingerpost.flows.domains.kg.why import Side, moves_between, why
from fingerpost.schemas.errors import FingerpostError, InputError, UsageError
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.kg.open import LiveAlignment
from tests.support.alignments import CANDIDATES, CATALOGUE, LINKS, MATCHES, Changed, HandScorer, alignment_of
from tests.unit.autocomplete.logs import world


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return world(tmp_path_factory.mktemp("versions"))


def side(env: Environment, changed: Changed, key: str = "l1", *, k: int = 5) -> Side:
    live = LiveAlignment(env.store, alignment_of(env, changed))
    live.__dict__ |= {"scorer": HandScorer(changed.candidates), "attention": None}
    return Side(live, key, k)


def moved(
    env: Environment, changed: Changed, key: str = "l1", before: Changed = Changed()
) -> dict[str, tuple[str, str]]:
    """Kind and evidence of each move from the small alignment to another version."""
    return {
        move.id: (move.kind, move.because) for move in moves_between(side(env, before, key), side(env, changed, key))
    }


def scored(**scores: float) -> tuple[tuple[str, str, float, int, float], ...]:
    """The candidates with other scores of pairs, named left_right."""
    return tuple((*row[:4], scores.get(f"{row[0]}_{row[1]}", row[4])) for row in CANDIDATES)


def test_nothing_moves_between_equal_versions(env: Environment) -> None:
    assert moved(env, Changed()) == {"r1": ("same", ""), "r2": ("same", "")}


def test_a_score_moves_and_says_which_similarities(env: Environment) -> None:
    kind, because = moved(env, Changed(scored(l1_r2=1.0)))["r2"]
    assert kind == "scores"
    assert because.startswith("its log odds 0.5 → 1 (price: equal 0.2 → 0.4")
    assert "its probability 0.6225 → 0.7311" in because


def test_a_pair_that_blocking_proposed_in_one_version_alone(env: Environment) -> None:
    found = moved(env, Changed(tuple(row for row in CANDIDATES if row[:2] != ("l1", "r2"))))
    assert found["r2"][0] == "blocking"
    assert "a candidate of the earlier version alone, proposed by vectors" in found["r2"][1]
    back = moved(env, Changed(), before=Changed(tuple(row for row in CANDIDATES if row[:2] != ("l1", "r2"))))
    assert "of the later version alone" in back["r2"][1]


def test_a_label_that_came(env: Environment) -> None:
    kind, because = moved(env, Changed(links=(*LINKS, ("l1", "r1", 1, "training", "reviewed"))))["r1"]
    assert (kind, because) == ("labels", "it was not known and is known to be the same (reviewed)")


def test_a_threshold_that_passed_a_pair(env: Environment) -> None:
    kind, because = moved(env, Changed(threshold=0.9, matches=MATCHES[:1]))["r1"]
    assert (kind, because) == ("threshold", "the threshold 0.5 → 0.9")


def test_a_rival_that_was_matched(env: Environment) -> None:
    matches = (MATCHES[0], ("l1", "r2", 0.62))
    found = moved(env, Changed(matches=matches))
    assert found["r1"][0] == found["r2"][0] == "rivals"
    assert found["r1"][1].startswith("in the later version: ")
    assert "a rival was matched: l1 = r2" in found["r1"][1]
    assert found["r2"][1].startswith("in the earlier version: ")


def test_a_value_and_a_name_that_changed(env: Environment) -> None:
    catalogue = [(*row[:3], {**row[3], "price": "31"}) if row[0] == "r1" else row for row in CATALOGUE]
    assert moved(env, Changed(catalogue=catalogue))["r1"] == ("values", "price of the right entity '29' → '31'")
    catalogue = [(row[0], row[1], "pan", row[3]) if row[0] == "r1" else row for row in CATALOGUE]
    kind, because = moved(env, Changed(catalogue=catalogue))["r1"]
    assert (kind, because) == ("values", "name of the right entity 'Kettle, red, Acme' → 'pan'")


def test_an_entity_that_came(env: Environment) -> None:
    # Of as many entities as before, so that the clusters fit.
    catalogue = [("r0", *row[1:]) if row[0] == "r2" else row for row in CATALOGUE]
    candidates = tuple((left, "r0" if right == "r2" else right, *rest) for left, right, *rest in CANDIDATES)
    matches = tuple((left, "r0" if right == "r2" else right, p) for left, right, p in MATCHES)
    links = LINKS[:1]
    given = Changed(candidates, matches, links, catalogue=catalogue)
    with mock.patch.dict("tests.support.alignments.RIGHT", {"r0": 1, "r1": 2, "r9": 3}):
        found = moved(env, given)
    assert found["r0"] == ("entities", "r0 is in the later version alone")
    assert found["r2"] == ("entities", "r2 is in the earlier version alone")


@pytest.fixture
def _hands() -> Iterator[None]:
    with (
        mock.patch("fingerpost.tasks.kg.open.read_pair_scorer", return_value=HandScorer()),
        mock.patch.object(LiveAlignment, "attention", None),
    ):
        yield


@pytest.mark.usefixtures("_hands")
def test_one_pair_in_two_versions(env: Environment) -> None:
    refs = alignment_of(env), alignment_of(env, Changed(threshold=0.9, matches=MATCHES[:1]))
    found = why(env.store, *refs, "l1 > r1", k=1, method="auto")
    (move,) = found.moves
    assert (move.id, move.before, move.after, move.kind) == ("r1", 1, 1, "threshold")
    assert move.title == "Kettle, red, Acme (match lost)"
    assert found.methods == ("threshold 0.5000", "threshold 0.9000")
    assert found.verdict[0] == "1 of 1 changes are because the threshold moved past their probability"
    same = why(env.store, refs[0], refs[0], "l1", k=5, method="auto")
    assert same.verdict == ["the answers are the same"]


@pytest.mark.usefixtures("_hands")
@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("l1 > r7", "right graph, got 'r7'"),
        (" > r1", "two as `left > right`, got none"),
        ("zz", "left graph, got 'zz'"),
    ],
)
def test_unknown_entities_are_refused(env: Environment, query: str, told: str) -> None:
    ref = alignment_of(env)
    with pytest.raises((InputError, UsageError), match=told):
        why(env.store, ref, ref, query, k=5, method="auto")
    with pytest.raises(FingerpostError, match="method: expected auto"):
        why(env.store, ref, ref, "l1", k=5, method="exact")


def test_replayed_ids_are_answered_with_the_match_first(env: Environment) -> None:
    answers = answerer(env.store, alignment_of(env))
    assert answers.answer(["l1", "l3", "nobody"], 2) == [["r1", "r2"], ["r9"], []]
    assert answers.answer(["l1"], 1) == [["r1"]]
    assert answers.holds({"r1", "l1", "x"}) == {"r1"}
