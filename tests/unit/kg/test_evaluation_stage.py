"""An evaluation of scored candidates whose truth is known, against figures counted one by one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from fingerpost.schemas import kg
from fingerpost.schemas.inputs.graphs import table_of
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.kg.evaluation import AlignmentEvaluationParams
from fingerpost.tasks.kg.one_to_one import AssignmentParams
from fingerpost.tasks.kg.stages.evaluation import evaluate_alignment
from tests.support.alignments_scored import artifact, graph, links
from tests.unit.kg.test_decision_stages import ENTITIES, World

Figures = dict[tuple[str, str, str], float]


class Measured(World):
    """A world in two types, with an alignment by structure that has every third entity's own pair."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, **options)
        self.types = ["even" if number % 4 < 2 else "odd" for number in range(ENTITIES)]
        names = [(f"k{number:04d}", kind, "") for number, kind in enumerate(self.types)]
        within = self.left == self.right
        self.left = graph(self.env, names)
        self.right = self.left if within else graph(self.env, [(f"r{key}", kind, name) for key, kind, name in names])
        rows = [(one, one, 0.5) for one in range(0, ENTITIES, 3)]
        self.structure = artifact(self.env, kg.STRUCTURE, {"pairs": table_of(kg.STRUCTURE.table("pairs"), rows)})

    def evaluate(self, assignment: str = "hungarian") -> Figures:
        ref: Ref = evaluate_alignment.execute(
            self.env,
            self.left,
            self.right,
            self.candidates,
            self.score_ref,
            self.labelled,
            self.link_ref,
            self.calibration,
            self.structure,
            roles=("structure",),
            params=AlignmentEvaluationParams(),
            assignment=AssignmentParams(assignment),
        )
        self.evaluation = ref
        rows = self.env.store.open(ref, kg.EVALUATION).read("figures").to_pylist()
        return {(row["method"], row["setting"], row["metric"]): row["value"] for row in rows}

    def of(self, split: str) -> list[tuple[int, int, int]]:
        return [(a, b, label) for a, b, label, own, _ in self.links if own == split]


def test_figures_of_given_pairs_are_those_of_the_labelled_scores(tmp_path: Path) -> None:
    made = Measured(tmp_path, negatives=2)
    made.calibrate()
    figures = made.evaluate()
    test = made.of("test")
    labels, scores = [label for *_, label in test], [made.scores[a, b] for a, b, _ in test]
    assert figures["scorer", "given", "prauc"] == pytest.approx(average_precision_score(labels, scores))
    kinds = [made.types[a] for a, *_ in test]
    even = [place for place, kind in enumerate(kinds) if kind == "even"]
    expected = average_precision_score([labels[place] for place in even], [scores[place] for place in even])
    assert figures["scorer", "given even", "prauc"] == pytest.approx(expected)
    # The baseline's scores are all equal.
    assert figures["baseline", "given", "prauc"] == pytest.approx(np.mean(labels))
    threshold = next(row["threshold"] for row in made.thresholds() if row["chosen"])
    quality = made.quality(made.evaluation)
    assert quality["tested"] == len(test)
    assert quality["positives"] == sum(labels)
    assert quality["f1"] == pytest.approx(figures["scorer", "given", "f1"], abs=1e-6)
    assert quality["matches_f1"] == pytest.approx(figures["matches", "given", "f1"], abs=1e-6)
    assert figures["scorer", "given", "f1_best"] >= figures["scorer", "given", "f1"] > 0.9
    assert threshold < 1


def test_decisions_are_measured_on_all_candidates_of_linked_entities(tmp_path: Path) -> None:
    made = Measured(tmp_path)
    made.calibrate()
    figures = made.evaluate()
    test = {(a, b) for a, b, _ in made.of("test")}
    # The decisions of training links alone: those of the whole matches but for the links of other splits.
    training = [row for row in made.links if row[3] == "training"]
    made.links = training
    made.link_ref = links(made.env, training)
    found = set(made.decide())
    touched = {(a, b) for a, b in found if a in {a for a, _ in test} or b in {b for _, b in test}}
    hits = len(touched & test)
    assert figures["matches", "linked", "precision"] == pytest.approx(hits / len(touched))
    assert figures["matches", "linked", "recall"] == pytest.approx(hits / len(test))
    assert figures["matches", "linked", "accepted"] == len(touched)
    assert ("scorer", "given", "prauc") not in figures
    by_type = [figures["matches", f"linked {kind}", "accepted"] for kind in ("even", "odd")]
    assert sum(by_type) == len(touched)


def test_ranks_are_among_all_entities_and_among_those_of_the_test(tmp_path: Path) -> None:
    made = Measured(tmp_path)
    made.calibrate()
    figures = made.evaluate()
    test = [a for a, *_ in made.of("test")]
    for setting, allowed in (("all entities", set(range(ENTITIES))), ("test entities", set(test))):
        ranks = [
            sum(value >= made.scores[one, one] for (a, b), value in made.scores.items() if a == one and b in allowed)
            for one in test
        ]
        assert figures["scorer", setting, "hits_at_1"] == pytest.approx(np.mean(np.array(ranks) == 1))
        assert figures["scorer", setting, "mrr"] == pytest.approx(np.mean(1 / np.array(ranks)))
        assert figures["structure", setting, "hits_at_1"] == pytest.approx(np.mean([one % 3 == 0 for one in test]))


def test_blocking_is_measured_by_what_it_finds(tmp_path: Path) -> None:
    made = Measured(tmp_path)
    made.calibrate()
    lost = sorted(made.of("test"))[0]
    del made.scores[lost[0], lost[1]]
    made.calibrate()
    figures = made.evaluate()
    count = len(made.of("test"))
    assert figures["blocking", "test", "recall"] == pytest.approx((count - 1) / count)
    assert figures["blocking", "all", "pairs"] == len(made.scores)
    assert figures["scorer", "all entities", "hits_at_10"] == pytest.approx((count - 1) / count)
    assert figures["matches", "linked", "recall"] < 1


def test_links_of_validation_change_no_figure_but_by_the_threshold(tmp_path: Path) -> None:
    one, other = Measured(tmp_path / "one"), Measured(tmp_path / "other")
    other.links = [row for row in other.links if row[3] != "validation"]
    found = []
    for made in (one, other):
        made.calibrate()
        found.append(made.evaluate())
    for method in ("scorer", "structure"):
        for metric in ("hits_at_1", "hits_at_10", "mrr"):
            assert found[0][method, "all entities", metric] == found[1][method, "all entities", metric]
    assert found[0]["scorer", "linked", "prauc"] == found[1]["scorer", "linked", "prauc"]


def test_without_test_links_blocking_alone_is_measured(tmp_path: Path) -> None:
    made = Measured(tmp_path)
    made.links = []
    made.calibrate()
    assert {method for method, *_ in made.evaluate()} == {"blocking"}
    assert made.quality(made.evaluation) == {"tested": 0.0, "positives": 0.0}


def test_one_table_is_measured_both_ways(tmp_path: Path) -> None:
    made = Measured(tmp_path, within=True, negatives=1)
    made.calibrate()
    figures = made.evaluate()
    test = [(a, b) for a, b, label in made.of("test") if label]
    ranks = []
    for a, b in test:
        values = [value for pair, value in made.scores.items() if a in pair]
        ranks.append(sum(value >= made.scores[a, b] for value in values))
    assert figures["scorer", "all entities", "hits_at_1"] == pytest.approx(np.mean(np.array(ranks) == 1))
    assert figures["scorer", "given", "prauc"] > 0.9
