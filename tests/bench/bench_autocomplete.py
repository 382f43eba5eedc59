"""Completions beside counts: ``python -m tests.bench.bench_autocomplete [--only calls|index|others|excite]``.

Trained and answered through the stages of the flow with their default parameters, one thread. Suggestions of a single user are
allowed, since these logs are public and small: with the default of two users fewer suggestions remain.

calls: sessions of the built-in sample, a tenth held out by a hash: MRR of ten suggestions for all test pairs, where a next query
never seen counts 0. index: the same model over several indexes, searched without the prefix, then filtered, as published
(Yadav et al., KDD 2021), and with the filter in the search. others: packages that were not trained on, pairs whose next
query is a suggestion. excite: ten folds of the sessions of the Excite log, settings untouched.
"""

import argparse
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from scipy import sparse  # noqa: E402

from fingerpost.schemas import xmr  # noqa: E402
from fingerpost.schemas.refs import Ref  # noqa: E402
from fingerpost.schemas.store import Store  # noqa: E402
from fingerpost.tasks.autocomplete.comparison import filtered  # noqa: E402
from fingerpost.tasks.autocomplete.contexts import Contexts, FeatureParams  # noqa: E402
from fingerpost.tasks.autocomplete.evaluation import positions, reciprocal  # noqa: E402
from fingerpost.tasks.autocomplete.index import IndexParams  # noqa: E402
from fingerpost.tasks.autocomplete.matching import matching_key  # noqa: E402
from fingerpost.tasks.autocomplete.open import open_completer, read_featurizer  # noqa: E402
from fingerpost.tasks.autocomplete.prefixes import PrefixParams  # noqa: E402
from fingerpost.tasks.autocomplete.stages.index import index_suggestions  # noqa: E402
from fingerpost.tasks.autocomplete.stages.tested_pairs import TestedPairs  # noqa: E402
from fingerpost.tasks.environment import Environment  # noqa: E402
from fingerpost.tasks.xmr.label_features import EmbeddingParams  # noqa: E402
from fingerpost.tasks.xmr.label_ranges import LabelRanges  # noqa: E402
from fingerpost.tasks.xmr.open import read_model, read_tree  # noqa: E402
from fingerpost.tasks.xmr.ranking import BeamParams, Ranker  # noqa: E402
from fingerpost.tasks.xmr.stages.training import train_rankers  # noqa: E402
from fingerpost.tasks.xmr.stages.trees import embed_labels  # noqa: E402
from fingerpost.tasks.xmr.training import SolverParams, TrainingParams  # noqa: E402
from tests.bench.completion_logs import (  # noqa: E402
    EVERY_PAIR,
    EXCITE,
    OTHERS,
    OWN,
    Measured,
    calls,
    excite,
    held_out,
    lead,
    measured,
    of_distributions,
    rows_of,
    sessions_of,
    trained,
)
from tests.bench.results import cpu_seconds, print_table, write_rows  # noqa: E402

LENGTHS = (0, 1, 2, 3)
TYPED = LENGTHS[1:]
FOLDS = 10
#: As published: the solver's costs, the search, and how many labels it lists before they are filtered.
PUBLISHED = TrainingParams(
    SolverParams(cost_positive=1.0, cost_negative=1.0, threshold=0.1, frequency_discount=0.0), negatives="tfn"
)
BEAM, DEPTH = BeamParams(beam=10, post_processor="l3-hinge"), 1_000
#: A pair is trained on these prefixes, and on one of any length.
PREFIXES = PrefixParams(lengths=TYPED, sampled=1)
QUERY_ONLY = PrefixParams()
#: Name, prefixes of the rows, features that suggestions are clustered by, and index.
INDEXES: tuple[tuple[str, PrefixParams, str, IndexParams], ...] = (
    ("queries only, PIFA", QUERY_ONLY, "pifa", IndexParams("clusters", branching=2)),
    ("character TF-IDF, PIFA", replace(PREFIXES, weighting="plain"), "pifa", IndexParams("clusters", branching=2)),
    ("position-weighted, PIFA", PREFIXES, "pifa", IndexParams("clusters", branching=2)),
    ("position-weighted, text", PREFIXES, "text", IndexParams("clusters", branching=2)),
    ("position-weighted, must-link 5", PREFIXES, "text", IndexParams("must_link", depth=5, branching=2)),
    ("position-weighted, hybrid 1", PREFIXES, "text", IndexParams("hybrid", depth=1, branching=2)),
    ("position-weighted, hybrid 2", PREFIXES, "text", IndexParams("hybrid", depth=2, branching=2)),
    ("position-weighted, hybrid 3", PREFIXES, "text", IndexParams("hybrid", depth=3, branching=2)),
    ("position-weighted, trie", PREFIXES, "text", IndexParams("trie", depth=16)),
)
DEFAULT_INDEX, HYBRID = "position-weighted, PIFA", "position-weighted, hybrid 3"


