"""A published alignment opened: matches, joined entities, and why a pair is a match or none."""

from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.kg.explanation import Explanation, Other, contributions, grouped
from fingerpost.tasks.kg.open import LiveAlignment, Match
from tests.support.alignments import (
    CANDIDATES,
    LEFT,
    SHOP,
    SHOP_RELATIONS,
    Changed,
    HandAttention,
    HandScorer,
    alignment_of,
    clusters_artifact,
    graph_artifact,
    graph_of,
    members_of,
    pairs_artifact,
)
from tests.unit.autocomplete.logs import world


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return world(tmp_path_factory.mktemp("alignment"))


@pytest.fixture(scope="module")
def opened(env: Environment) -> LiveAlignment:
    return with_hands(LiveAlignment(env.store, alignment_of(env)))


def with_hands(live: LiveAlignment, changed: Changed = Changed()) -> LiveAlignment:
    """The alignment with a scorer and attention made by hand."""
    live.__dict__ |= {"scorer": HandScorer(changed.candidates), "attention": HandAttention()}
    return live


def test_an_entity_of_either_graph_has_its_match(opened: LiveAlignment) -> None:
    match = Match("l1", "r1", "red kettle 1.5 l", "Kettle, red, Acme", pytest.approx(0.88), "k3")  # type: ignore[arg-type]
    assert opened.match("l1") == opened.match("r1") == match
    assert opened.match("l3") is None
    assert opened.match("r2", side="right") == opened.match("l2")
    assert opened.cluster_of("l1") == opened.cluster_of("r1") == "k3"
    assert opened.cluster_of("l3") == "k4"


def test_an_entity_is_answered_with_its_match_and_then_what_it_was_compared_with(opened: LiveAlignment) -> None:
    assert [(one.id, one.match) for one in opened.others_of("l1")] == [("r1", True), ("r2", False)]
    assert [(one.id, one.match) for one in opened.others_of("r2")] == [("l2", True), ("l1", False)]
    assert [one.id for one in opened.others_of("l3")] == ["r9"]


def test_a_known_match_that_was_never_compared_is_an_answer(env: Environment) -> None:
    matches = [("l3", "r9", 1.0)]
    live = LiveAlignment(env.store, alignment_of(env, Changed(matches=matches, candidates=CANDIDATES[:2])))
    assert live.others_of("l3") == [Other("r9", "garden hose", None, 1.0, True)]


def test_all_matches_are_the_most_probable_first(opened: LiveAlignment) -> None:
    rows = opened.matches().to_pylist()
    assert [(row["left"], row["right"], row["joined"]) for row in rows] == [
        ("b1", "c1", "k5"),
        ("l1", "r1", "k3"),
        ("l2", "r2", "k1"),
    ]
    assert rows[2]["right_name"] == "Blue kettle by Acme"


def test_the_joined_graph_is_that_of_the_release(opened: LiveAlignment) -> None:
    assert opened.joined().entities["id"].to_pylist() == ["k1", "k2", "k3", "k4", "k5"]


@pytest.mark.parametrize(
    ("key", "side", "told"),
    [
        ("l9", None, "either graph, got 'l9'; near it: "),
        ("red kettl", "left", "the left graph, got 'red kettl'; near it: l1"),
        ("r1", "left", "the left graph, got 'r1'"),
        ("~", "right", "the right graph, got '~'; see the ids of the input"),
        ("l1", "middle", "side: expected left or right, got 'middle'"),
    ],
)
def test_an_unknown_id_is_refused_with_near_ones(opened: LiveAlignment, key: str, side: str | None, told: str) -> None:
    with pytest.raises(InputError) as problem:
        opened.match(key, side=side)
    assert told in str(problem.value)


def explained(opened: LiveAlignment, left: str, right: str) -> Explanation:
    return opened.explain(left, right)


@pytest.mark.parametrize(
    ("pair", "decision", "because"),
    [
        (("b1", "c1"), "known match", "known to be the same (given)"),
        (("l1", "r1"), "match", "probability 0.8808, at least the threshold 0.5000, and no more probable rival"),
        (("l1", "r2"), "rival", "but a rival was matched: l1 = r1; l2 = r2"),
        (("l2", "r1"), "below the threshold", "probability 0.3775, below the threshold 0.5000"),
        (("l3", "r2"), "known as two", "known to be two (reviewed)"),
        (("l3", "r1"), "not compared", "no part of blocking proposed this pair"),
    ],
)
def test_a_decision_says_why(opened: LiveAlignment, pair: tuple[str, str], decision: str, because: str) -> None:
    found = explained(opened, *pair)
    assert found.decision == decision
    assert because in found.because
    assert found.accepted == ("match" in decision)


