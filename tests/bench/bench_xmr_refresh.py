"""Refresh beside a retrain, and pruning to half: ``python -m tests.bench.bench_xmr_refresh`` on debian12.

5 % of the interactions and 2 % of the labels are new. First in memory, then as the flow's own stages from features on (which
either has to count): artifacts read and written, and of the refresh the drift measured; apart from them, verifying the base, which
the flow does before. Both sides take turns and begin with nothing in memory; medians. CPU seconds of one thread, in one process,
ours alone.
"""

import os
from collections.abc import Callable
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import shutil  # noqa: E402
import statistics  # noqa: E402
import tempfile  # noqa: E402
from dataclasses import asdict  # noqa: E402

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from scipy import sparse  # noqa: E402

from fingerpost.flows.domains.xmr.refresh import refresh_params  # noqa: E402
from fingerpost.flows.domains.xmr.settings import RefreshSettings, XmrSettings  # noqa: E402
from fingerpost.schemas import corpus  # noqa: E402
from fingerpost.schemas import xmr as contracts  # noqa: E402
from fingerpost.schemas.contract import Contract  # noqa: E402
from fingerpost.schemas.manifests import Manifest  # noqa: E402
from fingerpost.schemas.matrices import sparse_to_arrow  # noqa: E402
from fingerpost.schemas.refs import Ref, digest_of  # noqa: E402
from fingerpost.schemas.store import Store  # noqa: E402
from fingerpost.tasks.code import code_hash, unchanging_code  # noqa: E402
from fingerpost.tasks.environment import Environment  # noqa: E402
from fingerpost.tasks.stage import Stage  # noqa: E402
from fingerpost.tasks.xmr import open as opened  # noqa: E402
from fingerpost.tasks.xmr.clustering import cluster_labels as label_clusters  # noqa: E402
from fingerpost.tasks.xmr.interactions import RowParams  # noqa: E402
from fingerpost.tasks.xmr.label_features import embed_labels as label_embedding  # noqa: E402
from fingerpost.tasks.xmr.metrics import hits, precision_at  # noqa: E402
from fingerpost.tasks.xmr.model import RankerModel, prune  # noqa: E402
from fingerpost.tasks.xmr.open import read_model, read_tree  # noqa: E402
from fingerpost.tasks.xmr.ranking import Ranker  # noqa: E402
from fingerpost.tasks.xmr.refresh import gained_labels, positives_of  # noqa: E402
from fingerpost.tasks.xmr.sparse_rows import checked_rows  # noqa: E402
from fingerpost.tasks.xmr.stages import refresh as refresh_stages  # noqa: E402
from fingerpost.tasks.xmr.stages.refresh import refresh_rankers, refresh_tree  # noqa: E402
from fingerpost.tasks.xmr.stages.training import train_rankers  # noqa: E402
from fingerpost.tasks.xmr.stages.trees import cluster_labels, embed_labels  # noqa: E402
from tests.bench.bench_xmr import PARTS, task_folder  # noqa: E402
from tests.bench.results import cpu_seconds, print_table, write_rows  # noqa: E402
from tests.support.rankers import (  # noqa: E402
    Refreshed,
    Trained,
    refresh_ranker,
    size_threshold,
    train_ranker,
)

DAY = "2026-01-05"
#: How often retrain and refresh are run as stages.
REPEATS = 3
#: The matrices have no rows of labels' own texts.
ROWS = RowParams(label_rows=False)


class Growth:
    """A data set before and after ``share`` new interactions, among them all those of ``labels`` new labels."""

    def __init__(
        self, x: sparse.csr_array, y: sparse.csr_array, *, share: float = 0.05, labels: float = 0.02, seed: int = 0
    ) -> None:
        rng = np.random.default_rng(seed)
        count = y.shape[1]
        new = np.zeros(count, dtype=bool)
        new[rng.choice(count, round(labels * count), replace=False)] = True
        wanted = share * y.nnz - new[y.indices].sum()
        shuffled = rng.permutation(y.shape[0])
        rows = int(np.searchsorted(np.cumsum(np.diff(y.indptr)[shuffled]), max(wanted, 0)))
        order = np.concatenate([np.sort(shuffled[rows:]), np.sort(shuffled[:rows])])
        self.x, self.y = checked_rows(x[order], "features"), checked_rows(y[order], "labels")
        kept = np.flatnonzero(~new)
        self.old_x = checked_rows(self.x[: len(order) - rows], "features")
        self.old_y = checked_rows(self.y[: len(order) - rows][:, kept], "labels")
        self.origin: NDArray[np.int64] = np.full(count, -1, dtype=np.int64)
        self.origin[kept] = np.arange(len(kept))


def trained(x: sparse.csr_array, y: sparse.csr_array) -> Trained:
    """Label features, tree and rankers at the defaults, in memory."""
    features = label_embedding(x, y)
    tree = label_clusters(features)
    return Trained(train_ranker(x, y, tree).model, features, positives_of(tree, y))


