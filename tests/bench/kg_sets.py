"""Sets of labelled pairs through the stages of an alignment, without a flow: what the benchmarks of matching run."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.inputs.graph_links import LinkFile, LinkSource
from fingerpost.schemas.inputs.graphs import GraphSource
from fingerpost.schemas.inputs.graphs_tables import SharedColumn, TableGraph
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.kg.aligner_params import AlignerParams
from fingerpost.tasks.kg.blocking import BlockingParams
from fingerpost.tasks.kg.boosting import BoostingParams
from fingerpost.tasks.kg.decisions import average_precision
from fingerpost.tasks.kg.held_out import PropagationParams
from fingerpost.tasks.kg.labels import LabelParams
from fingerpost.tasks.kg.neighborhoods import SamplingParams
from fingerpost.tasks.kg.pair_scorer import FeatureParams
from fingerpost.tasks.kg.pair_shards import PairShards
from fingerpost.tasks.kg.scorer import ScorerParams
from fingerpost.tasks.kg.splits import LinkParams
from fingerpost.tasks.kg.stages.aligner import train_aligner
from fingerpost.tasks.kg.stages.comparison import compare_pairs, fit_scorer, score_labelled, train_baseline
from fingerpost.tasks.kg.stages.inputs import import_graph, import_links
from fingerpost.tasks.kg.stages.labels import label_pairs
from fingerpost.tasks.kg.stages.neighborhoods import sample_neighborhoods
from fingerpost.tasks.kg.stages.rivals import find_rivals
from fingerpost.tasks.kg.stages.scores import score_pairs
from fingerpost.tasks.kg.stages.structure import align_structure
from fingerpost.tasks.kg.stages.terms import weigh_attributes
from fingerpost.tasks.kg.terms import TermParams
from tests.data import data_file
from tests.support.blocking import SIDES, blocked
from tests.support.pair_thresholds import f1_at, published_threshold
from tests.worlds import DAY

#: The sets of labelled pairs of two tables.
MATCHING = ("itunes-amazon", "dblp-acm", "walmart-amazon", "abt-buy")
#: The reference F1 of each that is to be reached, in percent.
BARS = dict(zip(MATCHING, (97.0, 98.7, 84.0, 83.0), strict=True))


@dataclass
class Alignment:
    """The artifacts of a set by role, and the CPU seconds of each stage that was run."""

    env: Environment
    made: dict[str, Ref]
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, role: str, stage: Any, *roles: str, **params: Any) -> Ref:
        """Runs a stage on artifacts of some roles."""
        begin = time.process_time()
        self.made[role] = stage.execute(self.env, *(self.made[one] for one in roles), **params)
        self.seconds[role] = self.seconds.get(role, 0.0) + time.process_time() - begin
        return self.made[role]

    def labelled(self) -> "Labelled":
        """The held-out scores."""
        return Labelled.read(self.env.store, self.made["labels"], self.made["labelled"])


@dataclass(frozen=True)
class Labelled:
    """Labels and splits of held-out pairs (m,), and the log odds of each method (m,)."""

    labels: NDArray[np.integer]
    splits: NDArray[np.object_]
    scores: Mapping[str, NDArray[np.float32]]

    @staticmethod
    def read(store: Store, links: Ref, labelled: Ref) -> "Labelled":
        """From the artifacts of labels and of their scores."""
        rows = store.open(links, contracts.LINKS).read("links")
        label = {
            (left, right): (value, split)
            for left, right, value, split in zip(
                *(rows[name].to_pylist() for name in ("left", "right", "label", "split")), strict=True
            )
        }
        scores = store.open(labelled, contracts.LABELLED).read("scores")
        methods = np.array(scores["method"].to_pylist(), dtype=object)
        names = list(dict.fromkeys(methods))
        mine = scores.filter(methods == names[0])
        found = [label[pair] for pair in zip(mine["left"].to_pylist(), mine["right"].to_pylist(), strict=True)]
        return Labelled(
            np.array([value for value, _ in found]),
            np.array([split for _, split in found], dtype=object),
            {name: scores.filter(methods == name)["score"].to_numpy() for name in names},
        )

    def figures(self, method: str) -> dict[str, float]:
        """F1 at the threshold of the best one to be expected by validation pairs, and PRAUC, in percent, on test pairs."""
        validation, test = self.splits == "validation", self.splits == "test"
        found = self.scores[method]
        threshold = published_threshold(self.labels[validation], found[validation])
        return {
            "f1": 100 * f1_at(self.labels[test], found[test], threshold),
            "prauc": 100 * average_precision(self.labels[test], found[test]),
        }


def tables_of(folder: Path, name: str, shared: tuple[SharedColumn, ...] = (), *, labelled: bool = True) -> Alignment:
    """The graphs of two tables with labelled pairs, committed in a store in a folder, and these pairs if ``labelled``."""
    env = Environment(Store(str(folder)).prepare(), name, DAY)
    left, right = (
        TableGraph(str(data_file(f"matching/{name}", f"{side}.csv")), id="id", shared=shared) for side in SIDES
    )
    mapping = (("left", "left_id"), ("right", "right_id"))
    pairs = LinkFile(str(data_file(f"matching/{name}", "pairs.csv")), mapping)
    return imported(env, left, right, *((pairs,) if labelled else ()))


def imported(env: Environment, left: GraphSource, right: GraphSource, *links: LinkSource, **splits: float) -> Alignment:
    """Two graphs and links from their sources; splits: settings of those that are not given."""
    found = Alignment(env, {})
    for side, source in zip(SIDES, (left, right), strict=True):
        found.made[side] = import_graph.execute(env, source, params=ImportParams(), side=side)
    both = found.made["left"], found.made["right"]
    found.made["links"] = import_links.execute(env, *both, *links, params=LinkParams(**splits))
    return found


def block(alignment: Alignment, *, types: tuple[str, ...] = ()) -> None:
    """Runs the stages up to the candidates; types: those that are aligned."""
    alignment.run("structure", align_structure, "left", "right", "links", params=PropagationParams())
    begin, made = time.process_time(), alignment.made
    graphs = (made["left"], made["right"], made["links"], made["structure"])
    made |= blocked(alignment.env, *graphs, blocking=BlockingParams(types=types))
    alignment.seconds["blocking"] = time.process_time() - begin


def compare(
    alignment: Alignment, features: FeatureParams = FeatureParams(), labels: LabelParams = LabelParams()
) -> None:
    """Runs the stages up to the features of labelled pairs."""
    pair = ("left", "right", "terms", "candidates")
    alignment.run("terms", weigh_attributes, "left", "right", params=TermParams(), rows_per_shard=16_384)
    alignment.run("rivals", find_rivals, *pair, "links", params=PairShards())
    alignment.run("labels", label_pairs, *pair, "rivals", "links", params=labels, splits=LinkParams())
    more = ("structure",) if features.structure else ()
    alignment.run("features", compare_pairs, *pair, "rivals", "labels", *more, params=features)


def learn(alignment: Alignment, scorer: ScorerParams = ScorerParams(), aligner: tuple[str, ...] = ()) -> None:
    """Trains the baseline and the scorer, and scores the labelled pairs; aligner: roles of what it needs, if there is one."""
    alignment.run("baseline", train_baseline, "features", "labels", params=BoostingParams())
    alignment.run("scorer", fit_scorer, "features", "labels", *aligner, roles=aligner, params=scorer)
    known = ("features", "labels", "baseline", "scorer")
    alignment.run("labelled", score_labelled, *known, *aligner, roles=aligner)


def train(alignment: Alignment) -> tuple[str, ...]:
    """Trains an aligner; the roles of what it needs."""
    for side in SIDES:
        alignment.run(f"{side}_neighborhoods", sample_neighborhoods, side, params=SamplingParams(), rows_per_shard=4096)
    inputs = [*SIDES, *(f"{side}_{part}" for part in ("neighborhoods", "vectors") for side in SIDES)]
    alignment.run("aligner", train_aligner, *inputs, "candidates", "labels", params=AlignerParams())
    return ("aligner", *inputs)


def score(alignment: Alignment, more: tuple[str, ...] = ("structure",)) -> None:
    """Scores all candidates."""
    roles = ("left", "right", "terms", "candidates", "rivals", "labels", "scorer")
    alignment.run("scores", score_pairs, *roles, *more, roles=more, params=PairShards())