def test_a_match_is_explained_by_its_attributes_its_neighbours_and_its_rivals(opened: LiveAlignment) -> None:
    found = explained(opened, "l1", "r1")
    assert (found.sources, found.similarity, found.structure) == (
        ("vectors", "neighbours"),
        pytest.approx(0.8),
        pytest.approx(0.7),
    )
    price = found.inputs[0]
    assert (price.name, price.left, price.right) == ("price", ("30",), ("29",))
    assert price.similarities == {"equal": pytest.approx(0.8), "number": pytest.approx(0.2)}
    # Half of the log odds are of the price: without it 1 is left of 2.
    assert price.contribution == pytest.approx(1.0)
    assert {one.name: round(one.contribution, 4) for one in found.inputs} == {
        "price": 1.0,
        "(name)": 0.4,
        "maker": 0.4,
        "made by>": 0.2,
    }
    said = {one.name: (one.left, one.right) for one in found.inputs}
    assert said["(name)"] == (("red kettle 1.5 l",), ("Kettle, red, Acme",))
    assert said["made by>"] == (("Acme",), ("ACME",))
    assert [(one.side, one.id, one.name, one.same) for one in found.neighbors] == [
        ("left", "b1", "Acme", "c1"),
        ("left", "", "30", ""),
        ("left", "l2", "blue kettle", ""),
        ("right", "c1", "ACME", "b1"),
        ("right", "r9", "garden hose", ""),
    ]
    assert [(one.side, one.other.id, one.other.match) for one in found.rivals] == [
        ("left", "r2", False),
        ("right", "l2", False),
    ]
    assert found.rivals[0].other.probability == pytest.approx(0.6225, abs=1e-4)


def test_what_is_unknown_of_a_pair_is_told_as_such(opened: LiveAlignment) -> None:
    found = explained(opened, "l2", "r2")
    maker = next(one for one in found.inputs if one.name == "maker")
    assert maker.similarities == {"words": None}
    assert (maker.left, maker.right, maker.contribution) == ((), (), 0.0)


def test_a_pair_of_two_types_and_a_pair_that_was_not_compared_have_a_score(opened: LiveAlignment) -> None:
    found = explained(opened, "b1", "r1")
    assert found.notes == ("their types differ, brand and product: such pairs are never compared",)
    assert (found.score, found.sources, found.similarity) == (pytest.approx(-4.8), (), None)
    assert found.rivals[0].other == Other("c1", "ACME", 3.0, 1.0, True)


def test_a_score_of_an_earlier_run_that_was_kept_is_told(env: Environment) -> None:
    kept = tuple((*row[:4], row[4] + 1) for row in CANDIDATES)
    live = with_hands(LiveAlignment(env.store, alignment_of(env, Changed(candidates=kept))))
    live.__dict__["scorer"] = HandScorer()
    (note,) = live.explain("l1", "r1").notes
    assert note.startswith("its log odds are 2.000 by what is known now: they were 3.000 when it was scored")


def within(env: Environment) -> LiveAlignment:
    """Duplicates of the shop alone: l1 and l2 are one."""
    store = env.store
    graph = graph_artifact(store, graph_of(SHOP, SHOP_RELATIONS), side="within")
    whole = LiveAlignment(store, alignment_of(env)).members
    parts = {
        "left": graph,
        "links": pairs_artifact(store, "links", [], mark="within"),
        "candidates": pairs_artifact(store, "candidates", [(1, 2, 0.5, 1), (1, 3, 0.2, 1)], mark="within"),
        "scores": pairs_artifact(store, "scores", [(1, 2, 2.0), (1, 3, 1.0)], mark="within"),
        "matches": pairs_artifact(store, "matches", [(1, 2, 0.88)], mark="within"),
        "clusters": clusters_artifact(
            store, [("k0", "left", 0), ("k1", "left", 1), ("k1", "left", 2), ("k3", "left", 3)], mark="within"
        ),
    }
    return LiveAlignment(store, members_of(store, parts | {"calibration": whole["calibration"]}, mark="within"))


def test_duplicates_within_one_graph_are_found_from_either_end(env: Environment) -> None:
    opened = within(env)
    opened.__dict__ |= {"scorer": HandScorer((("l1", "r2", 0.5, 1, 2.0), ("l1", "r9", 0.2, 1, 1.0))), "attention": None}
    assert opened.match("l2") == opened.match("l1")
    assert opened.cluster_of("l2", side="right") == "k1"
    found = opened.explain("l2", "l1")
    assert (found.left.id, found.right.id, found.decision) == ("l1", "l2", "match")
    assert [(one.side, one.other.id) for one in found.rivals] == [("left", "l3")]
    assert opened.explain("l3", "l1").decision == "rival"
    with pytest.raises(InputError, match="pair: expected two entities, got 'l1' twice"):
        opened.explain("l1", "l1")
    with pytest.raises(InputError, match="an entity of the graph, got 'r1'"):
        opened.match("r1")


def test_contributions_are_what_log_odds_lose_without_an_input() -> None:
    weights = np.array([2.0, -1.0, 4.0])

    def score(rows):  # type: ignore[no-untyped-def]
        known = np.nan_to_num(rows.astype(np.float64))
        return known @ weights + known[:, 0] * known[:, 2]

    groups = grouped(["http://a/b:words", "http://a/b:equal", "aligner"])
    assert groups == {"http://a/b": [0, 1], "aligner": [2]}
    found = contributions(score, np.array([1.0, 2.0, 3.0], np.float32), groups)
    assert found == {"aligner": 15.0, "http://a/b": 3.0}


def test_the_door_opens_what_is_published(env: Environment) -> None:
    import fingerpost

    made = alignment_of(env)
    with (
        mock.patch("fingerpost.tasks.kg.open.Pointer") as pointer,
        mock.patch("fingerpost.tasks.kg.open.published_collection"),
    ):
        pointer.return_value.required.return_value.artifact = made
        opened = fingerpost.alignment(store=str(Path(env.store.url)))
    assert isinstance(opened.ref, Ref)
    assert opened.place_of("l1") == ("left", LEFT["l1"])
