"""The page of a run in Prefect's UI: stages, quality, gates, quarantine, cost, plots and lineage.

Keys contain flow and collection, so that the UI keeps the versions of each over time. Nothing here can fail a run.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from prefect.artifacts import create_markdown_artifact
from prefect.context import FlowRunContext

from fingerpost.flows.report.contents import Contents, gather
from fingerpost.flows.report.plots import data_uri, on_white
from fingerpost.flows.run.lineage import Lineage, ends_of, lineage_of, table_rows
from fingerpost.flows.run.lineage_picture import alternative, as_svg
from fingerpost.flows.run.loggers import warn
from fingerpost.flows.run.markdown import code, escaped, table, table_of_rows
from fingerpost.flows.run.server import serving
from fingerpost.schemas.figures import percentage
from fingerpost.schemas.store import Store
from fingerpost.schemas.urls import without_credentials
from fingerpost.tasks.ledger import full_name

_log = logging.getLogger("fingerpost.run_page")


def prefect_run() -> dict[str, Any]:
    """The running flow as Prefect knows it: id, attempt, whether a schedule started it, whether Prefect would retry it.

    Empty outside of a flow.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return {}
    running_flow = context.flow_run
    retries = context.flow.retries or 0 if context.flow else 0
    return {
        "id": str(running_flow.id),
        "attempt": running_flow.run_count,
        "scheduled": bool(running_flow.auto_scheduled),
        "tried_again": running_flow.run_count <= retries,
    }


def show_run(store: Store, record: Mapping[str, Any]) -> None:
    """Shows a run's record on the page of the running flow; does nothing outside of a flow."""
    if FlowRunContext.get() is None:
        return
    words = f"{record['flow']} of {record['collection']}, {record['day']}: {record['state']}"
    for part in (_show_stages, _show_quality, _show_summary, _show_lineage, _show_days):
        try:
            part(store, dict(record), words)
        except Exception as problem:
            # A page that cannot be drawn must not fail a run whose results are computed.
            warn(_log, f"the page of run {record['id']} lacks a part", problem)


def artifact_key(part: str, record: Mapping[str, Any]) -> str:
    """The key of a part of the page: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", f"{part} {record['flow']} {record['collection']}".lower()).strip("-")


def show_table(rows: Sequence[dict[str, Any]], *, key: str, description: str) -> None:
    """Shows rows as a Markdown table.

    Not as Prefect's table artifact: its older UI takes the cells for Markdown, its newer one for plain text, so no text
    would be shown alike, and safely, in both.
    """
    create_markdown_artifact(markdown=table_of_rows(rows), key=key, description=escaped(description))


def _show_stages(store: Store, record: dict[str, Any], words: str) -> None:
    if rows := stage_rows(record):
        show_table(rows, key=artifact_key("stages", record), description=words)


def _show_quality(store: Store, record: dict[str, Any], words: str) -> None:
    if rows := quality_rows(record):
        show_table(rows, key=artifact_key("quality", record), description=words)


def _show_summary(store: Store, record: dict[str, Any], words: str) -> None:
    contents = gather(store, record)
    markdown = summary(record, contents, plots(contents))
    create_markdown_artifact(markdown=markdown, key=artifact_key("run", record), description=escaped(words))


def _show_lineage(store: Store, record: dict[str, Any], words: str) -> None:
    if record["stages"]:
        pages = [lineage_page(lineage_of(store, ref, record)) for ref in ends_of(record)]
        key = artifact_key("lineage", record)
        create_markdown_artifact(markdown="\n".join(pages), key=key, description=escaped(words))


def _show_days(store: Store, record: dict[str, Any], words: str) -> None:
    # Imported here: days are planned by what runs are made of.
    from fingerpost.flows.run.days_page import show_days
    from fingerpost.flows.run.runtime import backfilling

    # The server of a run has no pages, and a backfill shows its days at its end.
    if not serving() and not backfilling.get():
        show_days(store, record["flow"], record["collection"])


def show_waiting_day(store: Store, flow: str, collection: str, day: str) -> None:
    """Renews the calendar of a run's collection as its day begins to wait; does nothing outside of a flow."""
    from fingerpost.flows.run.days_page import show_days

    if FlowRunContext.get() is None or serving():
        return
    try:
        show_days(store, flow, collection, also=[day])
    except Exception as problem:
        warn(_log, f"the calendar of {collection} is not renewed", problem)