def rows_by_length(found: Measured, dataset: str, chosen: NDArray[np.bool_], **more: Any) -> list[dict[str, Any]]:
    """A row per length of the prefix, and one over those above 0, for the pairs chosen."""
    sessions, rows = found.tested.sessions[chosen], []
    for name, lengths in [(f"prefix {length}", (length,)) for length in LENGTHS] + [("prefixes 1 to 3", TYPED)]:
        parts = {
            method: np.concatenate([found.values[method, length][chosen] for length in lengths])
            for method in ("completer", "popularity", "bigram")
        }
        means = {method: float(values.mean()) for method, values in parts.items()}
        row: dict[str, Any] = {"dataset": dataset, "contender": "completer", "setting": name, "mrr": means["completer"]}
        for method in ("popularity", "bigram"):
            ahead = lead(parts["completer"], parts[method], np.tile(sessions, len(lengths)))
            row |= {method: means[method], f"over {method}": "{:+.4f} ({:+.4f} to {:+.4f})".format(*ahead)}
            row[f"times {method}"] = means["completer"] / means[method] if means[method] else None
        rows.append(row | {"pairs": len(sessions)} | more)
    return rows


def calls_rows(env: Environment, sessions: Ref) -> list[dict[str, Any]]:
    """New sessions of the packages that were trained on."""
    seconds, refs = cpu_seconds(lambda: trained(env, sessions))
    figures = {role: env.store.manifest(refs[role]).quality for role in ("model", "suggestions", "pairs")}
    print(
        f"calls: {figures['pairs']['training']:,} training pairs, {figures['suggestions']['suggestions']:,} suggestions,"
        f" model {figures['model']['bytes'] / 2**20:.1f} MiB, {seconds:.1f} CPU s from sessions to model"
    )
    found = measured(env, refs, LENGTHS)
    return rows_by_length(found, "calls", np.ones(len(found.tested.keys), dtype=bool), known=float(found.known.mean()))


def other_rows(env: Environment, events: Ref, sessions: Ref) -> list[dict[str, Any]]:
    """Sessions of packages that were not trained on; pairs whose next query is a suggestion."""
    chosen = of_distributions(env, events, sessions, OTHERS)
    found = measured(env, trained(env, held_out(env, sessions, chosen, "others")), LENGTHS)
    return rows_by_length(found, "other packages", found.known, known=float(found.known.mean()))


def excite_rows(env: Environment, folder: Path, minimum_length: int) -> list[dict[str, Any]]:
    """Each session of the log held out once."""
    sessions = sessions_of(env, excite(env, folder), test_share=0.1, minimum_length=minimum_length)
    count = env.store.manifest(sessions).quality["sessions"]
    fold = np.random.default_rng(0).permutation(count) % FOLDS
    parts = [
        measured(env, trained(env, held_out(env, sessions, fold == part, f"fold {minimum_length} {part}")), LENGTHS)
        for part in range(FOLDS)
    ]
    tested = {
        name: np.concatenate([getattr(part.tested, name) for part in parts])
        for name in ("truth", "users", "sessions", "seen")
    }
    joined = {
        name: [value for part in parts for value in getattr(part.tested, name)]
        for name in ("previous", "before", "keys", "texts")
    }
    values = {key: np.concatenate([part.values[key] for part in parts]) for key in parts[0].values}
    found = Measured(TestedPairs(**joined, **tested), values)
    name = f"excite, sessions of {minimum_length} and more"
    return rows_by_length(found, name, np.ones(len(joined["keys"]), dtype=bool), known=float(found.known.mean()))


