"""Answers of a served threshold."""

from typing import Any

import numpy as np

from fingerpost.flows.domains.metric.endpoints import Group, Pair
from fingerpost.schemas import metric as contracts
from fingerpost.schemas.errors import InputError
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.schemas.wording import shown
from fingerpost.tasks.metric.calibrated import CalibratedThreshold
from fingerpost.tasks.metric.open import read_threshold
from fingerpost.tasks.metric.scores import prepared_rows


def opened(store: Store, ref: Ref) -> CalibratedThreshold:
    """The threshold of a release."""
    return read_threshold(store.open(ref, contracts.THRESHOLD))


def threshold(chosen: CalibratedThreshold, question: Group) -> dict[str, Any]:
    """The threshold, or that of a group of classes."""
    value, *interval = chosen.groups.get(question.group, (chosen.threshold, *chosen.interval))
    if question.group and question.group not in chosen.groups:
        known = ", ".join(chosen.groups) or "none"
        raise InputError(
            f"group: expected one with a threshold of its own ({known}), got {shown(question.group)}; leave it out"
        )
    return {
        "threshold": value,
        "interval": interval,
        "measure": chosen.measure,
        "rate": chosen.target.rate,
        "share": chosen.target.share,
        "model": chosen.model,
    }


def compare(chosen: CalibratedThreshold, question: Pair) -> dict[str, Any]:
    """Whether two vectors are of one class."""
    wanted = chosen.canaries.shape[1]
    for name, vector in (("left", question.left), ("right", question.right)):
        if len(vector) != wanted:
            raise InputError(f"{name}: expected {wanted} numbers, got {len(vector)}; embed with model {chosen.model}")
    try:
        left, right = prepared_rows([question.left, question.right], chosen.measure).astype(np.float64)
    except ValueError as problem:
        raise InputError(str(problem)) from problem
    least = chosen.of(question.group)
    score = float(left @ right) if chosen.measure == "cosine" else float(np.linalg.norm(left - right))
    same = score >= least if chosen.measure == "cosine" else score <= least
    return {"same": same, "score": score, "threshold": least, "measure": chosen.measure}
