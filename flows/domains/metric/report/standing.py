"""How a threshold and its embedder stand: beside an embedder without TCM, and over runs."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fingerpost.flows.domains.metric.report.embedders import COLUMNS, SIDES
from fingerpost.flows.domains.metric.report.section import Contents
from fingerpost.flows.report.baselines import Beside
from fingerpost.flows.report.reading import metrics_of
from fingerpost.schemas import metric


def beside(contents: Contents) -> list[Beside]:
    """The consistency of the embedder in use beside that of one trained without TCM, where it is another one."""
    trained = contents.embedders
    if trained is None or trained.taken[0] != "with" or len(trained.figures) < 2:
        return []
    ours, theirs = (float(np.mean(trained.figures[side]["opis"])) for side in ("with", "without"))
    return [Beside("embedder", COLUMNS["opis"], ours, SIDES["without"], theirs, rising=False)]


def trends(record: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Error rates of the threshold on classes that it was not chosen on."""
    return metrics_of(record, metric.THRESHOLD.name, {"test_far": "threshold: FAR", "test_frr": "threshold: FRR"})