def in_memory(growth: Growth, held: tuple[sparse.csr_array, sparse.csr_array]) -> list[dict[str, Any]]:
    """Rows of a retrain and of a refresh without artifacts."""
    before = trained(growth.old_x, growth.old_y)
    params = refresh_params(XmrSettings(), XmrSettings().clusters)

    def refresh() -> Refreshed:
        gained = gained_labels(growth.y, growth.old_y, growth.origin)
        return refresh_ranker(growth.x, growth.y, gained, growth.origin, before, params)

    refresh_seconds, after = cpu_seconds(refresh)
    train_seconds, whole = cpu_seconds(lambda: trained(growth.x, growth.y))
    return [
        {"setting": "retrain", "seconds": train_seconds} | quality(whole.model, held),
        {"setting": "refresh", "seconds": refresh_seconds, "ratio": train_seconds / refresh_seconds, "rival": "retrain"}
        | {"solved_share": after.share_solved}
        | quality(after.model, held),
    ]


def quality(model: RankerModel, held: tuple[sparse.csr_array, sparse.csr_array]) -> dict[str, float]:
    """Percentages at 1, 3, 5 on the rows to test."""
    found = hits(Ranker(model).rank(held[0], 5), held[1])
    return {f"p_at_{k}": 100 * precision_at(found, k) for k in (1, 3, 5)}


class Days:
    """The artifacts of both days in a store: the interactions and features before and after, and what stages make of them."""

    def __init__(self, folder: str, growth: Growth, held: tuple[sparse.csr_array, sparse.csr_array]) -> None:
        self.env = Environment(Store(folder).prepare(), "bench", DAY)
        self.settings = XmrSettings(refresh=RefreshSettings(mode="live"))
        self.held = held
        old_held = checked_rows(held[1][:, np.flatnonzero(growth.origin >= 0)], "truth")
        names = [f"label-{label}" for label in range(len(growth.origin))]
        old_names = [name for name, before in zip(names, growth.origin, strict=True) if before >= 0]
        self.before = self._given("before", growth.old_x, growth.old_y, old_held, old_names)
        self.after = self._given("after", growth.x, growth.y, held[1], names)

    def _given(
        self, name: str, x: sparse.csr_array, y: sparse.csr_array, truth: sparse.csr_array, labels: list[str]
    ) -> dict[str, Ref]:
        """Interactions, features and held-out features as artifacts; a query's id is its row, which old rows keep."""
        rows, tests = x.shape[0], truth.shape[0]
        ids = [f"row-{row}" for row in range(rows)] + [f"test-{row}" for row in range(tests)]
        empty = pa.array([""] * (rows + tests), pa.string())
        split = pa.array(["training"] * rows + ["test"] * tests, pa.string())
        queries = pa.table({"id": pa.array(ids, pa.string()), "text": empty, "day": empty, "split": split})
        named = pa.table(
            {
                "id": pa.array(labels, pa.string()),
                "name": pa.array(labels, pa.string()),
                "text": pa.array([""] * len(labels), pa.string()),
            }
        )
        targets = sparse_to_arrow(checked_rows(sparse.vstack([y, truth], format="csr"), "targets"))
        columns = {"columns": x.shape[1]}
        return {
            "interactions": self._commit(
                contracts.INTERACTIONS,
                name,
                {"queries": queries, "labels": named, "targets": targets},
                {"labels": len(labels)},
            ),
            "features": self._commit(corpus.FEATURES, name, {"features": sparse_to_arrow(x)}, columns),
            "held_features": self._commit(
                corpus.FEATURES, f"{name} held", {"features": sparse_to_arrow(self.held[0])}, columns
            ),
        }

    def _commit(self, contract: Contract, name: str, tables: dict[str, pa.Table], quality: dict[str, int]) -> Ref:
        store, ref = self.env.store, Ref(contract.name, DAY, digest_of([contract.name, name])[:32])
        files = [asdict(store.write_table(ref, contract, table, data)) for table, data in tables.items()]
        identity = {
            "contract": {"name": contract.name, "version": contract.version},
            "schema": contract.schema(),
            "rows": {},
            "quality": quality,
            "parameters": {},
            "inputs": {},
            "input_identities": {},
            "code": "",
            "files": files,
        }
        store.commit(ref, Manifest(identity, {}))
        return ref

    def train(self, made: dict[str, Ref]) -> dict[str, Ref]:
        """Label features, tree and rankers at the defaults, as the flow makes them."""
        xmr, taken, features = self.settings, made["interactions"], made["features"]
        labels = embed_labels.execute(self.env, taken, features, params=xmr.embedding, rows=ROWS, blocks=xmr.blocks)
        tree = cluster_labels.execute(self.env, labels, params=xmr.clusters, blocks=xmr.blocks)
        model = train_rankers.execute(
            self.env, taken, features, tree, params=xmr.training, rows=ROWS, blocks=xmr.blocks
        )
        return {"label_features": labels, "tree": tree, "model": model}

    def refresh(self, old: dict[str, Ref]) -> dict[str, Ref]:
        """Tree and rankers refreshed from the first day's, drift measured, as the flow does."""
        xmr, new, params = self.settings, self.after, refresh_params(self.settings, self.settings.clusters)
        tree = refresh_tree.execute(
            self.env,
            new["interactions"],
            new["features"],
            old["interactions"],
            old["label_features"],
            old["tree"],
            params=params,
            rows=ROWS,
        )
        model = refresh_rankers.execute(
            self.env,
            new["interactions"],
            new["features"],
            new["held_features"],
            tree,
            old["interactions"],
            old["tree"],
            old["model"],
            params=params,
            rows=ROWS,
            blocks=xmr.blocks,
            limits=xmr.refresh.limits,
        )
        return {"tree": tree, "model": model}

    def verify(self, made: dict[str, Ref]) -> int:
        """Every file of a base read against its checksum, as the flow does before it refreshes; how many bytes."""
        seen: set[str] = set()
        return sum(self.env.store.verify(ref, seen=seen) for ref in made.values())

    def timed(self, make: Callable[[], dict[str, Ref]]) -> tuple[dict[str, float], dict[str, Ref]]:
        """CPU seconds of what is made, in all and by stage, with nothing of it in the store or in memory before."""
        for recent in (opened._training_rows, refresh_stages._stored_blocks, refresh_stages._compared_imports):
            recent.clear()
        already = len(self.env.records)
        seconds, made = cpu_seconds(make)
        parts = {
            record.stage: float(self.env.store.manifest(Ref.parse(record.ref)).run["cpu_seconds"])
            for record in self.env.records[already:]
        }
        return {"seconds": seconds, **{f"{name}_seconds": part for name, part in parts.items()}}, made

    def drop(self, made: dict[str, Ref]) -> None:
        """Takes artifacts out of the store."""
        for ref in made.values():
            shutil.rmtree(f"{self.env.store.url}/{ref}")

    def model(self, made: dict[str, Ref]) -> RankerModel:
        """The weights of an artifact."""
        store = self.env.store
        return read_model(
            store.open(made["model"], contracts.MODEL), read_tree(store.open(made["tree"], contracts.TREE))
        )


