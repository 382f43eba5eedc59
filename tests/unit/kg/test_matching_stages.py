"""The stages from terms to scores: the same for any shards, for rivals found beforehand or sought, with and without links."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fingerpost.schemas import kg
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.inputs.graphs import Attribute, GraphBatch, GraphRows
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.kg.blocking import BlockingParams
from fingerpost.tasks.kg.boosting import BoostingParams
from fingerpost.tasks.kg.embeddings import EmbeddingParams
from fingerpost.tasks.kg.labels import LabelParams
from fingerpost.tasks.kg.pair_scorer import STRUCTURE, FeatureParams
from fingerpost.tasks.kg.pair_shards import PairShards
from fingerpost.tasks.kg.scorer import ScorerParams
from fingerpost.tasks.kg.search import SearchParams
from fingerpost.tasks.kg.splits import LinkParams
from fingerpost.tasks.kg.stages.comparison import compare_pairs, fit_scorer, score_labelled, train_baseline
from fingerpost.tasks.kg.stages.labels import label_pairs
from fingerpost.tasks.kg.stages.rivals import find_rivals
from fingerpost.tasks.kg.stages.scores import score_pairs
from fingerpost.tasks.kg.stages.scoring_inputs import open_scorer, read_stack
from fingerpost.tasks.kg.stages.terms import weigh_attributes
from fingerpost.tasks.kg.terms import TermParams
from tests.support.blocking import blocked, graphs_of, links_of
from tests.support.suggestion_artifacts import committed
from tests.unit.kg.test_embeddings import WORDS
from tests.worlds import DAY

ENTITIES = 150
TERMS = TermParams(buckets=2**16)
TREES = BoostingParams(trees=20, least_pairs=3)


def graph(seed: int, *, named: bool = True, copies: int = 0) -> GraphBatch:
    """Products of makers, spelt a little differently for each seed; the last ones twice."""
    rng, rows = np.random.default_rng(seed), GraphRows()
    for number in range(ENTITIES + copies):
        place = number if number < ENTITIES else number - copies
        words = np.random.default_rng(place).choice(WORDS, 4)
        kept = words[np.delete(np.arange(4), rng.integers(4))] if rng.random() < 0.5 else words
        key = f"p{number:04d}"
        rows.entity(key, kind="product", name=" ".join(kept) if named else "")
        if named:
            rows.attribute(key, Attribute("price", str(10 + place % 37)))
        rows.relation(key, "maker", f"m{place % 20:03d}")
    for number in range(20):
        rows.entity(f"m{number:03d}", kind="maker", name=f"{WORDS[number % 12]} {number}" if named else "")
    return rows.batch()


def rows_by(graph: GraphBatch) -> dict[str, int]:
    return {key: row for row, key in enumerate(graph.entities["id"].to_pylist())}


@dataclass(frozen=True)
class Made:
    """Artifacts by role in an environment."""

    env: Environment
    refs: dict[str, Ref]

    def table(self, role: str, contract: Any, name: str) -> list[dict[str, Any]]:
        return self.env.store.open(self.refs[role], contract).read(name).to_pylist()  # type: ignore[no-any-return]

    def scores(self) -> np.ndarray:
        rows = self.env.store.open(self.refs["scores"], kg.SCORES).read("scores")
        return rows["score"].to_numpy()  # type: ignore[no-any-return]

    def pairs(self) -> np.ndarray:
        rows = self.env.store.open(self.refs["candidates"], kg.CANDIDATES).read("candidates")
        return np.stack([rows[side].to_numpy() for side in ("left", "right")], axis=1)


def matched(
    folder: Path,
    left: GraphBatch,
    right: GraphBatch,
    links: list[tuple[int, int, int, str, str]],
    *,
    pairs_per_shard: int = 2**20,
    structure: bool = True,
    rows_per_shard: int = 64,
) -> Made:
    """Everything from two graphs to the scores of candidates."""
    env = Environment(Store(str(folder)).prepare(), "shop", DAY)
    sides, known = graphs_of(env.store, left, right), links_of(env.store, links)
    made = blocked(
        env,
        *sides,
        known,
        embedding=EmbeddingParams(dimensions=32, buckets=2**12),
        search=SearchParams(nearest=6),
        blocking=BlockingParams(candidates=6, types=("product",)),
        rows_per_shard=4096,
    )
    pair = (
        *sides,
        weigh_attributes.execute(env, *sides, params=TERMS, rows_per_shard=rows_per_shard),
        made["candidates"],
    )
    shards = PairShards(pairs_per_shard)
    made |= {"left": sides[0], "right": sides[1], "terms": pair[2], "links": known}
    made["rivals"] = find_rivals.execute(env, *pair, known, params=shards)
    made["labels"] = label_pairs.execute(
        env, *pair, made["rivals"], known, params=LabelParams(lead=0.05), splits=LinkParams()
    )
    rows = {"left": np.zeros(1, np.uint32), "right": np.zeros(1, np.uint32), "probability": np.ones(1, np.float32)}
    more = {"structure": committed(env.store, kg.STRUCTURE, {"pairs": _table(rows)})} if structure else {}
    made["features"] = compare_pairs.execute(
        env, *pair, made["rivals"], made["labels"], *more.values(), params=FeatureParams()
    )
    learned = (made["features"], made["labels"])
    made["baseline"] = train_baseline.execute(env, *learned, params=TREES)
    made["scorer"] = fit_scorer.execute(env, *learned, params=ScorerParams(TREES, forests=2))
    made["labelled"] = score_labelled.execute(env, *learned, made["baseline"], made["scorer"])
    made["scores"] = score_pairs.execute(
        env, *pair, made["rivals"], made["labels"], made["scorer"], *more.values(), roles=tuple(more), params=shards
    )
    return Made(env, made | more)


def _table(columns: dict[str, np.ndarray]) -> Any:
    return pa.table({name: pa.array(column) for name, column in columns.items()})


def given_links(left: GraphBatch, right: GraphBatch) -> list[tuple[int, int, int, str, str]]:
    """Matches, and as many pairs of two products, by turns for training, validation and test."""
    ours, theirs = rows_by(left), rows_by(right)
    names, found = ("training", "training", "validation", "test"), []
    for number in range(ENTITIES):
        one, other = f"p{number:04d}", f"p{(number + 1) % ENTITIES:04d}"
        split = names[number % 4]
        found += [(ours[one], theirs[one], 1, split, "given"), (ours[one], theirs[other], 0, split, "given")]
    return found


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Made, Made]:
    """The same alignment in one shard and in several."""
    left, right = graph(1), graph(2)
    folder = tmp_path_factory.mktemp("matched")
    one = matched(folder / "one", left, right, given_links(left, right))
    return one, matched(folder / "many", left, right, given_links(left, right), pairs_per_shard=1, rows_per_shard=4096)


def test_every_candidate_has_its_score_whatever_the_shards(worlds: tuple[Made, Made]) -> None:
    one, many = worlds
    for made in worlds:
        rows = made.env.store.open(made.refs["scores"], kg.SCORES).read("scores")
        assert np.array_equal(np.stack([rows[side].to_numpy() for side in ("left", "right")], axis=1), made.pairs())
    assert np.array_equal(one.scores(), many.scores())
    matches = {(left, right) for left, right, label, *_ in given_links(graph(1), graph(2)) if label}
    truth = np.array([tuple(pair) in matches for pair in one.pairs().tolist()])
    assert np.median(one.scores()[truth]) > 1 > -1 > np.median(one.scores()[~truth])


def test_rivals_that_are_sought_give_the_same_bits(worlds: tuple[Made, Made]) -> None:
    made = worlds[0]
    members = {role: ref for role, ref in made.refs.items() if role != "rivals"} | {"links": made.refs["labels"]}
    scorer, pairs, scores = open_scorer(made.env.store, members), made.pairs(), made.scores()
    assert any(name.endswith("_rival") for name in scorer.names)
    assert STRUCTURE in scorer.names
    some = np.random.default_rng(0).permutation(len(pairs))[:40]
    assert np.array_equal(scorer.scores(pairs[some].astype(np.int64)), scores[some])
    assert np.array_equal(scorer.scores(pairs[some[:1]].astype(np.int64)), scores[some[:1]])


def test_labelled_scores_are_those_of_pairs_that_nothing_was_trained_on(worlds: tuple[Made, Made]) -> None:
    made = worlds[0]
    rows, links = made.table("labelled", kg.LABELLED, "scores"), made.table("labels", kg.LINKS, "links")
    held = [(link["left"], link["right"]) for link in links if link["split"] != "training"]
    for method in ("baseline", "scorer"):
        assert sorted((r["left"], r["right"]) for r in rows if r["method"] == method) == sorted(held)
    assert {row["method"] for row in rows} == {"baseline", "scorer"}
    members = made.refs | {"links": made.refs["labels"]}
    scorer = open_scorer(made.env.store, members)
    own = [row for row in rows if row["method"] == "scorer"]
    found = scorer.scores(np.array([(row["left"], row["right"]) for row in own]))
    assert found.tolist() == [row["score"] for row in own]
    plain = read_stack(made.env.store, made.refs["baseline"]).names
    assert {name.rpartition(":")[2] for name in plain} == {"words", "letters", "length", "number"}
    assert not any("maker" in name or "neighbors" in name for name in plain)


def test_given_links_stay_as_they_are(worlds: tuple[Made, Made]) -> None:
    made = worlds[0]
    assert made.table("labels", kg.LINKS, "links") == made.table("links", kg.LINKS, "links")


def test_matches_alone_are_given_others_among_the_candidates(tmp_path: Path) -> None:
    left, right = graph(1), graph(2)
    matches = [link for link in given_links(left, right) if link[2]]
    made = matched(tmp_path, left, right, matches)
    labels = made.table("labels", kg.LINKS, "links")
    others = [row for row in labels if row["label"] == 0]
    known = {(left, right) for left, right, *_ in matches}
    splits = {left: split for left, _, _, split, _ in matches} | {right: split for _, right, _, split, _ in matches}
    assert len(others) > len(matches)
    assert all(row["source"] == "assumed" for row in others)
    assert not any((row["left"], row["right"]) in known for row in others)
    assert {row["split"] for row in others} == {"training", "validation", "test"} == set(splits.values())
    assert set(map(tuple, made.pairs().tolist())) >= {(row["left"], row["right"]) for row in others}


def test_without_links_matches_are_assumed(tmp_path: Path) -> None:
    left, right = graph(1), graph(2)
    made = matched(tmp_path, left, right, [], structure=False)
    labels = made.table("labels", kg.LINKS, "links")
    truth = {(one, other) for one, other, label, *_ in given_links(left, right) if label}
    assumed = [(row["left"], row["right"]) for row in labels if row["label"] == 1]
    assert len(assumed) > ENTITIES / 4
    assert np.mean([pair in truth for pair in assumed]) > 0.95
    assert {row["source"] for row in labels} == {"assumed"}
    assert {row["split"] for row in labels} == {"training", "validation"}
    quality = made.env.store.manifest(made.refs["labels"]).quality
    assert quality["assumed_positives"] == quality["positives"] == len(assumed)
    best = made.pairs()[np.argsort(-made.scores())[:ENTITIES]]
    assert np.mean([tuple(pair) in truth for pair in best.tolist()]) > 0.9


def test_within_one_graph(tmp_path: Path) -> None:
    one = graph(1, copies=40)
    keys = rows_by(one)
    links = []
    for number in range(ENTITIES - 40, ENTITIES):
        pair = keys[f"p{number:04d}"], keys[f"p{number + 40:04d}"]
        split = ("training", "validation", "test")[number % 3]
        links += [(*pair, 1, split, "given"), (pair[0] - 50, pair[1], 0, split, "given")]
    made = matched(tmp_path / "one", one, one, links, structure=False)
    many = matched(tmp_path / "many", one, one, links, structure=False, pairs_per_shard=1)
    assert np.array_equal(made.scores(), many.scores())
    assert (made.pairs()[:, 0] < made.pairs()[:, 1]).all()
    members = {role: ref for role, ref in made.refs.items() if role not in ("rivals", "right")}
    scorer = open_scorer(made.env.store, members | {"links": made.refs["labels"]})
    assert np.array_equal(scorer.scores(made.pairs()[:25].astype(np.int64)), made.scores()[:25])
    matches = {link[:2] for link in links if link[2]}
    truth = np.array([tuple(pair) in matches for pair in made.pairs().tolist()])
    assert truth.sum() == 40
    assert made.scores()[truth].mean() > made.scores()[~truth].mean() + 1


def test_graphs_without_any_text(tmp_path: Path) -> None:
    left, right = graph(1, named=False), graph(2, named=False)
    made = matched(tmp_path, left, right, given_links(left, right))
    assert np.isfinite(made.scores()).all()
    rows = made.table("labelled", kg.LABELLED, "scores")
    assert len({row["score"] for row in rows if row["method"] == "baseline"}) == 1


def test_matches_that_are_all_held_out_are_refused(tmp_path: Path) -> None:
    left, right = graph(1), graph(2)
    links = [(*link[:3], "test", "given") for link in given_links(left, right)]
    said = r"expected known matches of the split training to learn from, found none among \d+ known pairs; give some"
    with pytest.raises(FingerpostError, match=said):
        matched(tmp_path, left, right, links)


def test_matches_without_any_pair_of_two_entities_are_refused(tmp_path: Path) -> None:
    sides = []
    for side in range(2):
        rows = GraphRows()
        rows.entity(f"{side}", kind="product", name="kettle")
        sides.append(rows.batch())
    said = r"expected pairs of two entities to learn from, found neither known ones \(label 0\) nor candidates"
    for links in ([(0, 0, 1, "training", "given")], []):
        with pytest.raises(FingerpostError, match=said):
            matched(tmp_path / str(len(links)), sides[0], sides[1], links)


def test_graphs_with_nothing_in_common_need_links(tmp_path: Path) -> None:
    rows = GraphRows()
    for number in range(30):
        rows.entity(f"p{number:04d}", kind="product", name=f"{chr(0x4E00 + number)}{chr(0x5E00 + number)}")
    with pytest.raises(FingerpostError, match=r"expected known matches, or candidates .* found none; give some"):
        matched(tmp_path, graph(1), rows.batch(), [])
