"""The section of a threshold and of embedders on the report and on the page of a run."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from flows.domains.metric import METRIC
from flows.domains.metric.report.consistency import Consistency, operating_points, read_consistency
from flows.domains.metric.report.embedder_plots import courses_svg, points_pair_svg, utility_pair_svg
from flows.domains.metric.report.embedders import Embedders, read_embedders
from flows.domains.metric.report.threshold_plots import operating_svg, utility_svg
from flows.report import formats
from flows.report.plots import Plot
from flows.report.reading import Attempts, quality_of
from schemas.store import Store

_INPUT = METRIC.inputs[0]


@dataclass(frozen=True)
class Contents:
    """A threshold on classes that it was not chosen on, and the embedders that were trained for it; None without one.

    ``imported`` has the quality figures of an imported file of embeddings.
    """

    consistency: Consistency | None
    embedders: Embedders | None
    imported: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def gather(store: Store, record: dict[str, Any]) -> Contents | None:
    """The contents of a run that imported embeddings, trained embedders or tuned a threshold; None where it did none."""
    attempt = Attempts()
    consistency = attempt(partial(read_consistency, store, record), None)
    embedders = attempt(partial(read_embedders, store, record), None)
    imported = quality_of(record, _INPUT.artifact, part=_INPUT.part)
    if not (consistency or embedders or imported or attempt.problems):
        return None
    return Contents(consistency, embedders, imported, attempt.problems)


def plots(contents: Contents) -> dict[str, Plot]:
    """The plots that there are figures for."""
    return _embedder_plots(contents.embedders) | _threshold_plots(contents.consistency)


def cards(contents: Contents) -> list[tuple[str, str]]:
    """Imported and quarantined embeddings; the threshold, and the rate that it is to keep."""
    shown, chosen = [], contents.consistency
    if contents.imported:
        shown.append(("embeddings", formats.count(contents.imported["documents"])))
        shown.append(("quarantined embeddings", formats.count(contents.imported["quarantined"])))
    if chosen is not None:
        shown.append(
            (f"threshold for {chosen.rate.upper()} {formats.percent(chosen.share)}", f"{chosen.threshold:.4f}")
        )
    return shown


def _embedder_plots(embedders: Embedders | None) -> dict[str, Plot]:
    if embedders is None:
        return {}
    return {
        "utility_pair": Plot(
            "Utility by class without and with TCM",
            "Utility over thresholds for each unseen class, without and with TCM",
            utility_pair_svg(embedders.curves),
            "Utility along the calibration range, a curve an unseen class, of the first seed: the closer the curves, the"
            " better one threshold serves all.",
        ),
        "points_pair": Plot(
            "Operating points without and with TCM",
            "False reject rate over false accept rate of each unseen class, without and with TCM",
            points_pair_svg(embedders.curves),
            "What each unseen class gets at the embedder's threshold.",
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
            f"Utility along the calibration range, a curve a class{some}: curves apart are classes that one threshold"
            " serves differently.",
        ),
        "operating": Plot(
            "Operating points of classes",
            "False reject rate over false accept rate of each class at the threshold; the worst classes are in the table"
            " below",
            operating_svg(operating_points(chosen), rate=chosen.rate, share=chosen.share),
            "What each class gets at the threshold: down and to the left is better.",
        ),
    }
