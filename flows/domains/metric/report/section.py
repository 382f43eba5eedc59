"""The section of a threshold and of embedders on the report and on the page of a run."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fingerpost.flows import domains
from fingerpost.flows.domains.metric import METRIC
from fingerpost.flows.domains.metric.report.consistency import Consistency, operating_points, read_consistency
from fingerpost.flows.domains.metric.report.embedder_plots import courses_svg, points_pair_svg, utility_pair_svg
from fingerpost.flows.domains.metric.report.embedders import Embedders, read_embedders
from fingerpost.flows.domains.metric.report.threshold_plots import operating_svg, utility_svg
from fingerpost.flows.report import formats
from fingerpost.flows.report.plots import Plot
from fingerpost.flows.report.reading import Attempts
from fingerpost.schemas.figures import significant
from fingerpost.schemas.store import Store


@dataclass(frozen=True)
class Contents:
    """A threshold on classes that it was not chosen on, and the embedders that were trained for it; None without them.

    ``imported``: rows and quarantined rows of each imported file, by its display name.
    """

    consistency: Consistency | None
    embedders: Embedders | None
    imported: dict[str, tuple[int, int]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def gather(store: Store, record: dict[str, Any]) -> Contents | None:
    """The contents of a run that imported a file for a threshold, trained embedders or tuned one; None for others."""
    attempt = Attempts()
    consistency = attempt(partial(read_consistency, store, record), None)
    embedders = attempt(partial(read_embedders, store, record), None)
    imported = _imported(record)
    if not (consistency or embedders or imported or attempt.problems):
        return None
    return Contents(consistency, embedders, imported, attempt.problems)


def plots(contents: Contents) -> dict[str, Plot]:
    """The plots of the measurements that the run has."""
    return _embedder_plots(contents.embedders) | _threshold_plots(contents.consistency)


def cards(contents: Contents) -> list[tuple[str, str]]:
    """Imported and quarantined embeddings; the threshold and its target rate."""
    shown, chosen = [], contents.consistency
    for title, (rows, quarantined) in contents.imported.items():
        shown.append((title, formats.count(rows)))
        shown.append((f"quarantined {title}", formats.count(quarantined)))
    if chosen is not None:
        shown.append(
            (
                f"threshold for {chosen.rate.upper()} {formats.percent(chosen.share)}",
                significant(chosen.threshold, 7),
            )
        )
    return shown


def _imported(record: dict[str, Any]) -> dict[str, tuple[int, int]]:
    files = [(stage, domains.imported_by(stage["stage"], stage.get("part", ""))) for stage in record["stages"]]
    return {
        file.title: (sum(stage["rows"].values()), int(stage["quality"]["quarantined"]))
        for stage, file in files
        if file is not None and file in METRIC.inputs
    }


def _embedder_plots(embedders: Embedders | None) -> dict[str, Plot]:
    if embedders is None:
        return {}
    return {
        "utility_pair": Plot(
            "Utility by class without and with TCM",
            "Utility over thresholds for each unseen class, without and with TCM",
            utility_pair_svg(embedders.curves),
            "Utility along the calibration range, one curve per unseen class, first seed: the closer the curves, the"
            " better one threshold serves all.",
        ),
        "points_pair": Plot(
            "Operating points without and with TCM",
            "False reject rate over false accept rate of each unseen class, without and with TCM",
            points_pair_svg(embedders.curves),
            "Error rates of each unseen class at the embedder's threshold.",
        ),
        "courses": Plot(
            "Training of embedders",
            "mAP@R of validation classes over training steps",
            courses_svg(embedders.checks),
            "Training ends where mAP@R of validation classes no longer grows; the best weights are kept.",
        ),
    }


def _threshold_plots(chosen: Consistency | None) -> dict[str, Plot]:
    if chosen is None:
        return {}
    drawn = len(chosen.drawn)
    some = f" ({formats.count(drawn)} of them)" if drawn < len(chosen.classes) - chosen.few else ""
    return {
        "utility": Plot(
            "Utility by class over thresholds",
            "Utility over thresholds for each class and their mean; the mean utility of the worst classes is in the"
            " table below",
            utility_svg(chosen.thresholds, chosen.drawn, chosen.mean, measure=chosen.measure, chosen=chosen.threshold),
            f"Utility over thresholds, one curve per class{some}: distant curves are classes that one threshold"
            " serves differently.",
        ),
        "operating": Plot(
            "Operating points of classes",
            "False reject rate over false accept rate of each class at the threshold; the table has the worst classes"
            " below",
            operating_svg(operating_points(chosen), rate=chosen.rate, share=chosen.share),
            "Error rates of each class at the threshold: down and to the left is better.",
        ),
    }