def index_rows(env: Environment, sessions: Ref) -> list[dict[str, Any]]:
    """The same model over several indexes."""
    rows: list[dict[str, Any]] = []
    for name, prefixes, embedding, index in INDEXES:
        features = replace(OWN.features, prefixes=prefixes)
        refs = rows_of(env, sessions, features)
        label_features = refs["label_features"]
        if embedding == "pifa":
            label_features = embed_labels.execute(
                env, refs["targets"], refs["features"], params=EmbeddingParams(), rows=OWN.rows, blocks=OWN.blocks
            )
        tree = index_suggestions.execute(env, refs["suggestions"], label_features, params=index, blocks=OWN.blocks)
        model = train_rankers.execute(
            env, refs["targets"], refs["features"], tree, params=PUBLISHED, rows=OWN.rows, blocks=OWN.blocks
        )
        rows.append({"dataset": "calls", "contender": name} | _searched(env, refs, tree, model))
    by_name = {row["contender"]: row for row in rows}
    for row in rows:
        row["ratio"], row["rival"] = row["filtered after"] / by_name[DEFAULT_INDEX]["filtered after"], DEFAULT_INDEX
    return rows


def _searched(env: Environment, refs: dict[str, Ref], tree: Ref, model: Ref) -> dict[str, float]:
    """MRR of a ranker alone whose search knows no prefix, of one that knows it, and the model's size."""
    tested = TestedPairs.read(env.store, refs["sessions"], refs["pairs"], EVERY_PAIR)
    trie = open_completer(
        env.store, {role: refs[role] for role in ("suggestions", "trie", "followers")}, OWN.serving
    ).trie
    label_tree = read_tree(env.store.open(tree, xmr.TREE))
    weights = read_model(env.store.open(model, xmr.MODEL), label_tree)
    ranker = Ranker(weights, BEAM, ranges=True)
    found: dict[str, float] = {}
    after, within = [], []
    for length in TYPED:
        prefixes = [key[:length] for key in tested.keys]
        matrix = _requests(env, refs, tested, prefixes)
        low, high = (np.array(side, dtype=np.uint32) for side in zip(*map(trie.find, prefixes), strict=True))
        one = filtered(ranker, matrix, low, high, k=10, depth=DEPTH)
        other = ranker.rank(matrix, 10, ranges=LabelRanges.single(low, high)).ids
        after.append(float(reciprocal(positions(list(one), tested.truth)).mean()))
        within.append(float(reciprocal(positions(list(other), tested.truth)).mean()))
        found[f"prefix {length}"] = after[-1]
    mib = weights.nbytes / 2**20
    return found | {"filtered after": float(np.mean(after)), "filter in search": float(np.mean(within)), "mib": mib}


def _requests(env: Environment, refs: dict[str, Ref], tested: TestedPairs, prefixes: list[str]) -> sparse.csr_array:
    """The features of all test requests with these prefixes."""
    numbers: dict[str, int] = {}
    rows = [
        [numbers.setdefault(matching_key(text), len(numbers)) for text in reversed(previous)]
        for previous in tested.previous
    ]
    indptr = np.concatenate(([0], np.cumsum([len(row) for row in rows]))).astype(np.int64)
    contexts = Contexts(list(numbers), indptr, np.array([number for row in rows for number in row], dtype=np.int64))
    return read_featurizer(env.store, refs["vocabulary"]).rows(contexts, prefixes)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=["calls", "index", "others", "excite"])
    only = parser.parse_args().only
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        env = Environment(Store(str(Path(folder) / "store")).prepare(), "benchmark", "2026-01-01")
        if only != "excite":
            events = calls(env)
            sessions = sessions_of(env, events, test_share=0.1)
        for name, made in (
            ("calls", lambda: calls_rows(env, sessions)),
            ("index", lambda: index_rows(env, sessions)),
            ("others", lambda: other_rows(env, events, sessions)),
            ("excite", lambda: [row for least in (2, 1) for row in excite_rows(env, Path(folder), least)]),
        ):
            if only not in (None, name):
                continue
            if name == "excite" and not EXCITE.is_file():
                print(f"excite: left out, there is no {EXCITE.name}")
                continue
            part = made()
            print_table(part, title=name)
            rows += part
    write_rows("autocomplete", rows, parameters={"features": repr(FeatureParams()), "blend": repr(OWN.serving.blend)})


if __name__ == "__main__":
    main()
