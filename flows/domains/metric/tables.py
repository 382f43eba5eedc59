"""Thresholds as tables and text for the terminal. Imports no Prefect."""

from typing import Any

from fingerpost.flows.run.console import TextConsole, TextTable, table_of, wide_console
from fingerpost.schemas.figures import percentage, significant

_LEAST = {"cosine": "a cosine similarity of at least", "euclidean": "a Euclidean distance of at most"}
_RATES = {"far": "FAR", "frr": "FRR"}


def show_choice(result: dict[str, Any], worst: int) -> None:
    """Prints a threshold chosen on a file, its rates on other classes, and the worst of these."""
    console, rate, share = wide_console(), result["target"]["rate"], result["target"]["share"]
    on, test = result["chosen_on"], result["tested_on"]
    console.tell(
        (f"threshold {_number(result['threshold'])}", "bold"),
        f": {_LEAST[result['measure']]} that, for {_RATES[rate]} {percentage(share)}{_kept(result['kept'])};"
        f" {_interval(result['interval'], result['level'])}",
    )
    _show_cautions(console, result["cautions"])
    table = _table("rates", "classes", "rows", "FAR", "FRR")
    where = "other classes" if test["other_classes"] else "the same classes"
    table.add_row("where it was chosen", *_counts(on), percentage(on["far"]), percentage(on["frr"]))
    table.add_row(where, *_counts(test), percentage(test["far"]), percentage(test["frr"]))
    console.print(table)
    console.tell(f"{_RATES[rate]} of classes left out one by one while choosing: {percentage(on['held_out'])}")
    retrieval = (
        "" if test["recall_at_1"] is None else f"; recall@1 {test['recall_at_1']:.4f}, mAP@R {test['map_at_r']:.4f}"
    )
    console.tell(
        f"{where}: equal error rate {percentage(test['equal_error'])}{retrieval}; OPIS {significant(test['opis'], 3)} (worst classes"
        f" {significant(test['worst_opis'], 3)})",
    )
    if result["unlabelled"]:
        console.tell(f"{result['unlabelled']:,} row(s) without a label were left out")
    table = _table(f"worst classes by {_RATES[rate]}", "FAR", "FRR", "positive pairs", "negative pairs")
    for row in result["worst"][:worst]:
        table.add_row(
            row["name"],
            percentage(row["far"]),
            percentage(row["frr"]),
            f"{row['positives']:,}",
            f"{row['negatives']:,}",
        )
    console.print(table)
    if result["groups"]:
        console.print(_groups(result["groups"], _RATES[rate], test["other_classes"]))


def _show_cautions(console: TextConsole, cautions: list[str]) -> None:
    for caution in cautions:
        console.tell(("not safely met:", "yellow"), f" {caution}")


def _groups(rows: list[dict[str, Any]], rate: str, other: bool) -> TextTable:
    """Groups of classes: the threshold of each, and their rates by the common threshold and by their own."""
    where = "other classes" if other else "the same"
    table = _table(
        "groups",
        "classes",
        f"{rate} on these",
        "own threshold",
        "interval",
        where,
        f"{rate}",
        f"{rate} by its own",
        "differs",
    )
    for row in rows:
        ends = row["interval"]
        table.add_row(
            row["name"],
            f"{row['classes']:,}",
            percentage(row["rate"]),
            "too few" if ends is None else _number(row["threshold"]),
            "–" if ends is None else f"{ends[0]:.4f} to {ends[1]:.4f}",
            f"{row['test_classes']:,}",
            percentage(row["test_rate"]),
            percentage(row["own_test_rate"]),
            "yes" if row["worth"] else "no",
        )
    return table


def show_migration(result: dict[str, Any], worst: int) -> None:
    """Prints a threshold migrated to another model, compared with the old one."""
    console, rate = wide_console(), result["matched"]
    before, after = result["before"], result["after"]
    console.tell(
        (f"threshold {_number(after['threshold'])}", "bold"),
        f" of {result['to']}: {_LEAST[result['measure']]} that; {_interval(after['interval'], result['level'])}; it has"
        f" at most the {_RATES[rate]} of {_number(before['threshold'])} of {result['from']}{_kept(after['kept'])}",
    )
    table = _table("model", "threshold", "FAR", "FRR")
    for name, side in ((result["from"], before), (result["to"], after)):
        table.add_row(name, _number(side["threshold"]), percentage(side["far"]), percentage(side["frr"]))
    console.print(table)
    left = result["only_in_from"], result["only_in_to"]
    console.tell(
        f"compared on {result['rows']:,} rows; left out are {left[0]:,} of the old and {left[1]:,} of the new model",
    )
    table = _table(f"classes whose {_RATES[rate]} changes most", "before", "after")
    for row in result["changes"][:worst]:
        table.add_row(row["name"], percentage(row["before"]), percentage(row["after"]))
    console.print(table)


def show_live(result: dict[str, Any]) -> None:
    """Prints a published threshold, and the check of a file's vectors against its model."""
    console, rate = wide_console(), result["target"]["rate"]
    console.tell(
        (f"threshold {_number(result['threshold'])}", "bold"),
        f": {_LEAST[result['measure']]} that, for {_RATES[rate]} {percentage(result['target']['share'])};"
        f" interval {result['interval'][0]:.4f} to {result['interval'][1]:.4f}",
    )
    console.tell(
        f"on {result['test_classes']} classes that it was not chosen on: FAR {percentage(result['test_far'])}, FRR"
        f" {percentage(result['test_frr'])}"
    )
    _show_cautions(console, result["cautions"])
    for name, (own, low, high) in result["groups"].items():
        console.tell(f"of group {name}: {_number(own)}, interval {low:.4f} to {high:.4f}")
    console.tell(f"of model {result['model']}; vectors of another model need their own threshold")
    if checked := result.get("checked"):
        rates = (
            f"; on these FAR {percentage(checked['far'])}, FRR {percentage(checked['frr'])}" if "far" in checked else ""
        )
        console.tell(
            f"{checked['input']}: {checked['canaries_compared']} canaries compared, the vectors are of that"
            f" model{rates}",
        )
    console.tell(result["ref"], style="dim")


def _counts(side: dict[str, Any]) -> tuple[str, str]:
    return f"{side['classes']:,}", f"{side['rows']:,}"


def _interval(ends: list[float], level: float) -> str:
    return f"{percentage(level)} interval {ends[0]:.4f} to {ends[1]:.4f}"


def _number(threshold: float) -> str:
    """A threshold with as many digits as it was chosen to: rates are told of this very number."""
    return significant(threshold, 7)


def _kept(kept: bool) -> str:
    return "" if kept else " which no threshold keeps"


def _table(first: str, *others: str) -> TextTable:
    table = table_of("", first, *(f"{name}>" for name in others))
    table.columns[0].max_width = 80
    for column in table.columns[1:]:
        column.no_wrap = True
    return table
