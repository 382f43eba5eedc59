"""Whether pairs are one entity, by the stages of an alignment: ``python -m tests.bench.bench_kg_matching``.

The Magellan sets on their given splits: F1 and PRAUC in percent on test pairs, the threshold being chosen on validation
pairs, mean of three seeds. As these are counted elsewhere, a pair that a file repeats counts as often, and is tested even
where an earlier row is for training ("given rows"); "held out" are the others alone. The baseline is the stage that looks at
TF-IDF, number and length similarities of the attributes. "No labels" are matches and others assumed by the stages, tested on
all given test rows at the threshold that is published without labels. With shared columns, artists, authors, brands and the
like are entities of their own, and an aligner of neighbourhoods is trained where torch is installed. CPU seconds are those of
all stages after the import, training, and scoring of all candidates.

Published F1: DeepMatcher 88.5, 98.4, 67.6 and 62.8, a fine-tuned language model about 97, 99, 87 and 89.

Sets that no setting was chosen on: raw DBLP-ACM with papers, authors and venues, of which known pairs of papers alone are
split; and DBP15K Chinese-English with 30 % of its links known and half of the names left out. Others are candidates of the
entities of known pairs, ten for each.
"""

import argparse
import csv
import importlib.util
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.inputs.graphs_tables import SharedColumn
from fingerpost.tasks.kg.calibrated_scores import CalibrationParams
from fingerpost.tasks.kg.decisions import average_precision
from fingerpost.tasks.kg.one_to_one import AssignmentParams
from fingerpost.tasks.kg.open import read_calibration
from fingerpost.tasks.kg.scorer import ScorerParams
from fingerpost.tasks.kg.stages.decisions import calibrate_alignment
from fingerpost.tasks.kg.stages.scoring_inputs import open_scorer, read_stack
from tests.bench.kg_further import FURTHER, further
from tests.bench.kg_sets import BARS, MATCHING, Alignment, block, compare, learn, score, tables_of, train
from tests.bench.results import print_table, write_rows
from tests.data import data_file
from tests.support.pair_thresholds import f1_at, published_threshold

#: Columns whose values are entities in the variant with an aligner.
SHARED = {
    "itunes-amazon": (SharedColumn("Artist_Name"), SharedColumn("Album_Name"), SharedColumn("Genre", ",")),
    "dblp-acm": (SharedColumn("authors", ","), SharedColumn("venue")),
    "walmart-amazon": (SharedColumn("brand"), SharedColumn("category")),
}


