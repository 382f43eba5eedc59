"""Assessment of one model: a threshold chosen on validation classes, and its error rates and OPIS on test classes.

Source: Zhang et al., "Threshold-Consistent Margin Loss for Open-World Deep Metric Learning", ICLR 2024
(arXiv 2307.04047).
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.tasks.metric.groups import group_columns, group_members, group_rate, group_thresholds
from fingerpost.tasks.metric.opis import CalibrationRange, OpisParams, OpisReport, opis
from fingerpost.tasks.metric.pairs import PairHistograms
from fingerpost.tasks.metric.recount import Recount, counted_at, covering, refined
from fingerpost.tasks.metric.threshold_warnings import cannot_be_kept, threshold_warnings
from fingerpost.tasks.metric.thresholds import (
    Target,
    ThresholdChoice,
    choose_threshold,
    class_rates,
    equal_error,
    fnmr_at_fmr,
    side,
)


@dataclass(frozen=True)
class AssessmentParams:
    """Parameters of an assessment.

    target: the global rate that the threshold keeps. over: calibration range of OPIS; rates are measured on validation
    classes. opis: parameters of OPIS. level: confidence level of the intervals. fmr: the FMRs at which FNMR is
    reported. least_group_classes: minimum number of validation classes of a group with a threshold of its own.
    """

    target: Target = field(default_factory=lambda: Target("far", 0.01))
    over: CalibrationRange = field(default_factory=CalibrationRange)
    opis: OpisParams = field(default_factory=OpisParams)
    level: float = 0.95
    fmr: tuple[float, ...] = (0.001, 0.01, 0.1)
    least_group_classes: int = 5


@dataclass(frozen=True)
class Assessment:
    """The result of an assessment.

    figures: (method, setting, metric, value). classes: columns by name, one row per test class. curves: arrays by name.
    quality: the values that gates check. groups: columns by name, one row per group of classes; empty without groups.
    """

    figures: list[tuple[str, str, str, float]]
    classes: dict[str, list[Any]]
    curves: dict[str, NDArray[np.generic]]
    quality: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, list[Any]] = field(default_factory=dict)


def assess(
    validation: PairHistograms,
    test: PairHistograms,
    params: AssessmentParams,
    groups: tuple[ArrayLike, ArrayLike] | None = None,
    *,
    recounts: tuple[Recount, Recount] | None = None,
) -> Assessment:
    """Chooses threshold and calibration range on validation classes and measures test classes; both may be the same.

    groups: group of each validation class and of each test class, "" for none. recounts: how the pairs of either are
    counted again, for a threshold between the ends of bins; without them both must have been counted in the same bins,
    whose ends are the only thresholds. ValueError if the two sets of pairs were scored by different measures.
    """
    if validation.bins.measure != test.bins.measure:
        raise ValueError(f"test pairs: expected {validation.bins.measure}, got {test.bins.measure}; count both alike")
    if recounts is not None:
        validation, test = _recounted(validation, test, params, groups, recounts)
    choice = choose_threshold(validation, params.target, level=params.level)
    report = opis(test, params.over.fixed(validation), params.opis)
    rates = class_rates(test, choice.threshold)
    threshold, rate = equal_error(test)
    figures = _threshold_figures(choice) + _opis_figures(report)
    figures += [("threshold", "test", "far", rates.global_far), ("threshold", "test", "frr", rates.global_frr)]
    figures += [("equal error", "test", "threshold", threshold), ("equal error", "test", "rate", rate)]
    for fmr, fnmr in zip(params.fmr, fnmr_at_fmr(test, params.fmr), strict=True):
        figures.append((f"fnmr at fmr {fmr:g}", "test", "fnmr", fnmr))
    role = {few.name: "few" for few in report.few} | dict.fromkeys(report.worst, "worst")
    names = [str(name) for name in test.names]
    classes: dict[str, list[Any]] = {
        "name": names,
        "positives": rates.positives.tolist(),
        "negatives": rates.negatives.tolist(),
        "far": rates.far.tolist(),
        "frr": rates.frr.tolist(),
        "utility": report.utility.mean(axis=1).tolist(),
        "role": [role.get(name, "") for name in names],
    }
    quality = {
        "threshold": choice.threshold,
        "threshold_low": choice.interval[0],
        "threshold_high": choice.interval[1],
        "far": rates.global_far,
        "frr": rates.global_frr,
        "opis": report.opis,
        "worst_opis": report.worst_opis,
        "equal_error": rate,
        "classes": len(names),
        "classes_with_few_pairs": len(report.few),
        "measure": test.bins.measure,
        "kept": choice.kept,
        "target_pairs": int(side(validation, params.target)[2].sum()) // (2 if params.target.rate == "far" else 1),
        "cautions": threshold_warnings(validation, choice, rates)
        + _groups_not_kept(validation, params, groups, choice),
    }
    curves: dict[str, NDArray[np.generic]] = {"thresholds": report.thresholds, "utility": report.utility}
    rows = (
        {}
        if groups is None
        else group_columns(
            (validation, test), groups, choice, level=params.level, least_classes=params.least_group_classes
        )
    )
    if rows:
        quality |= {"groups": len(rows["name"]), "groups_worth": sum(map(bool, rows["worth"]))}
    return Assessment([figure for figure in figures if not math.isnan(figure[3])], classes, curves, quality, rows)


def _recounted(
    validation: PairHistograms,
    test: PairHistograms,
    params: AssessmentParams,
    groups: tuple[ArrayLike, ArrayLike] | None,
    recounts: tuple[Recount, Recount],
) -> tuple[PairHistograms, PairHistograms]:
    """Both histograms with bins so narrow, and counts at such thresholds, as the assessment needs."""
    target, least = params.target, params.least_group_classes
    first, second = recounts
    validation = covering(refined(validation, target, first), params.over, first)
    large: list[NDArray[np.int64]] = []
    if groups is not None:
        members = group_members(validation, groups[0], target, least_classes=least)
        large = [own for own in members.values() if len(own) >= least]
    for own in large:
        validation = refined(validation, target, first, classes=own)
    choice = choose_threshold(validation, target, level=params.level)
    thresholds = [choice.threshold]
    if groups is not None and large:
        found = group_thresholds(validation, groups[0], choice, level=params.level, least_classes=least)
        thresholds += [group.threshold for group in found.groups]
    test = covering(test, params.over.fixed(validation), second)
    return validation, counted_at(test, thresholds, second)


def _groups_not_kept(
    validation: PairHistograms,
    params: AssessmentParams,
    groups: tuple[ArrayLike, ArrayLike] | None,
    choice: ThresholdChoice,
) -> list[str]:
    """The warnings of groups of classes that no threshold keeps the target of."""
    if groups is None or params.target.rate != "far":
        return []
    least = params.least_group_classes
    found = group_thresholds(validation, groups[0], choice, level=params.level, least_classes=least).groups
    members = group_members(validation, groups[0], params.target, least_classes=least)
    return [
        cannot_be_kept(
            params.target.share, group_rate(validation, members[group.name], group.threshold, "far"), group.name
        )
        for group in found
        if not group.kept
    ]


def _threshold_figures(choice: ThresholdChoice) -> list[tuple[str, str, str, float]]:
    values = {
        "value": choice.threshold,
        "low": choice.interval[0],
        "high": choice.interval[1],
        "far": choice.rates.global_far,
        "frr": choice.rates.global_frr,
        f"held_out_{choice.target.rate}": choice.held_out,
    }
    return [("threshold", "validation", name, value) for name, value in values.items()]


def _opis_figures(report: OpisReport) -> list[tuple[str, str, str, float]]:
    out = [
        ("range", "validation", "from", float(report.thresholds[0])),
        ("range", "validation", "to", float(report.thresholds[-1])),
    ]
    for name, value, interval in (
        ("opis", report.opis, report.opis_interval),
        ("worst opis", report.worst_opis, report.worst_opis_interval),
    ):
        out.append((name, "test", "value", value))
        if interval is not None:
            out += [(name, "test", "low", interval[0]), (name, "test", "high", interval[1])]
    return out
