"""The parts of the aligner that looks at neighbourhoods: ``python -m tests.bench.bench_kg_model``.

The table of CG-MuAlign (WWW 2020): a plain graph neural network, with a matrix per relation, with either attention, with both.
On songs of iTunes and Amazon, all columns but the name shared entities, with all names and with those of half of the songs
blanked, so that neighbours have to tell. On raw DBLP and ACM with papers and authors labelled, the titles of half of the
papers blanked, 5 % of the candidates of each type for training and as many to stop by. No similarities of attributes are
given beside.

Transfer: with all titles, trained on papers alone and measured on authors, beside the cosine of names.

Average precision and the best F1 on test pairs in percent, means over seeds, which also draw the split of DBLP-ACM; CPU
seconds of a training.
"""

import argparse
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fingerpost.tasks.kg.aligner_params import AlignerParams
from fingerpost.tasks.kg.aligner_training import AlignerTrainer, train_aligner
from fingerpost.tasks.kg.decisions import average_precision, best_threshold
from fingerpost.tasks.kg.labelled_pairs import LabelledPairs
from fingerpost.tasks.kg.negatives import PairSpace
from tests.bench.kg_worlds import SONG_COLUMNS, Pairs, World, matching_world, paper_world
from tests.bench.results import print_table, write_rows
from tests.support.pair_thresholds import f1_at

#: The shares of candidates of papers and authors that train, and that decide when to stop.
SHARE = 0.05
VARIANTS: Mapping[str, dict[str, Any]] = {
    "plain": {"attention": "none", "relations": 0},
    "relations": {"attention": "none"},
    "cross": {"attention": "cross"},
    "self": {"attention": "self"},
    "both": {"attention": "both"},
}


def drawn_splits(pairs: Pairs, seed: int) -> NDArray[np.str_]:
    """A split by the left entity of each pair; the given one where there is one."""
    if pairs.splits[0]:
        return pairs.splits
    parts = np.random.default_rng([seed, 9]).random(int(pairs.pairs[:, 0].max()) + 1)[pairs.pairs[:, 0]]
    return np.where(parts < SHARE, "training", np.where(parts < 2 * SHARE, "validation", "test"))


def measured(world: World, params: AlignerParams, labelled: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Metrics by type, after training on some types: on test pairs of these, on all pairs of others."""
    parts = {kind: drawn_splits(world.pairs[kind], params.seed) for kind in world.pairs}
    pairs = np.concatenate([world.pairs[kind].pairs for kind in labelled])
    labels = np.concatenate([world.pairs[kind].labels for kind in labelled])
    splits = np.concatenate([parts[kind] for kind in labelled])
    known = LabelledPairs(pairs, labels, splits == "training", splits == "validation")
    space = PairSpace(*world.types, np.zeros((0, 2), np.int64))
    begin = time.process_time()
    trainer = AlignerTrainer(world.left, world.right, known, params, matrices=len(world.matrices), space=space)
    aligner = train_aligner(trainer)
    cost = {"epochs": float(len(trainer.epochs)), "seconds": time.process_time() - begin}
    found = {}
    for kind, mine in world.pairs.items():
        test = parts[kind] == "test" if kind in labelled else np.ones(len(mine.pairs), dtype=bool)
        found[kind] = figures(mine.labels[test], aligner.logits(mine.pairs[test])) | cost
    return found


def figures(labels: NDArray[np.int64], scores: NDArray[np.floating]) -> dict[str, float]:
    """Average precision and the best F1, in percent."""
    f1 = f1_at(labels, scores, best_threshold(labels, scores))
    return {"prauc": 100 * average_precision(labels, scores), "best_f1": 100 * f1}


def mean_of(rows: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each metric, and the standard deviation of the average precision."""
    found = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    return found | {"prauc_sd": float(np.std([row["prauc"] for row in rows]))}


def measure(name: str, worlds: Mapping[int, World], labelled: tuple[str, ...], seeds: int) -> list[dict[str, Any]]:
    """A row for each variant and type; worlds: by the number of matrices of relations."""
    rows = []
    for contender, chosen in VARIANTS.items():
        params = replace(AlignerParams(), **chosen)
        runs = [measured(worlds[params.relations], replace(params, seed=seed), labelled) for seed in range(seeds)]
        for kind in runs[0]:
            metrics = mean_of([run[kind] for run in runs])
            setting = f"{kind}, trained on {' and '.join(labelled)}, {seeds} seeds"
            rows.append({"dataset": name, "contender": contender, "setting": setting, **metrics})
            print(rows[-1], flush=True)
    return rows


def names_alone(name: str, world: World, kind: str) -> dict[str, Any]:
    """The cosines of weighted n-grams of names as scores."""
    mine = world.pairs[kind]
    return {"dataset": name, "contender": "names", "setting": kind, **figures(mine.labels, mine.cosines)}


def main() -> None:
    """Measure, print and write ``bench-results/kg-model.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed, and songs alone")
    quick = parser.parse_args().quick
    sizes, seeds, rows = (0, AlignerParams().relations), 1 if quick else 3, []
    with threadpool_limits(1):
        if not quick:
            worlds = {size: paper_world(AlignerParams(relations=size)) for size in sizes}
            rows.append(names_alone("dblp-acm raw", worlds[sizes[1]], "authors"))
            rows += measure("dblp-acm raw", worlds, ("paper",), seeds)
            worlds = {size: paper_world(AlignerParams(relations=size), lost=0.5) for size in sizes}
            rows += measure("dblp-acm raw, half of the titles", worlds, ("paper", "authors"), seeds)
        for name, lost in (("itunes-amazon", 0.0), ("itunes-amazon, half of the names", 0.5)):
            worlds = {
                size: matching_world("itunes-amazon", AlignerParams(relations=size), shared=SONG_COLUMNS, lost=lost)
                for size in sizes
            }
            rows += measure(name, worlds, ("row",), seeds)
    print_table(rows, "Parts of the aligner")
    print(f"written to {write_rows('kg-model', rows, quick=quick)}")


if __name__ == "__main__":
    main()
