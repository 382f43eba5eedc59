"""The stages from events to sessions, suggestions and pairs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.schemas import autocomplete as contracts
from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.blocked_queries import BlockedSource
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Artifact
from fingerpost.tasks.autocomplete.matching import matching_key
from fingerpost.tasks.autocomplete.pairs import PairParams, Pairs, pair
from fingerpost.tasks.autocomplete.sessions import (
    SPLITS,
    TRAINING,
    Events,
    SessionParams,
    Sessions,
    cut,
    text_hashes,
)
from fingerpost.tasks.autocomplete.suggestions import SuggestionParams, select
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.SESSIONS)
def cut_sessions(run: StageRun, events: Ref, *, params: SessionParams) -> None:
    """Cuts the events of each user into sessions and splits these; queries with the same matching key are one."""
    numbered, texts, keys = _numbered(run.store.open(events, contracts.EVENTS).read("events"))
    timed = bool(len(numbered.times)) and int(numbered.times.max()) >= 0
    sessions = cut(numbered, params, hashes=np.zeros(0, np.uint64) if timed else text_hashes(keys))
    _check_some(sessions, events, params)
    for name, table in _session_tables(
        sessions, texts, [keys[number] for number in numbered.keys[sessions.texts]]
    ).items():
        run.write(name, table)
    counts = np.bincount(sessions.splits, minlength=len(SPLITS)).tolist()
    run.quality = {
        "sessions": len(sessions.users),
        "queries": len(sessions.texts),
        "users": len(np.unique(sessions.users)),
        "steps": len(sessions.step_queries),
        **dict(zip(SPLITS, counts, strict=True)),
        **sessions.figures,
    }


def _numbered(table: pa.Table) -> tuple[Events, list[str], list[str]]:
    """Events as numbers, the texts of the queries, and the matching keys."""
    users, _ = _codes(table["user"])
    given, named = _codes(table["session"])
    spellings, texts = _codes(table["query"])
    sessions = np.where(np.array([name != "" for name in named], dtype=bool)[given], given, -1) if named else given
    numbers: dict[str, int] = {}
    found = map(matching_key, texts)
    keys = np.array([numbers.setdefault(key, len(numbers)) if key else -1 for key in found], dtype=np.int64)
    times = table["time"].to_numpy().astype(np.int64)
    return Events(users, sessions, times, spellings, keys), texts, list(numbers)


def _codes(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], list[str]]:
    """Each value's number by first appearance (int64), and the distinct values."""
    chunks = column.dictionary_encode().chunks  # of one growing dictionary
    if not chunks:
        return np.zeros(0, dtype=np.int64), []
    codes = np.concatenate([chunk.indices.to_numpy() for chunk in chunks]).astype(np.int64)
    return codes, max((chunk.dictionary for chunk in chunks), key=len).to_pylist()


def _session_tables(sessions: Sessions, texts: Sequence[str], keys: Sequence[str]) -> dict[str, pa.Table]:
    queries = pa.table(
        {
            "query": pa.array([texts[row] for row in sessions.texts], pa.string()),
            "key": pa.array(keys, pa.string()),
            "count": sessions.counts,
            "users": sessions.query_users,
        }
    )
    rows = pa.table({"user": sessions.users, "start": sessions.starts, "split": _split_column(sessions.splits)})
    steps = {"session": sessions.step_sessions, "query": sessions.step_queries, "time": sessions.step_times}
    return {"queries": queries, "sessions": rows, "steps": pa.table(steps)}


def _split_column(splits: NDArray[np.int8]) -> pa.Array:
    return pa.array(SPLITS, pa.string()).take(pa.array(splits))


def _check_some(sessions: Sessions, events: Ref, params: SessionParams) -> None:
    if not (sessions.splits == SPLITS.index(TRAINING)).any():
        counts = ", ".join(f"{count:,} events {name.replace('_', ' ')}" for name, count in sessions.figures.items())
        raise InputError(
            f"artifact {events}: expected a session of at least {params.minimum_length} different queries to train on,"
            f" found {len(sessions.users)} sessions ({counts}); give more events, or lower"
            " autocomplete.sessions.minimum_length"
        )


