"""The stages up to the candidates: the same for any shards and after a kill, within one graph, and by each source."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from fingerpost.schemas import kg
from fingerpost.schemas.inputs.graphs import Attribute, GraphBatch, GraphRows, table_of
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.environment import Environment, SilentProgress
from fingerpost.tasks.kg.blocking import LINKS, NEIGHBORS, RULES, STRUCTURE, VECTORS, BlockingParams
from fingerpost.tasks.kg.embeddings import EmbeddingParams
from fingerpost.tasks.kg.search import SearchParams
from fingerpost.tasks.kg.stages import search as search_stage
from fingerpost.tasks.kg.stages.embeddings import embed_entities, read_contexts
from fingerpost.tasks.kg.stages.graph_tables import GraphTables
from fingerpost.tasks.kg.stages.search import index_entities, read_graphs
from fingerpost.tasks.kg.stages.stored_embedder import read_embedder
from tests.support.blocking import blocked, graphs_of, links_of, rows_of
from tests.support.kills import Killed
from tests.support.suggestion_artifacts import committed
from tests.unit.kg.test_embeddings import WORDS
from tests.worlds import DAY

SMALL = EmbeddingParams(dimensions=32, buckets=2**12)
SEARCH = SearchParams(nearest=5, ef=20, ef_construction=40, exact_below=2000)
BLOCKING = BlockingParams(candidates=6)


def shop(count: int, seed: int, *, wrong: bool) -> GraphBatch:
    """Products of makers: names of words and a number, on one side with a letter left out of each."""
    rng = np.random.default_rng(seed)
    rows = GraphRows()
    for number in range(count):
        # One world for all seeds: only the spelling differs.
        words = np.random.default_rng(number).choice(WORDS, 3)
        name = " ".join([*words, f"{number:04d}"])
        place = int(rng.integers(1, len(name) - 5))
        name = name[:place] + name[place + 1 :] if wrong else name
        rows.entity(f"p{number:05d}", kind="product", name=name)
        rows.attribute(f"p{number:05d}", Attribute("code", f"ref-{number:05d}"))
        rows.relation(f"p{number:05d}", "maker", f"m{number % (count // 5):05d}")
    for number in range(count // 5):
        rows.entity(f"m{number:05d}", kind="maker", name=f"{WORDS[number % 12]} {number:03d} works")
    return rows.batch()


def environment_of(folder: Path, **options: object) -> Environment:
    return Environment(Store(str(folder)).prepare(), "shop", DAY, **options)


def truth(left: GraphBatch) -> list[tuple[int, int, int, str, str]]:
    """Each product is the one of its number; splits by turns."""
    keys = left.entities["id"].to_pylist()
    products = [row for row, key in enumerate(keys) if key.startswith("p")]
    names = ("training", "validation", "test")
    return [(row, row, 1, names[place % 3], "given") for place, row in enumerate(products)]


@dataclass(frozen=True)
class World:
    """Two graphs of 4,320 entities, five of six products, committed; and the candidates with two and one shard."""

    env: Environment
    sides: tuple[Ref, Ref]
    links: Ref
    made: dict[str, Ref]
    whole: dict[str, Ref]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    env = environment_of(tmp_path_factory.mktemp("blocking") / "store")
    left, right = shop(3600, 0, wrong=False), shop(3600, 1, wrong=True)
    sides, links = graphs_of(env.store, left, right), links_of(env.store, truth(left))
    options = {"embedding": SMALL, "search": SEARCH, "blocking": BLOCKING}
    made = blocked(env, *sides, links, **options)
    return World(env, sides, links, made, blocked(env, *sides, links, **options, rows_per_shard=100_000))


def test_shards_change_nothing(world: World) -> None:
    for role in world.made:
        name = world.made[role].name
        contract = next(one for one in kg.CONTRACTS if one.name == name)
        parts, whole = (world.env.store.open(made[role], contract) for made in (world.made, world.whole))
        for table in contract.tables:
            if parts.rows(table.name):
                assert parts.read(table.name).equals(whole.read(table.name)), (role, table.name)
        assert parts.quality == whole.quality
    candidates = world.env.store.open(world.made["candidates"], kg.CANDIDATES)
    assert len(candidates.entries("candidates")) == 2


def test_known_pairs_are_found_and_counted_without_their_links(world: World) -> None:
    rows, quality = (
        rows_of(world.env.store, world.made["candidates"]),
        world.env.store.manifest(world.made["candidates"]).quality,
    )
    found = {(left, right) for left, right, _, sources in rows if sources != LINKS}
    known = [pair[:2] for pair in truth(shop(3600, 0, wrong=False))]
    assert quality["recall"] == pytest.approx(np.mean([pair in found for pair in known]), abs=1e-6)
    assert quality["recall"] > 0.97
    assert quality["known"] == len(known) == 3600
    linked = {(left, right) for left, right, _, sources in rows if sources & LINKS}
    assert linked == {pair[:2] for pair in truth(shop(3600, 0, wrong=False)) if pair[3] == "training"}


def test_candidates_are_products_alone_as_the_links_are(world: World) -> None:
    rows = rows_of(world.env.store, world.made["candidates"])
    types = [GraphTables.open(world.env.store, side).types for side in world.sides]
    assert {(types[0][left], types[1][right]) for left, right, *_ in rows} == {("product", "product")}
    quality = world.env.store.manifest(world.made["candidates"]).quality
    counts = np.bincount([left for left, *_ in rows])
    assert quality["most_per_entity"] == counts.max() <= BLOCKING.candidates
    assert (quality["pairs"], quality["entities"], quality["entities_without"]) == (len(rows), 3600, 0)
    for bit, name in ((VECTORS, "vectors"), (NEIGHBORS, "neighbors"), (RULES, "rules"), (LINKS, "links")):
        assert quality[f"by_{name}"] == sum(1 for *_, sources in rows if sources & bit)
    assert quality["by_neighbors"] > 0


def test_large_types_have_a_graph_and_small_ones_none(world: World) -> None:
    artifact = world.env.store.open(world.made["left_index"], kg.INDEX)
    assert artifact.read("types").to_pylist() == [
        {"type": "maker", "entities": 720, "indexed": False},
        {"type": "product", "entities": 3600, "indexed": True},
    ]
    assert read_graphs(artifact)["product"].size == 3600


def test_what_is_embedded_is_the_text_and_what_is_around(world: World) -> None:
    tables = GraphTables.open(world.env.store, world.sides[0])
    artifact = world.env.store.open(world.made["left_vectors"], kg.VECTORS)
    embedder = read_embedder(world.env.store, world.made["left_vectors"])
    row = 3210
    texts, around = tables.texts(row, row + 1), tables.around(row, row + 1, most=SMALL.neighbors)
    assert tables.names[row] in texts[0]
    assert around[0]
    assert np.array_equal(embedder.contexts(texts, around)[0], read_contexts(artifact)[row])


@pytest.mark.parametrize(("begin", "end"), [(0, 10), (4000, 4200), (4096, 4320), (4095, 4097), (7, 7), (9, None)])
def test_some_vectors_are_read_of_their_files_alone(world: World, begin: int, end: int | None) -> None:
    artifact = world.env.store.open(world.made["left_vectors"], kg.VECTORS)
    assert np.array_equal(read_contexts(artifact, begin, end), read_contexts(artifact)[begin:end])


def test_a_graph_is_read_once_and_again_when_it_is_another(world: World) -> None:
    first = GraphTables.open(world.env.store, world.sides[0])
    assert GraphTables.open(world.env.store, world.sides[0]) is first
    assert GraphTables.open(world.env.store, world.sides[1]) is not first
    changed = committed(world.env.store, kg.GRAPH, shop(20, 3, wrong=False).tables(), side="another")
    assert len(GraphTables.open(world.env.store, changed)) == 24


def test_a_build_that_is_killed_goes_on_from_its_checkpoint(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Deadly(SilentProgress):
        steps: ClassVar[list[int]] = []

        def advance(self, stage: str, done: int) -> None:
            if stage == kg.INDEX.name:
                self.steps.append(done)
                if len(self.steps) == 3:
                    raise Killed

    monkeypatch.setattr(search_stage, "_CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(search_stage, "_STEP_ROWS", 1024)
    env = environment_of(tmp_path / "store", progress=Deadly())
    left = shop(3600, 0, wrong=False)
    graph, _ = graphs_of(env.store, left, left)
    vectors = embed_entities.execute(env, graph, graph, params=SMALL, rows_per_shard=4096)
    params = SearchParams(ef_construction=40, exact_below=500)
    with pytest.raises(Killed):
        index_entities.execute(env, graph, vectors, params=params)
    # The smaller type is finished, the larger one half inserted.
    ref = index_entities.execute(env, graph, vectors, params=params)
    assert Deadly.steps[3] > Deadly.steps[1]
    other = environment_of(tmp_path / "other")
    graphs_of(other.store, left, left)
    assert embed_entities.execute(other, graph, graph, params=SMALL, rows_per_shard=4096) == vectors
    expected = index_entities.execute(other, graph, vectors, params=params)
    assert expected == ref
    tables = [one.store.open(ref, kg.INDEX).read("graphs") for one in (env, other)]
    assert tables[0].equals(tables[1])


def test_within_one_graph_no_entity_is_paired_with_itself(tmp_path: Path) -> None:
    env = environment_of(tmp_path / "store")
    rows = GraphRows()
    for number in range(30):
        for copy in ("a", "b"):
            rows.entity(
                f"{number:02d}{copy}", kind="person", name=f"{WORDS[number % 12]} {WORDS[-number % 12]} {number}"
            )
            rows.relation(f"{number:02d}{copy}", "lives in", f"town {number // 3}")
    graph = rows.batch()
    side, _ = graphs_of(env.store, graph, graph)
    keys = graph.entities["id"].to_pylist()
    pairs = [(row, row + 1, 1, "test", "given") for row, key in enumerate(keys) if key.endswith("a")]
    made = blocked(env, side, side, links_of(env.store, pairs))
    found = rows_of(env.store, made["candidates"])
    assert all(left < right for left, right, *_ in found)
    assert {pair[:2] for pair in pairs} <= {(left, right) for left, right, *_ in found}
    assert made["left_nearest"] == made["right_nearest"]
    assert any(sources & NEIGHBORS for *_, sources in found)
    # Entities of a town share a neighbour, whatever their names.
    rules = BlockingParams(rules=(), shared=60)
    again = rows_of(env.store, blocked(env, side, side, links_of(env.store, pairs), blocking=rules)["candidates"])
    towns = [int(key[:2]) // 3 if key[0].isdigit() else -1 for key in keys]
    assert all(towns[left] == towns[right] for left, right, _, sources in again if sources & NEIGHBORS)


def nameless(count: int, seed: int) -> GraphBatch:
    """A ring with chords, without names; ids are shuffled by the seed."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(count)
    rows = GraphRows()
    for number in range(count):
        for step, name in ((1, "next"), (7, "near")):
            rows.relation(f"n{order[number]:03d}", name, f"n{order[(number + step) % count]:03d}")
    return rows.batch()


