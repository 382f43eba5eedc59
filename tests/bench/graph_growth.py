"""One alignment as graphs grow, in processes of their own: ``graph_growth.py make|run FOLDER ENTITIES``.

``make`` writes two graphs (graph_names.py) and labels of some pairs into a store; ``run`` samples, blocks, trains a scorer on
the labels and scores all candidates by the stages, shard after shard in one process, and prints the CPU seconds and the
greatest memory of each.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from fingerpost.schemas import kg  # noqa: E402
from fingerpost.schemas.refs import Ref  # noqa: E402
from fingerpost.schemas.store import Store  # noqa: E402
from fingerpost.tasks.environment import Environment  # noqa: E402
from fingerpost.tasks.kg.blocking import LINKS, BlockingParams  # noqa: E402
from fingerpost.tasks.kg.embeddings import EmbeddingParams  # noqa: E402
from fingerpost.tasks.kg.neighborhoods import SamplingParams  # noqa: E402
from fingerpost.tasks.kg.pair_scorer import FeatureParams  # noqa: E402
from fingerpost.tasks.kg.scorer import ScorerParams  # noqa: E402
from fingerpost.tasks.kg.search import SearchParams  # noqa: E402
from fingerpost.tasks.kg.stages.comparison import compare_pairs, fit_scorer  # noqa: E402
from fingerpost.tasks.kg.stages.neighborhoods import sample_neighborhoods  # noqa: E402
from fingerpost.tasks.kg.stages.pair_shards import PairShards  # noqa: E402
from fingerpost.tasks.kg.stages.rivals import find_rivals  # noqa: E402
from fingerpost.tasks.kg.stages.scores import score_pairs  # noqa: E402
from fingerpost.tasks.kg.stages.terms import weigh_attributes  # noqa: E402
from fingerpost.tasks.kg.terms import TermParams  # noqa: E402
from tests.bench.graph_names import named_graphs  # noqa: E402
from tests.support.blocking import blocked, links_of  # noqa: E402
from tests.support.suggestion_artifacts import committed  # noqa: E402

DAY = "2026-01-02"
#: Labelled positives, half of them for training; wrong partners of each that are labelled too.
LABELLED, WRONG = 2_000, 4
ROWS_PER_SHARD = 65_536
EMBEDDING = EmbeddingParams(dimensions=128)
SEARCH = SearchParams(nearest=10, ef=100)
BLOCKING = BlockingParams(candidates=10, shared=5)
#: What each stage is part of.
PARTS = {
    "embed_entities": "embed",
    "index_entities": "index",
    "search_entities": "search",
    "share_neighbors": "propose",
    "propose_pairs": "propose",
    "sample_neighborhoods": "sample",
    "weigh_attributes": "train",
    "compare_pairs": "train",
    "fit_scorer": "train",
    "find_rivals": "score",
    "score_pairs": "score",
}


def environment_of(folder: Path) -> Environment:
    """The stages' environment; kernels whose results do not depend on it have the cores of the machine."""
    return Environment(
        Store(str(folder / "store")).prepare(), "growth", DAY, threads=int(os.environ.get("THREADS", "1"))
    )


def make(folder: Path, entities: int) -> dict[str, Any]:
    """Writes both graphs and the pairs that are one."""
    env, world = environment_of(folder), named_graphs(entities)
    sides = [committed(env.store, kg.GRAPH, getattr(world, side), side=side) for side in ("left", "right")]
    np.save(folder / "pairs.npy", world.pairs)
    (folder / "sides.json").write_text(json.dumps([str(side) for side in sides]), "utf-8")
    return {}


