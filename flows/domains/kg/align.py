"""The `align` command: a run over two files or one, and what it found."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from fingerpost.flows.commands.options import pair
from fingerpost.flows.run.console import table_of, wide_console
from fingerpost.flows.run.plain_text import echo_json
from fingerpost.schemas.errors import UsageError
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store, find_store
from fingerpost.schemas.wording import cut

#: Matches that are shown, and the characters of a name.
_SHOWN = 10
_TEXT = 60
#: Test pairs below which figures say little.
_FEW = 20


@dataclass(frozen=True)
class Files:
    """The files of an alignment, as they are named on the command line."""

    left: Path | None
    right: Path | None
    within: Path | None
    links: Path | None
    reviewed: Path | None

    def settings(self) -> dict[str, Any]:
        """The settings that name the files; FingerpostError for files that do not fit together."""
        if (self.left is None) == (self.within is None):
            raise UsageError(
                "align: expected --left with --right, or --within, got"
                f" {'neither' if self.left is None else 'both'}; name two files, or one"
            )
        if self.within is not None and self.right is not None:
            raise UsageError("align: expected --within alone, got --right too; leave one of them out")
        if self.right is None and self.left is not None and not self.left.is_dir():
            raise UsageError(
                f"align: expected --right beside --left {self.left}, found none; name the other file, or give this one"
                " with --within"
            )
        files = {
            "left": self.left if self.left is not None else self.within,
            "right": self.right,
            "links": self.links,
            "reviewed": self.reviewed,
        }
        named = {f"kg.{setting}": str(path.absolute()) for setting, path in files.items() if path is not None}
        # What a collection remembers of an earlier run is not meant.
        absent = {f"kg.{setting}": "" for setting in ("right", "links", "reviewed")}
        return absent | named | {"kg.within": self.within is not None}

    @property
    def first(self) -> Path:
        """The file that names the collection."""
        first = self.left if self.left is not None else self.within
        assert first is not None
        return first


@dataclass(frozen=True)
class Run:
    """How the run is made, and where."""

    profile: str
    collection: str
    day: str
    future: bool
    store: str
    quiet: bool


def target_of(*, precision: float | None, accepted: int | None, far: float | None) -> dict[str, Any]:
    """The settings of the threshold's target; FingerpostError for more than one."""
    given = {"precision": precision, "accepted": accepted, "far": far}
    chosen = {name: value for name, value in given.items() if value is not None}
    if len(chosen) > 1:
        raise UsageError(
            f"align: expected one target, got {' and '.join(f'--{name}' for name in chosen)}; choose one of them"
        )
    return {
        f"kg.calibration.target.{key}": one
        for name, value in chosen.items()
        for key, one in (("name", name), ("value", value))
    }


def align(
    files: Files,
    run: Run,
    *,
    columns: tuple[str, ...],
    how: Mapping[str, Any],
    target: Mapping[str, Any],
    settings: tuple[str, ...],
    output: Path | None,
    as_json: bool,
) -> None:
    """Aligns, publishes, writes the matches to a file if one is named, and prints a summary."""
    from fingerpost.flows.domains.kg.matches import match_table, write_matches, writer_of

    named = files.settings()
    writer = writer_of(output) if output is not None else None
    mapped = dict(pair(text, "--map", "left=right") for text in columns)
    given = {
        **named,
        **{f"kg.{name}": value for name, value in how.items()},
        **({"kg.right_columns": mapped} if mapped else {}),
        **target,
        **dict(pair(text, "--set", "key=value") for text in settings),
    }
    from fingerpost.flows.run.server import own_server

    # The server starts up while the code of the flow is imported.
    with own_server():
        store, record = _run(files, run, given)
    matches = match_table(store, Ref.parse(record["refs"]["alignment"]))
    if writer is not None:
        write_matches(matches, writer)
    _tell(store, record, matches, output, advice=nameless(matches, how), as_json=as_json)


def _run(files: Files, run: Run, settings: Mapping[str, Any]) -> tuple[Store, dict[str, Any]]:
    """The store of the run and its record, with the path of its report."""
    from fingerpost.flows.run.collections import asked_profile
    from fingerpost.flows.run.request import RunRequest, collection_of
    from fingerpost.flows.run.start import run_flow
    from fingerpost.tasks.ledger import read_run

    store = Store(run.store or find_store())
    name = run.collection or collection_of(str(files.first))
    request = RunRequest.of(
        profile=asked_profile(run.profile, store=store.url, flow="align_graphs", collection=name),
        day=run.day,
        future=run.future,
        collection=name,
        store=store.url,
        settings=dict(settings),
    )
    report = run_flow("align_graphs", request, quiet=run.quiet)
    return store, {**read_run(store, Path(report).stem), "report": report}


def _tell(
    store: Store, record: Mapping[str, Any], matches: pa.Table, output: Path | None, *, advice: str, as_json: bool
) -> None:
    """Prints the first matches, the figures and what was estimated."""
    quality = store.manifest(Ref.parse(record["refs"]["alignment"])).quality
    if as_json:
        echo_json(
            {
                "collection": record["collection"],
                "alignment": record["refs"]["alignment"],
                "matches": matches.num_rows,
                "quality": quality,
                "notes": record["notes"],
                "output": str(output) if output else "",
                "report": record["report"],
            }
        )
        return
    console = wide_console()
    table = table_of(f"{matches.num_rows:,} matches, the most probable first", "left", "right", "probability>")
    for row in matches.slice(0, _SHOWN).to_pylist():
        table.add_row(_named(row, "left"), _named(row, "right"), f"{row['probability']:.3f}")
    console.print(table)
    console.tell(figures(quality))
    for note in filter(None, (*record["notes"], advice)):
        console.tell(note)
    if output is not None:
        console.tell(f"matches: {output}")
    console.tell(f"report: {record['report']}")


def _named(row: Mapping[str, Any], side: str) -> str:
    key, name = row[side], row[f"{side}_name"]
    return key if name in ("", key) else f"{key}: {cut(name, _TEXT)}"


def nameless(matches: pa.Table, how: Mapping[str, Any]) -> str:
    """What to do about matches of which none has a name; empty where one has, or a column was chosen."""
    named = any(name for side in ("left_name", "right_name") for name in matches[side].to_pylist())
    if named or not matches.num_rows or how.get("name"):
        return ""
    return "No entity has a name; of tables, --name COLUMN names the column that is shown beside the ids"


def figures(quality: Mapping[str, Any]) -> str:
    """The threshold, and in one line what was measured of the matches and of the order that scores give to pairs."""
    words = [f"threshold {quality['threshold']:.3f}"]
    words += [
        f"{said} {quality[name]:.3f}"
        for name, said in (
            ("matches_precision", "matches: precision"),
            ("matches_recall", "recall"),
            ("matches_f1", "F1"),
            ("prauc", "scores: PRAUC"),
        )
        if name in quality
    ]
    return ", ".join(words) + _tested(quality["tested"])


def _tested(pairs: int) -> str:
    """On how many labelled pairs figures were measured, and whether these are enough."""
    if not pairs:
        return ""
    few = "; too few to rely on, label more" if pairs < _FEW else ""
    return f" on {pairs:,} test {'pair' if pairs == 1 else 'pairs'}{few}"