@dataclass(frozen=True)
class GivenRows:
    """Every row of a file of labelled pairs: pairs int64 (m, 2), labels, and splits as the file names them."""

    pairs: NDArray[np.int64]
    labels: NDArray[np.int64]
    splits: NDArray[np.str_]

    @staticmethod
    def of(alignment: Alignment, name: str) -> "GivenRows":
        """Those of a Magellan set."""
        places = []
        for side in ("left", "right"):
            graph = alignment.env.store.open(alignment.made[side], contracts.GRAPH)
            places.append({key: row for row, key in enumerate(graph.read("entities")["id"].to_pylist())})
        with open(data_file(f"matching/{name}", "pairs.csv"), encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        pairs = [(places[0][row["left_id"]], places[1][row["right_id"]]) for row in rows]
        labels = np.array([int(row["label"]) for row in rows])
        return GivenRows(np.array(pairs), labels, np.array([row["split"] for row in rows]))

    def figures(self, scores: NDArray[np.floating]) -> dict[str, float]:
        """F1 and PRAUC, in percent, on test rows."""
        validation, test = self.splits == "valid", self.splits == "test"
        threshold = published_threshold(self.labels[validation], scores[validation])
        return {
            "f1": 100 * f1_at(self.labels[test], scores[test], threshold),
            "prauc": 100 * average_precision(self.labels[test], scores[test]),
        }


def measure_set(name: str, folder: Path, seeds: int) -> list[dict[str, Any]]:
    """The baseline and the scorer on one set, at the given rows and at the held out pairs."""
    alignment = tables_of(folder, name)
    block(alignment)
    compare(alignment)
    given = GivenRows.of(alignment, name)
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    for seed in range(seeds):
        learn(alignment, seeded(seed))
        if not seed:
            score(alignment)
            seconds = sum(alignment.seconds.values())
        labelled = alignment.labelled()
        for method, scores in given_scores(alignment, given).items():
            found.setdefault((method, "given rows"), []).append(given.figures(scores))
            found.setdefault((method, "held out"), []).append(labelled.figures(method))
    rows = [
        {"dataset": name, "contender": method, "setting": f"{setting}, {seeds} seeds"} | mean(figures)
        for (method, setting), figures in found.items()
    ]
    rows[2] |= {"seconds": seconds, "bar": BARS[name]}
    return rows


def seeded(seed: int) -> ScorerParams:
    """The scorer's settings with another seed for its trees."""
    params = ScorerParams()
    return replace(params, boosting=replace(params.boosting, seed=100 * seed))


def mean(figures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each figure."""
    return {name: float(np.mean([some[name] for some in figures])) for name in figures[0]}


def given_scores(alignment: Alignment, given: GivenRows) -> dict[str, NDArray[np.float64]]:
    """Log odds of all given rows by the baseline and by the scorer."""
    members = alignment.made | {"links": alignment.made["labels"]}
    scorer = open_scorer(alignment.env.store, members)
    features = scorer.features(given.pairs)
    plain = read_stack(alignment.env.store, alignment.made["baseline"])
    columns = [scorer.names.index(name) for name in plain.names]
    return {"baseline": plain.log_odds(features[:, columns]), "scorer": scorer.log_odds(features)}


def measure_without_labels(name: str, folder: Path) -> dict[str, Any]:
    """The scorer trained on assumed pairs, at the threshold that is published then, on the given test rows."""
    alignment = tables_of(folder, name, labelled=False)
    block(alignment)
    compare(alignment)
    learn(alignment)
    score(alignment)
    roles = ("left", "right", "candidates", "scores", "labelled", "labels")
    alignment.run("calibration", calibrate_alignment, *roles, params=CalibrationParams(), assignment=AssignmentParams())
    given = GivenRows.of(alignment, name)
    calibration, threshold = read_calibration(alignment.env.store, alignment.made["calibration"])
    probabilities = calibration.probabilities(given_scores(alignment, given)["scorer"])
    test = given.splits == "test"
    row = {"dataset": name, "contender": "scorer, no labels", "setting": "given rows"}
    row |= {"f1": 100 * f1_at(given.labels[test], probabilities[test], threshold)}
    row |= {"prauc": 100 * average_precision(given.labels[test], probabilities[test])}
    return row | {"seconds": sum(alignment.seconds.values())}


def measure_shared(name: str, folder: Path) -> list[dict[str, Any]]:
    """With entities that rows share, without and with an aligner beside the trees."""
    alignment = tables_of(folder, name, SHARED[name])
    block(alignment, types=("row",))
    compare(alignment)
    rows = []
    for aligned in (False, True):
        roles = train(alignment) if aligned else ()
        learn(alignment, aligner=roles)
        score(alignment, ("structure", *(role for role in roles if role not in ("left", "right"))))
        labelled = alignment.labelled()
        seconds = sum(alignment.seconds.values())
        setting = f"held out, {'aligner' if aligned else 'no aligner'}"
        rows += [
            {"dataset": f"{name}, shared", "contender": method, "setting": setting} | labelled.figures(method)
            for method in labelled.scores
        ]
        rows[-1]["seconds"] = seconds
    return rows


def measure_further(name: str, folder: Path) -> list[dict[str, Any]]:
    """The baseline and the scorer on a set that no setting was chosen on."""
    alignment = further(name, folder)
    block(alignment)
    compare(alignment)
    learn(alignment)
    score(alignment)
    labelled = alignment.labelled()
    rows = [
        {"dataset": name, "contender": method, "setting": "test, untouched settings"} | labelled.figures(method)
        for method in labelled.scores
    ]
    rows[-1]["seconds"] = sum(alignment.seconds.values())
    return rows


def main() -> None:
    """Measure, print and write ``bench-results/kg_matching.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed, the two smallest sets")
    quick = parser.parse_args().quick
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("itunes-amazon", "abt-buy") if quick else MATCHING:
            found = measure_set(name, Path(folder) / name, 1 if quick else 3)
            found.append(measure_without_labels(name, Path(folder) / f"{name} unlabelled"))
            if name in SHARED and importlib.util.find_spec("torch") is not None:
                found += measure_shared(name, Path(folder) / f"{name} shared")
            print_table(found, f"Matching: {name}")
            rows += found
        for name in FURTHER[:1] if quick else FURTHER:
            found = measure_further(name, Path(folder) / name)
            print_table(found, f"Matching: {name}")
            rows += found
    print(f"written to {write_rows('kg_matching', rows, quick=quick)}")


if __name__ == "__main__":
    main()
