"""Why two rankers answer a query differently, and what a replay of queries says of them."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fingerpost.flows.domains.xmr.gates import ranker_gates
from fingerpost.flows.domains.xmr.settings import RankerGates
from fingerpost.flows.ops.compare.replay_tables import compare_with_live, show_replay
from fingerpost.flows.ops.compare.why import Why, why
from fingerpost.flows.ops.compare.why_tables import show_why
from fingerpost.flows.run.gates import replay_with_live
from fingerpost.flows.run.replay import ndcg, replay
from fingerpost.flows.run.settings import ReplaySettings
from fingerpost.schemas.errors import FingerpostError, InputError
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.corpus.ngrams import FamilyParams, NgramParams
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.xmr.interactions import InteractionParams
from fingerpost.tasks.xmr.open import PRODUCT, LiveRanker
from fingerpost.tasks.xmr.ranking import BeamParams
from fingerpost.tasks.xmr.stages import release, training, trees
from fingerpost.tasks.xmr.stages.packed import pack_ranker
from fingerpost.tasks.xmr.training import TrainingParams
from tests.support.queries import write_queries
from tests.unit.xmr.shop import Shop, write_shop

QUERIES = ("cheap saw red", "hammer in green", "blue drill", "lamp grey small", "white shirts", "bread in pink")
K = 5


@dataclass(frozen=True)
class World:
    """A store with rankers by name."""

    store: Store
    refs: dict[str, Ref]

    def why(self, query: str, before: str, after: str) -> Why:
        return why(self.store, self.refs[before], self.refs[after], query, k=K)

    def answers(self, version: str, query: str) -> list[str]:
        return [label.id for label in LiveRanker(self.store, self.refs[version]).rank(query, K)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("rankers")
    store, refs = Store(str(folder / "store")).prepare(), dict[str, Ref]()
    interactions = write_shop(folder, rows=700)
    shop = Shop(interactions=InteractionParams(test_share=0.1, calibration_share=0.1))

    def make(name: str, made: Shop = shop, keep: Any = None) -> None:
        lines = interactions.read_text().splitlines()
        taken = folder / name
        taken.mkdir()
        kept = [lines[0], *(line for line in lines[1:] if keep is None or keep(line))]
        (taken / "interactions.csv").write_text("\n".join(kept) + "\n")
        labels = (folder / "labels.csv").read_text().splitlines()
        named = {line.split(",")[1] for line in kept[1:]}
        (taken / "labels.csv").write_text(
            "\n".join([labels[0], *(x for x in labels if x.split(",")[0] in named)]) + "\n"
        )
        env = Environment(store, "shop", f"2026-01-{len(refs) + 1:02d}")
        refs[name] = made.make(env, taken / "interactions.csv")["ranker"]

    make("base")
    make("gone", keep=lambda line: "saw-red" not in line)
    make("fewer", keep=lambda line: "-green" not in line or line.split(",")[0][-1] in "0123")
    make("beam", replace(shop, beam=BeamParams(beam=1)))
    make("cost", replace(shop, training=TrainingParams(negatives="tfn", normalise=False)))
    words = NgramParams((FamilyParams("word", 1, 1), FamilyParams("char", 3, 3)), 0.0, 1.0, 0.0)
    make("terms", replace(shop, ngrams=words))
    for name, beam in (("pair", BeamParams()), ("pair beam", BeamParams(beam=1))):
        refs[name] = paired(Environment(store, "shop", "2026-02-01"), shop, folder / "base", beam)
    return World(store, refs)


def paired(env: Environment, shop: Shop, folder: Path, beam: BeamParams) -> Ref:
    """A ranker of two trees over the same interactions."""
    made = shop.make(env, folder / "interactions.csv")
    taken = made["interactions"]
    made["tree_1"] = trees.cluster_labels.execute(
        env, made["label_features"], params=replace(shop.clusters, seed=1), blocks=shop.blocks
    )
    made["model_1"] = training.train_rankers.execute(
        env, taken, made["features"], made["tree_1"], params=shop.training, rows=shop.rows, blocks=shop.blocks
    )
    lists = [
        release.predict_labels.execute(
            env, taken, made["held_features"], made[tree], made[model], k=20, beam=beam, blocks=shop.blocks
        )
        for tree, model in (("tree", "model"), ("tree_1", "model_1"))
    ]
    made["predictions"] = release.combine_predictions.execute(env, *lists, combination="average")
    made["evaluation"] = release.evaluate_ranker.execute(env, taken, made["predictions"])
    pairs = (made[role] for role in ("tree", "model", "tree_1", "model_1"))
    made["packed"] = pack_ranker.execute(env, taken, made["vocabulary"], *pairs)
    roles = tuple(sorted(made.keys() - {"ranker"}))
    return release.assemble_ranker.execute(env, *(made[role] for role in roles), roles=roles)


def kinds(found: Why) -> set[str]:
    """What moved answers by itself."""
    return {move.kind for move in found.moves} - {"same", "follows"}


def test_answers_of_both_versions_are_those_that_they_give(world: World) -> None:
    for query in QUERIES:
        found = world.why(query, "base", "fewer")
        assert [move.id for move in found.moves if move.after] == world.answers("fewer", query)
        old = sorted((move for move in found.moves if move.before), key=lambda move: move.before)
        assert [move.id for move in old] == world.answers("base", query)


def test_a_label_that_is_gone_or_new_is_said_to_be(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert world.answers("base", QUERIES[0])[0] == "saw-red"
    found = world.why(QUERIES[0], "base", "gone")
    moves = {move.id: move for move in found.moves}
    assert (moves["saw-red"].kind, moves["saw-red"].because) == ("data", "the label was removed")
    assert any("because labels were added or removed" in sentence for sentence in found.verdict)
    assert "xmr.interactions" in {cause.artifact for cause in found.causes}
    back = {move.id: move for move in world.why(QUERIES[0], "gone", "base").moves}
    assert (back["saw-red"].kind, back["saw-red"].because) == ("data", "the label is new")
    show_why(found)
    shown = capsys.readouterr().out
    assert "the label was removed" in shown
    assert "beam 10" in shown
    json.dumps(asdict(found))


def test_what_the_beam_misses_is_told_from_what_scores_moved(world: World) -> None:
    explained = [world.why(query, "base", "beam") for query in QUERIES]
    moved = [found for found in explained if kinds(found)]
    assert moved, "a beam of one finds everything: it is not narrow enough to test anything"
    for found in moved:
        assert kinds(found) == {"beam"}
        assert "exhaustive scoring gives the same labels in both versions" in " ".join(found.verdict)
        assert [cause.artifact for cause in found.causes] == ["xmr.predictions"]
        lost = [move for move in found.moves if move.before and not move.after]
        assert all("the later beam search misses it" in move.because for move in lost)


def test_what_the_beams_of_an_ensemble_miss_is_told(world: World) -> None:
    explained = [world.why(query, "pair", "pair beam") for query in QUERIES]
    moved = [found for found in explained if kinds(found)]
    assert moved
    for found in moved:
        assert kinds(found) == {"beam"}
        assert {cause.artifact.split(" ")[0] for cause in found.causes} == {"xmr.predictions"}


def test_a_label_whose_training_rows_changed_is_named_with_how_many(world: World) -> None:
    explained = [
        world.why(query, "base", "fewer") for query in ("hammer in green", "green hammers", "large hammer green")
    ]
    moves = [move for found in explained for move in found.moves if move.kind == "training"]
    assert moves
    sides = [_training(world, name) for name in ("base", "fewer")]
    for move in moves:
        old, new = (side.get(move.id, set()) for side in sides)
        assert old != new
        assert f"{len(old - new)} gone" in move.because or not old - new
    for found in explained:
        for move in found.moves:
            if move.kind == "scores":
                assert sides[0].get(move.id) == sides[1].get(move.id)


def _training(world: World, name: str) -> dict[str, set[tuple[str, float]]]:
    """The training queries of each label with their weights, counted one by one."""
    from fingerpost.schemas import xmr
    from fingerpost.schemas.matrices import sparse_from_arrow

    interactions = world.store.open(LiveRanker(world.store, world.refs[name]).members["interactions"], xmr.INTERACTIONS)
    queries, labels = interactions.read("queries").to_pylist(), interactions.read("labels")["id"].to_pylist()
    targets = sparse_from_arrow(interactions.read("targets"), columns=len(labels)).tocoo()
    found: dict[str, set[tuple[str, float]]] = {}
    for row, label, weight in zip(*targets.coords, targets.data, strict=True):
        if queries[row]["split"] == "training":
            found.setdefault(labels[label], set()).add((queries[row]["id"], float(weight)))
    return found


def test_parameters_are_named_where_they_are_the_one_thing_that_differs(world: World) -> None:
    explained = [world.why(query, "base", "cost") for query in QUERIES]
    moved = [found for found in explained if kinds(found)]
    assert moved, "every query is answered the same: the change is too small to test anything"
    for found in moved:
        assert "data" not in kinds(found)
        assert "training" not in kinds(found)
        assert not found.terms
        assert [(cause.artifact, cause.kinds) for cause in found.causes] == [("xmr.model", ["parameters"])]
        assert any("because of it: parameters" in sentence for sentence in found.verdict)


def test_terms_of_the_query_that_left_are_named(world: World) -> None:
    found = world.why(QUERIES[0], "base", "terms")
    sides = [
        set(LiveRanker(world.store, world.refs[name]).featurizer.transform([QUERIES[0]]).indices)
        for name in ("base", "terms")
    ]
    gone = [change.key for change in found.terms if change.after is None]
    assert gone == ["word cheap saw", "word saw red"]
    assert len(sides[0]) - len(sides[1]) == len(gone)
    # The first of that name is of the held-out queries, which answer nothing.
    assert [cause.artifact for cause in found.causes if "ngrams" in cause.artifact] == ["corpus.ngrams (ngrams)"]


def test_a_query_of_unknown_words_has_no_answers_and_other_searches_are_refused(world: World) -> None:
    assert world.why("xyzzy qqqq", "base", "gone").moves == []
    with pytest.raises(FingerpostError, match=r"method: expected auto for a ranker.*got 'hnsw'"):
        why(world.store, world.refs["base"], world.refs["gone"], QUERIES[0], k=K, method="hnsw")
    members = LiveRanker(world.store, world.refs["base"]).members
    with pytest.raises(FingerpostError, match=r"expected versions of a product .*xmr\.ranker.* got xmr\.tree"):
        why(world.store, members["tree"], members["tree"], QUERIES[0], k=K)
    with pytest.raises(FingerpostError, match="expected two versions of one product"):
        why(world.store, world.refs["base"], members["tree"], QUERIES[0], k=K)


def test_a_replay_of_rankers_is_that_of_a_recount(world: World, tmp_path: Path) -> None:
    rows = [(query, world.answers("base", query)[0], 2) for query in QUERIES]
    file = write_queries(tmp_path / "judged.csv", rows)
    found = replay(world.store, world.refs["gone"], world.refs["base"], file=file, k=K)
    overlaps, gains = [], []
    for (query, best, _), replayed in zip(rows, found.queries, strict=True):
        old, new = world.answers("base", query), world.answers("gone", query)
        assert (replayed.live, replayed.candidate) == (old, new)
        overlaps.append(len(set(old) & set(new)) / len(old))
        gains.append(ndcg(new, {best: 2}, K))
    assert found.figures["overlap"] == pytest.approx(np.mean(overlaps))
    assert found.figures["ndcg_candidate"] == pytest.approx(np.mean([gain or 0 for gain in gains]))
    assert found.figures["ndcg_live"] == 1.0
    assert "lost saw-red" in found.worst()
    with pytest.raises(
        InputError, match="expected judged ids that are in the ranker, found 1 of 1 that are not: plough"
    ):
        replay(
            world.store, world.refs["base"], None, file=write_queries(tmp_path / "o.csv", [("saw", "plough", 1)]), k=K
        )
    nonsense = write_queries(tmp_path / "nonsense.csv", [["xyzzy qqqq"]], ["query"])
    with pytest.raises(InputError, match="expected queries that the ranker answers, found no answer to any of 1"):
        replay(world.store, world.refs["base"], world.refs["gone"], file=nonsense, k=K)
    members = LiveRanker(world.store, world.refs["base"]).members
    with pytest.raises(
        FingerpostError, match=r"expected a version that answers queries .*xmr\.ranker.*, got xmr\.tree"
    ):
        replay(world.store, members["tree"], None, file=file, k=K)


def test_the_command_replays_rankers_and_its_gates_are_those_of_the_profile(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = world.refs["base"]
    gates = ranker_gates(world.store.manifest(base), RankerGates(recall_at_10=0.0))
    Pointer(world.store, "shop", PRODUCT).promote(base, gates=gates)
    file = write_queries(tmp_path / "queries.csv", [[query] for query in QUERIES], ["query"])
    given: dict[str, Any] = {"live_alone": False, "k": K, "profile": "quick", "collection": "shop", "product": PRODUCT}
    found, gates = compare_with_live(world.store, file, candidate=world.refs["gone"].fingerprint[:12], **given)
    assert [gate.name for gate in gates] == ["replay_overlap"]
    assert (found.live, found.candidate) == (str(base), str(world.refs["gone"]))
    show_replay(found, gates)
    assert "saw-red" in capsys.readouterr().out
    # At publishing the profile's queries are asked of indexes alone.
    settings = ReplaySettings(queries=file, k=K)
    assert replay_with_live(world.store, "shop", world.refs["gone"], settings) is None
