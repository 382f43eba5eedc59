"""Thresholds as people read them. Imports no Prefect."""

from typing import Any

from rich.console import Console
from rich.table import Table

from flows.run.console import wide_console

_LEAST = {"cosine": "a cosine similarity of at least", "euclidean": "a Euclidean distance of at most"}
_RATES = {"far": "FAR", "frr": "FRR"}


def show_choice(found: dict[str, Any], worst: int) -> None:
    """A threshold chosen on a file: what it is, what other classes get by it, the worst of them."""
    console, rate, share = wide_console(), found["target"]["rate"], found["target"]["share"]
    on, test = found["chosen_on"], found["tested_on"]
    console.print(
        f"[bold]threshold {found['threshold']:.4f}[/bold]: {_LEAST[found['measure']]} that, for {_RATES[rate]}"
        f" {_percent(share)}; {_interval(found['interval'], found['level'])}",
        soft_wrap=True,
    )
    _show_cautions(console, found["cautions"])
    table = _table("what it gives", "classes", "rows", "FAR", "FRR")
    told = "other classes" if test["other_classes"] else "the same classes"
    table.add_row("where it was chosen", *_counts(on), _percent(on["far"]), _percent(on["frr"]))
    table.add_row(told, *_counts(test), _percent(test["far"]), _percent(test["frr"]))
    console.print(table)
    console.print(
        f"{_RATES[rate]} of classes left out one by one while choosing: {_percent(on['held_out'])}", soft_wrap=True
    )
    retrieval = (
        "" if test["recall_at_1"] is None else f"; recall@1 {test['recall_at_1']:.4f}, mAP@R {test['map_at_r']:.4f}"
    )
    console.print(
        f"{told}: equal error rate {_percent(test['equal_error'])}{retrieval}; OPIS {test['opis']:.3g} (worst classes"
        f" {test['worst_opis']:.3g})",
        soft_wrap=True,
    )
    if found["unlabelled"]:
        console.print(f"{found['unlabelled']:,} row(s) without a label take no part", soft_wrap=True)
    table = _table(f"worst classes by {_RATES[rate]}", "FAR", "FRR", "positive pairs", "negative pairs")
    for row in found["worst"][:worst]:
        table.add_row(
            row["name"], _percent(row["far"]), _percent(row["frr"]), f"{row['positives']:,}", f"{row['negatives']:,}"
        )
    console.print(table)
    if found["groups"]:
        console.print(_groups(found["groups"], _RATES[rate], test["other_classes"]))


def _show_cautions(console: Console, cautions: list[str]) -> None:
    for caution in cautions:
        console.print(f"[yellow]not safely met:[/yellow] {caution}", soft_wrap=True)


def _groups(rows: list[dict[str, Any]], rate: str, other: bool) -> Table:
    """Groups of classes: what each would need, and what its classes get by the one threshold and by its own."""
    told = "other classes" if other else "the same"
    table = _table(
        "groups",
        "classes",
        f"{rate} there",
        "own threshold",
        "interval",
        told,
        f"{rate}",
        f"{rate} by its own",
        "worth it",
    )
    for row in rows:
        ends = row["interval"]
        table.add_row(
            row["name"],
            f"{row['classes']:,}",
            _percent(row["rate"]),
            "too few" if ends is None else f"{row['threshold']:.4f}",
            "–" if ends is None else f"{ends[0]:.4f} to {ends[1]:.4f}",
            f"{row['test_classes']:,}",
            _percent(row["test_rate"]),
            _percent(row["own_test_rate"]),
            "yes" if row["worth"] else "no",
        )
    return table


def show_migration(found: dict[str, Any], worst: int) -> None:
    """A threshold carried over to another model, beside the old one."""
    console, rate = wide_console(), found["matched"]
    before, after = found["before"], found["after"]
    console.print(
        f"[bold]threshold {after['threshold']:.4f}[/bold] of {found['to']}: {_LEAST[found['measure']]} that;"
        f" {_interval(after['interval'], found['level'])}; it has the {_RATES[rate]} of {before['threshold']:.4f} of"
        f" {found['from']}",
        soft_wrap=True,
    )
    table = _table("model", "threshold", "FAR", "FRR")
    for name, side in ((found["from"], before), (found["to"], after)):
        table.add_row(name, f"{side['threshold']:.4f}", _percent(side["far"]), _percent(side["frr"]))
    console.print(table)
    left = found["only_in_from"], found["only_in_to"]
    console.print(
        f"compared on {found['rows']:,} rows; left out are {left[0]:,} of the old model and {left[1]:,} of the new one",
        soft_wrap=True,
    )
    table = _table(f"classes whose {_RATES[rate]} moves most", "before", "after")
    for row in found["changes"][:worst]:
        table.add_row(row["name"], _percent(row["before"]), _percent(row["after"]))
    console.print(table)


def show_live(found: dict[str, Any]) -> None:
    """A published threshold, and what a file of vectors was found to be."""
    console, rate = wide_console(), found["target"]["rate"]
    console.print(
        f"[bold]threshold {found['threshold']:.4f}[/bold]: {_LEAST[found['measure']]} that, for {_RATES[rate]} "
        f"{_percent(found['target']['share'])}; interval {found['interval'][0]:.4f} to {found['interval'][1]:.4f}",
        soft_wrap=True,
    )
    console.print(
        f"on {found['test_classes']} classes that it was not chosen on: FAR {_percent(found['test_far'])}, FRR"
        f" {_percent(found['test_frr'])}"
    )
    _show_cautions(console, found["cautions"])
    for name, (own, low, high) in found["groups"].items():
        console.print(f"of group {name}: {own:.4f}, interval {low:.4f} to {high:.4f}", soft_wrap=True)
    console.print(f"of model {found['model']}; other vectors need another one", soft_wrap=True)
    if checked := found.get("checked"):
        rates = f"; on these FAR {_percent(checked['far'])}, FRR {_percent(checked['frr'])}" if "far" in checked else ""
        console.print(
            f"{checked['input']}: {checked['canaries_compared']} canaries compared, the vectors are of that"
            f" model{rates}",
            soft_wrap=True,
        )
    console.print(f"[dim]{found['ref']}[/dim]", soft_wrap=True)


def _counts(side: dict[str, Any]) -> tuple[str, str]:
    return f"{side['classes']:,}", f"{side['rows']:,}"


def _interval(ends: list[float], level: float) -> str:
    return f"{_percent(level)} interval {ends[0]:.4f} to {ends[1]:.4f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.3g} %"


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, overflow="fold", max_width=80)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table
