"""Logs that completions are measured on, and completers trained on them: the stages themselves, without Prefect."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.flows.domains.autocomplete.settings import AutocompleteSettings
from fingerpost.schemas import autocomplete as contracts
from fingerpost.schemas.inputs.events import EventFile
from fingerpost.schemas.inputs.python_calls import CallSequences
from fingerpost.schemas.inputs.python_docs import DISTRIBUTIONS
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.autocomplete.completer import Completer
from fingerpost.tasks.autocomplete.contexts import FeatureParams
from fingerpost.tasks.autocomplete.evaluation import EvaluationParams, interval, positions, reciprocal
from fingerpost.tasks.autocomplete.open import open_completer
from fingerpost.tasks.autocomplete.sessions import TEST, TRAINING, SessionParams
from fingerpost.tasks.autocomplete.stages.events import import_events
from fingerpost.tasks.autocomplete.stages.features import (
    embed_suggestions,
    featurize_pairs,
    fit_vocabulary,
    list_targets,
)
from fingerpost.tasks.autocomplete.stages.followers import count_followers
from fingerpost.tasks.autocomplete.stages.index import index_suggestions
from fingerpost.tasks.autocomplete.stages.sessions import cut_sessions, pair_queries, select_suggestions
from fingerpost.tasks.autocomplete.stages.tested_pairs import METHODS, TestedPairs
from fingerpost.tasks.autocomplete.stages.trie import build_trie
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.xmr.stages.training import train_rankers
from tests.data import data_root
from tests.support.suggestion_artifacts import committed

EXCITE = data_root() / "queries" / "excite.tsv"
#: Distributions that are not trained on where the log of others is measured.
OTHERS = ("networkx", "scikit-learn", "distributed", "fastapi", "typer", "alembic")
#: The flow's defaults; but suggestions of one user, since the log and the packages are public.
OWN = AutocompleteSettings()
PUBLIC = replace(OWN.suggestions, min_users=1)
#: All test pairs.
EVERY_PAIR = EvaluationParams(pairs=10**9)


def calls(env: Environment) -> Ref:
    """The events of the built-in sample, one shard per distribution."""
    return import_events.execute(env, CallSequences(DISTRIBUTIONS), params=ImportParams())


def excite(env: Environment, folder: Path) -> Ref:
    """The events of the Excite log, under the names of columns that a reader expects."""
    path = folder / "excite.csv"
    with EXCITE.open(encoding="utf-8", errors="replace") as log, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["user", "time", "query"])
        writer.writerows(fields for line in log if len(fields := line.rstrip("\n").split("\t")) == 3)
    source = EventFile(str(path), time_format="%y%m%d%H%M%S", salt=b"benchmark")
    return import_events.execute(env, source, params=ImportParams(quarantine_share=1.0))


def sessions_of(env: Environment, events: Ref, *, test_share: float, minimum_length: int = 2) -> Ref:
    """The sessions of a log; none are held out for validation."""
    params = SessionParams(validation_share=0.0, test_share=test_share, minimum_length=minimum_length)
    return cut_sessions.execute(env, events, params=params)


def held_out(env: Environment, sessions: Ref, chosen: NDArray[np.bool_], name: str) -> Ref:
    """The same sessions with these held out, and no others."""
    artifact = env.store.open(sessions, contracts.SESSIONS)
    tables = {table: artifact.read(table) for table in ("queries", "sessions", "steps")}
    split = pa.array([TEST if held else TRAINING for held in chosen.tolist()], pa.string())
    rows = tables["sessions"]
    tables["sessions"] = rows.set_column(rows.schema.get_field_index("split"), "split", split)
    return committed(env.store, contracts.SESSIONS, tables, name=name, source=str(sessions))


def of_distributions(env: Environment, events: Ref, sessions: Ref, names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which sessions are calls of these distributions, bool (sessions,)."""
    artifact = env.store.open(events, contracts.EVENTS)
    users = artifact.read("events")["user"].to_pylist()
    numbers = {user: number for number, user in enumerate(dict.fromkeys(users))}
    wanted = {
        numbers[user]
        for name in names
        for user in artifact.read("events", shard=DISTRIBUTIONS.index(name))["user"].unique().to_pylist()
    }
    owners = env.store.open(sessions, contracts.SESSIONS).read("sessions")["user"].to_numpy()
    return np.isin(owners, np.array(sorted(wanted)))


def rows_of(env: Environment, sessions: Ref, features: FeatureParams = OWN.features) -> dict[str, Ref]:
    """Everything up to the rows that a ranker is trained on, by role."""
    refs = {"sessions": sessions, "suggestions": select_suggestions.execute(env, sessions, params=PUBLIC)}
    refs["trie"] = build_trie.execute(env, refs["suggestions"])
    refs["pairs"] = pair_queries.execute(env, sessions, refs["suggestions"], params=OWN.pairs)
    log = (sessions, refs["suggestions"], refs["pairs"])
    refs["followers"] = count_followers.execute(env, *log)
    refs["vocabulary"] = fit_vocabulary.execute(env, *log, params=features)
    refs["features"] = featurize_pairs.execute(env, *log, refs["vocabulary"], params=features, rows_per_shard=2**17)
    refs["targets"] = list_targets.execute(env, *log, params=features)
    refs["label_features"] = embed_suggestions.execute(env, refs["suggestions"], params=features, rows_per_shard=2**17)
    return refs


def trained(env: Environment, sessions: Ref) -> dict[str, Ref]:
    """A completer as the flow trains it by default, by role."""
    refs = rows_of(env, sessions)
    refs["tree"] = index_suggestions.execute(
        env, refs["suggestions"], refs["label_features"], params=OWN.index.params, blocks=OWN.blocks
    )
    refs["model"] = train_rankers.execute(
        env, refs["targets"], refs["features"], refs["tree"], params=OWN.training, rows=OWN.rows, blocks=OWN.blocks
    )
    return refs


@dataclass(frozen=True)
class Measured:
    """Reciprocal ranks of test pairs by method and length of the prefix, and the pairs.

    known: bool (n,), whether the next query is a suggestion.
    """

    tested: TestedPairs
    values: Mapping[tuple[str, int], NDArray[np.float64]]

    @property
    def known(self) -> NDArray[np.bool_]:
        return self.tested.truth >= 0

    def mean(self, method: str, length: int, chosen: NDArray[np.bool_] | slice = slice(None)) -> float:
        return float(self.values[method, length][chosen].mean())


def measured(env: Environment, refs: Mapping[str, Ref], lengths: tuple[int, ...]) -> Measured:
    """The completer and the baselines by counts on all test pairs, each from the same completer."""
    tested = TestedPairs.read(env.store, refs["sessions"], refs["pairs"], EVERY_PAIR)
    completer: Completer = open_completer(env.store, refs, OWN.serving)
    values = {}
    for method in METHODS:
        for length in lengths:
            found = tested.ranked(completer, method, length, EVERY_PAIR, 1)
            values[method, length] = reciprocal(positions(found, tested.truth))
    return Measured(tested, values)


def lead(
    one: NDArray[np.float64], other: NDArray[np.float64], sessions: NDArray[np.int64]
) -> tuple[float, float, float]:
    """The mean difference of two methods on the same pairs, and its 95 % interval over sessions."""
    difference = one - other
    return (float(difference.mean()), *interval(difference, sessions, EVERY_PAIR))
