"""Small embeddings with classes of unlike spread, and a store of such."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fingerpost.schemas import corpus
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.matrices import dense_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.shards import Executor, SerialExecutor
from fingerpost.tasks.stage_run import identity_of
from tests.worlds import DAY

ROWS, CLASSES = 9_000, 300


def embeddings(classes: int, rows: int, dim: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows float32 (n, dim) around a centre for each class, tight for the first and wide for the last, and labels."""
    random = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), random.integers(0, classes, max(0, rows - classes))])[:rows]
    spread = np.linspace(0.1, 0.9, classes)[labels][:, None]
    vectors = random.standard_normal((classes, dim))[labels] + spread * random.standard_normal((rows, dim))
    return vectors.astype(np.float32), labels


def committed(store: Store, contract: Any, tables: dict[str, pa.Table], quality: dict[str, Any] | None = None) -> Ref:
    """An input artifact of some tables."""
    ref = Ref(contract.name, DAY, "0" * 32)
    entries = [store.write_table(ref, contract, name, table) for name, table in tables.items()]
    parts = {"parameters": {}, "inputs": {}, "code": ""}
    store.commit(ref, Manifest(identity_of(contract, parts, entries, quality or {}), {}))
    return ref


def world(
    folder: Path, executor: Executor | None = None, *, kinds: bool = False
) -> tuple[Environment, np.ndarray, list[str]]:
    """A store with vectors and documents whose package is their class; the last ten have none.

    ``kinds``: the third of the classes that is tightest has one kind, the widest third another.
    """
    store = Store(str(folder / "store")).prepare()
    vectors, labels = embeddings(CLASSES, ROWS, 8, 0)
    packages = [f"package {label}" for label in labels[:-10]] + [""] * 10
    texts = {name: [""] * ROWS for name in ("title", "text", "kind", "signature", "day")}
    columns = {"id": [f"d{row}" for row in range(ROWS)], **texts, "package": packages}
    if kinds:
        columns["kind"] = [("tight", "", "wide")[3 * label // CLASSES] for label in labels]
    table = pa.table(
        {
            f.name: pa.nulls(ROWS, f.type) if f.name == "vector" else pa.array(columns[f.name], f.type)
            for f in corpus.DOCUMENTS.table("documents").fields
        }
    )
    committed(store, corpus.DOCUMENTS, {"documents": table}, {"quarantine_share": 0.0})
    committed(store, corpus.VECTORS, {"vectors": dense_to_arrow(vectors)})
    return Environment(store, "toys", DAY, executor or SerialExecutor()), vectors, packages