@stage(contracts.SUGGESTIONS)
def select_suggestions(run: StageRun, sessions: Ref, *blocked: BlockedSource, params: SuggestionParams) -> None:
    """Selects the queries that may be suggested, from training sessions; texts of ``blocked`` never are."""
    artifact = run.store.open(sessions, contracts.SESSIONS)
    queries, steps = artifact.read("queries"), _training_steps(artifact)
    texts, keys = queries["query"].to_pylist(), queries["key"].to_pylist()
    never = {matching_key(text) for source in blocked for text in source.read()}
    found = select(texts, keys, (steps["query"], steps["user"], steps["time"]), params, blocked=never)
    rows = pa.array(found.rows)
    columns = {"query": queries["query"].take(rows), "key": queries["key"].take(rows)}
    run.write("suggestions", pa.table({**columns, "users": found.users, "weight": found.weights}))
    counts = {"suggestions": len(found.rows), "least_users": int(found.users.min(initial=2**62)) if len(rows) else 0}
    run.quality = counts | {"withheld": found.withheld, "blocked": found.blocked}


@stage(contracts.PAIRS)
def pair_queries(run: StageRun, sessions: Ref, suggestions: Ref, *, params: PairParams) -> None:
    """Pairs each query with those before it in its session; ages count from the newest event of a training session."""
    artifact = run.store.open(sessions, contracts.SESSIONS)
    rows = _suggestion_of(artifact, run.store.open(suggestions, contracts.SUGGESTIONS))
    steps, newest = _steps(artifact), int(_training_steps(artifact)["time"].max(initial=-1))
    found = pair(steps["session"], steps["query"], steps["time"], rows, params, newest=newest)
    splits = artifact.read("sessions")["split"].take(pa.array(found.sessions))
    columns: dict[str, Any] = {
        "session": found.sessions,
        "previous": pa.ListArray.from_arrays(pa.array(found.indptr.astype(np.int32)), pa.array(found.previous)),
        "next": found.nexts,
        "suggestion": found.suggestions,
        "weight": found.weights,
        "split": splits,
    }
    run.write("pairs", pa.table(columns))
    run.quality = _counts(found, np.array(splits.to_pylist(), dtype=object))


def _counts(found: Pairs, splits: NDArray[Any]) -> dict[str, int]:
    """The number of pairs, by split, and of those that can be trained on."""
    trainable = int(((splits == TRAINING) & (found.suggestions >= 0)).sum())
    by_split = {name: int((splits == name).sum()) for name in SPLITS}
    return {"pairs": len(found.nexts), **by_split, "trainable": trainable, "previous": len(found.previous)}


def _steps(artifact: Artifact) -> dict[str, NDArray[Any]]:
    """The steps of all sessions: rows of sessions and queries, users and times."""
    steps = artifact.read("steps")
    columns = {name: steps[name].to_numpy() for name in ("session", "query", "time")}
    return columns | {"user": artifact.read("sessions")["user"].to_numpy()[columns["session"]]}


def _training_steps(artifact: Artifact) -> dict[str, NDArray[Any]]:
    """The steps of training sessions."""
    columns = _steps(artifact)
    training = np.array(artifact.read("sessions")["split"].to_pylist(), dtype=object) == TRAINING
    return {name: column[training[columns["session"]]] for name, column in columns.items()}


def _suggestion_of(sessions: Artifact, suggestions: Artifact) -> NDArray[np.int32]:
    """The row of each query among the suggestions, int32 (queries,); -1 for none."""
    row_of = {key: row for row, key in enumerate(suggestions.read("suggestions")["key"].to_pylist())}
    keys = sessions.read("queries")["key"].to_pylist()
    return np.array([row_of.get(key, -1) for key in keys], dtype=np.int32)