def medians(costs: list[dict[str, float]]) -> dict[str, float]:
    """The median of each cost."""
    return {name: statistics.median(one[name] for one in costs) for name in costs[0]}


def measure(dataset: str = "debian12") -> list[dict[str, Any]]:
    """Rows of a retrain and a refresh, in memory and as stages, and of the retrained model pruned to half."""
    folder = task_folder(dataset)
    x, y, *rest = (checked_rows(sparse.load_npz(folder / f"{part}.npz").tocsr(), part) for part in PARTS)
    growth, held = Growth(x, y), (rest[0], rest[1])
    named = {"dataset": dataset, "contender": "fingerpost"}
    rows = [named | row for row in in_memory(growth, held)]
    with tempfile.TemporaryDirectory() as store, unchanging_code():
        days = Days(store, growth, held)
        stages: tuple[Stage, ...] = (embed_labels, cluster_labels, train_rankers, refresh_tree, refresh_rankers)
        for stage in stages:
            code_hash(stage.function)
        before = days.before | days.train(days.before)
        costs: dict[str, list[dict[str, float]]] = {"refresh": [], "retrain": []}
        for turn in range(REPEATS):
            verify_seconds, _ = cpu_seconds(lambda: days.verify(before))
            refresh_cost, after = days.timed(lambda: days.refresh(before))
            train_cost, whole = days.timed(lambda: days.train(days.after))
            costs["refresh"].append(refresh_cost | {"verify_seconds": verify_seconds})
            costs["retrain"].append(train_cost)
            if turn < REPEATS - 1:
                days.drop(after)
                days.drop(whole)
        found = days.env.store.manifest(after["model"]).quality
        retrained, refreshed = days.model(whole), days.model(after)
        share = size_threshold(retrained)
        half = prune(retrained, threshold=share)
        return [
            *rows,
            named | {"setting": "retrain, as stages"} | medians(costs["retrain"]) | quality(retrained, held),
            named
            | {"setting": "refresh, as stages", "rival": "retrain, as stages"}
            | medians(costs["refresh"])
            | {
                "ratio": statistics.median(
                    theirs["seconds"] / mine["seconds"]
                    for mine, theirs in zip(costs["refresh"], costs["retrain"], strict=True)
                )
            }
            | {name: value for name, value in found["drift"].items() if name != "labels"}
            | {"must_retrain": found["must_retrain"]}
            | quality(refreshed, held),
            named
            | {"setting": f"pruned at {share:.3g}", "bytes_share": half.nbytes / retrained.nbytes}
            | quality(half, held),
        ]


def main() -> None:
    """Measure, print and write ``bench-results/xmr_refresh.json``."""
    rows = measure()
    print_table(rows, "Refresh and pruning")
    print(f"written to {write_rows('xmr_refresh', rows)}")


if __name__ == "__main__":
    main()