def test_nameless_entities_are_found_by_neighbours_and_structure(tmp_path: Path) -> None:
    env = environment_of(tmp_path / "store")
    orders = [np.random.default_rng(seed).permutation(90) for seed in (0, 1)]
    sides = graphs_of(env.store, nameless(90, 0), nameless(90, 1))
    pairs = [(int(orders[0][n]), int(orders[1][n]), 1, "training" if n % 3 else "test", "given") for n in range(90)]
    links = links_of(env.store, pairs)
    made = blocked(env, *sides, links)
    found = {(left, right): sources for left, right, _, sources in rows_of(env.store, made["candidates"])}
    hidden = [pair[:2] for pair in pairs if pair[3] == "test"]
    assert all(found[pair] == NEIGHBORS for pair in hidden)
    assert env.store.manifest(made["left_vectors"]).quality["empty"] == 90
    last = hidden[-1][0], hidden[0][1]
    assert last not in found
    table = table_of(kg.STRUCTURE.tables[0], [(*last, 0.5)])
    structure = committed(env.store, kg.STRUCTURE, {"pairs": table})
    again = rows_of(env.store, blocked(env, *sides, links, structure)["candidates"])
    assert [sources for left, right, _, sources in again if (left, right) == last] == [STRUCTURE]


def test_the_expected_seconds_are_said_before_scoring(world: World, caplog: pytest.LogCaptureFixture) -> None:
    env = world.env
    measured = env.store.manifest(world.made["candidates"]).run["measured"]
    pairs = env.store.manifest(world.made["candidates"]).quality["pairs"]
    assert measured == {
        "expected_seconds": round(pairs / 5000.0, 1),
        "pairs_per_second": 5000.0,
        "rate_of": "assumed",
    }
    scores = committed(env.store, kg.SCORES, {"scores": table_of(kg.SCORES.tables[0], [(0, 0, 1.0), (0, 1, 2.0)])})
    manifest = env.store.manifest(scores)
    timed = Ref(scores.name, scores.day, "0" * 32)
    env.store.commit(timed, type(manifest)(manifest.identity, {"seconds": 0.001}))
    env.ledger.note(kg.SCORES.name, timed)
    with caplog.at_level(logging.INFO, logger="fingerpost.run"):
        made = blocked(
            env, *world.sides, world.links, embedding=SMALL, search=SEARCH, blocking=BlockingParams(candidates=5)
        )
    assert env.store.manifest(made["candidates"]).run["measured"]["pairs_per_second"] == 2000.0
    assert "known pairs found; scoring them takes about" in caplog.text
    assert "(the last scoring: 2,000 pairs a second)" in caplog.text


def test_no_links_pair_all_common_types(tmp_path: Path) -> None:
    env = environment_of(tmp_path / "store")
    sides = graphs_of(env.store, shop(60, 0, wrong=False), shop(60, 1, wrong=True))
    made = blocked(env, *sides, links_of(env.store))
    types = GraphTables.open(env.store, sides[0]).types
    found = rows_of(env.store, made["candidates"])
    assert {types[left] for left, *_ in found} == {"maker", "product"}
    quality = env.store.manifest(made["candidates"]).quality
    assert quality["known"] == 0
    assert "recall" not in quality