def run(folder: Path, entities: int) -> dict[str, Any]:
    """CPU seconds and memory by part, the recall of blocking, and the average precision of the scores."""
    env = environment_of(folder)
    left, right = (Ref.parse(text) for text in json.loads((folder / "sides.json").read_text("utf-8")))
    pairs = np.load(folder / "pairs.npy")
    chosen = pairs[np.random.default_rng(0).permutation(len(pairs))[:LABELLED]]
    links = links_of(env.store, [(*pair, 1, _split(number), "given") for number, pair in enumerate(chosen.tolist())])
    started = time.perf_counter()
    for side in (left, right):
        sample_neighborhoods.execute(env, side, params=SamplingParams(), rows_per_shard=ROWS_PER_SHARD)
    # Links name both types: people are among them.
    made = blocked(
        env,
        left,
        right,
        links,
        embedding=EMBEDDING,
        search=SEARCH,
        blocking=BLOCKING,
        rows_per_shard=ROWS_PER_SHARD,
    )
    made |= {"left": left, "right": right, "links": links} | scored(env, left, right, made, chosen)
    (folder / "made.json").write_text(json.dumps({role: str(ref) for role, ref in made.items()}), "utf-8")
    wall = time.perf_counter() - started
    row: dict[str, Any] = {"entities": entities, "recall": recall(env.store, made["candidates"], pairs)}
    row |= {"pairs": env.store.manifest(made["candidates"]).quality["pairs"], "wall_s": wall}
    for record in env.records:
        part, cost = PARTS[record.stage], env.store.manifest(Ref.parse(record.ref)).run
        row[f"{part}_s"] = row.get(f"{part}_s", 0.0) + cost["cpu_seconds"]
        row["memory_mb"] = max(row.get("memory_mb", 0.0), cost["peak_mb"])
        row[f"{part}_mb"] = max(row.get(f"{part}_mb", 0.0), cost["peak_mb"])
    return row | {"all_s": sum(value for name, value in row.items() if name.removesuffix("_s") in PARTS.values())}


def scored(
    env: Environment, left: Ref, right: Ref, made: dict[str, Ref], positives: NDArray[np.int64]
) -> dict[str, Ref]:
    """A scorer trained on the labelled pairs and some wrong candidates of theirs, and the scores of all candidates, by role."""
    rows = env.store.open(made["candidates"], kg.CANDIDATES).read("candidates")
    labelled = _with_wrong(rows, positives)
    links = links_of(env.store, labelled, name="labelled")
    terms = weigh_attributes.execute(env, left, right, params=TermParams(), rows_per_shard=ROWS_PER_SHARD)
    inputs, shards = (left, right, terms, made["candidates"]), PairShards()
    rivals = find_rivals.execute(env, *inputs, links, params=shards)
    features = compare_pairs.execute(env, *inputs, rivals, links, params=FeatureParams())
    scorer = fit_scorer.execute(env, features, links, params=ScorerParams())
    scores = score_pairs.execute(env, *inputs, rivals, links, scorer, params=shards)
    made = {"terms": terms, "rivals": rivals, "labels": links, "features": features, "scorer": scorer, "scores": scores}
    return made


def _with_wrong(rows: pa.Table, positives: NDArray[np.int64]) -> list[tuple[int, int, int, str, str]]:
    """Labels of the positives, and of up to WRONG other candidates of their left entities."""
    left, right = (rows[name].to_numpy() for name in ("left", "right"))
    found = []
    for number, (one, other) in enumerate(positives.tolist()):
        begin, end = np.searchsorted(left, (one, one + 1))
        wrong = [int(row) for row in right[begin:end] if row != other][:WRONG]
        found += [(one, row, int(row == other), _split(number), "given") for row in (other, *wrong)]
    return found


def _split(number: int) -> str:
    return ("training", "training", "validation", "test")[number % 4]


def recall(store: Store, candidates: Ref, pairs: NDArray[np.int64]) -> float:
    """The share of all pairs that are one among the candidates, without what only links propose."""
    rows = store.open(candidates, kg.CANDIDATES).read("candidates")
    kept = rows["sources"].to_numpy() != LINKS
    keys = rows["left"].to_numpy()[kept].astype(np.int64) << 32 | rows["right"].to_numpy()[kept]
    return float(np.isin(pairs[:, 0] << 32 | pairs[:, 1], keys).mean())


if __name__ == "__main__":
    print(json.dumps({"make": make, "run": run}[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))))