def stage_rows(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The stages: reused or run, why, rows, seconds, peak memory."""
    return [
        {
            "stage": full_name(stage["stage"], stage.get("part", "")),
            "result": "ran" if stage["computed"] else "reused",
            "why": stage["reason"],
            "rows": sum(stage["rows"].values()),
            "seconds": stage["seconds"],
            "peak MB": stage["peak_mb"] or "",
            "shards run": stage["shards_run"] or "",
            "shards resumed": stage["shards_resumed"] or "",
        }
        for stage in record["stages"]
    ]


def quality_rows(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every quality metric: stage, metric, value."""
    return [
        {
            "stage": full_name(stage["stage"], stage.get("part", "")),
            "figure": name,
            "value": value if not isinstance(value, Mapping | list) else str(value),
        }
        for stage in record["stages"]
        for name, value in stage["quality"].items()
    ]


def summary(record: Mapping[str, Any], contents: Contents, pictures: Sequence[tuple[str, str]]) -> str:
    """The page's main part: state, publication and gates, quarantine, results, cost, plots."""
    parts = [
        f"# {escaped(record['flow'])} of {escaped(record['collection'])}, {record['day']}",
        f"**{record['state']}** after {record['seconds']:,.1f} s, run `{record['id']}`, profile"
        f" {code(record['profile'])}."
        + (f"\n\n> {escaped(without_credentials(record['error']))}" if record["error"] else ""),
        *(f"**{escaped(str(one))}.**" for one in contents.below),
        *(escaped(note) for note in record.get("notes", ())),
        "## Publication",
        _publication(record),
        "## Quarantine",
        _quarantine(contents),
    ]
    for section in contents.sections:
        for shown in section.tables:
            parts += [f"## {escaped(shown.title)}", table(shown.head, shown.rows)]
    if cost := record.get("accuracy"):
        parts += ["## Cost: expected and actual", _cost(cost)]
    if pictures:
        parts += ["## Plots", *(f"### {title}\n\n![{title}]({uri})" for title, uri in pictures)]
    if contents.problems:
        parts += ["## Not shown", *(f"- {escaped(problem)}" for problem in contents.problems)]
    return "\n\n".join(parts) + "\n"


def plots(contents: Contents) -> list[tuple[str, str]]:
    """The plots of every domain's section: title, data URI."""
    return [
        (plot.title, data_uri(on_white(plot.svg))) for section in contents.sections for plot in section.plots.values()
    ]


def lineage_page(lineage: Lineage) -> str:
    """The lineage as a picture and as a table."""
    rows = table(("what", "day", "rows", "in this run", "made of"), table_rows(lineage))
    live = f"Live as {escaped(', '.join(lineage.live))}." if lineage.live else "Not live."
    picture = f"![{escaped(alternative(lineage))}]({data_uri(as_svg(lineage))})"
    return f"Lineage of {code(lineage.target)}. {live}\n\n{picture}\n\n{rows}\n"


def _publication(record: Mapping[str, Any]) -> str:
    gates = table(("gate", "holds"), [(gate["gate"], _verdict(gate)) for gate in record["gates"]], bold="no")
    moves = record.get("publications") or ([record["publication"]] if record["publication"] else [])
    if moves:
        said = " ".join(
            f"`{move['ref']}` is live, generation {move['generation']}, since {move['at']}"
            + (f" ({escaped(move['reason'])})." if move.get("reason", "").startswith("despite ") else ".")
            for move in moves
        )
    else:
        said = (
            "Nothing new is live: a gate was missed, or a later day is live."
            if record["gates"]
            else "This run published nothing."
        )
    return f"{said}\n\n{gates}" if record["gates"] else said


def _verdict(gate: Mapping[str, Any]) -> str:
    if gate["holds"]:
        return "yes"
    return f"no, accepted: {gate['accepted']}" if gate.get("accepted") else "no"


def _quarantine(contents: Contents) -> str:
    """Rows, fraction and reasons per input; reasons and counts alone, since the rows are the user's data."""
    parts = []
    for quarantine in contents.quarantines:
        share = "" if quarantine.share is None else f" ({percentage(quarantine.share)} of the input)"
        parts.append(f"{escaped(quarantine.title)}: {quarantine.rows:,} rows were quarantined{share}.")
        if quarantine.reasons:
            parts.append(table(("reason", "rows"), quarantine.reasons.items()))
    return "\n\n".join(parts) or "No record of quarantined rows."


def _cost(cost: Mapping[str, float]) -> str:
    rows = [
        (
            title,
            f"{cost[f'expected_{key}'] / unit:,.1f}",
            f"{cost[key] / unit:,.1f}",
            _ratio(cost[key], cost[f"expected_{key}"]),
        )
        for title, key, unit in (("seconds", "seconds", 1), ("peak MB", "peak_mb", 1), ("MB stored", "bytes", 1e6))
    ]
    return (
        f"Over {cost['stages']} stages that ran and had run"
        f" before.\n\n{table(('', 'expected', 'actual', 'actual / expected'), rows)}"
    )


def _ratio(actual: float, expected: float) -> str:
    return f"{actual / expected:.2f}" if expected else ""
