"""Committed artifacts of suggestions and of rows to train on, made from arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import sparse

from fingerpost.schemas import autocomplete, corpus, xmr
from fingerpost.schemas.contract import Contract
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.matrices import sparse_to_arrow, tensors_to_arrow
from fingerpost.schemas.refs import Ref, digest_of
from fingerpost.schemas.store import Store
from fingerpost.tasks.stage_run import identity_of
from fingerpost.tasks.xmr.interactions import TRAINING
from fingerpost.tasks.xmr.label_blocks import tree_arrays
from fingerpost.tasks.xmr.tree import LabelTree
from tests.worlds import DAY


def committed(store: Store, contract: Contract, tables: Mapping[str, pa.Table], **quality: Any) -> Ref:
    """An artifact of these tables and this quality."""
    ref = Ref(contract.name, DAY, digest_of([contract.name, sorted(quality.items())])[:32])
    entries = [store.write_table(ref, contract, name, table) for name, table in tables.items()]
    identity = identity_of(contract, {"parameters": {}, "inputs": {}, "code": ""}, entries, quality)
    store.commit(ref, Manifest(identity, {}))
    return ref


def suggestions_of(store: Store, keys: Sequence[str]) -> Ref:
    """Suggestions whose texts are their keys."""
    table = pa.table(
        {
            "query": list(keys),
            "key": list(keys),
            "users": pa.array([2] * len(keys), pa.int64()),
            "weight": pa.array([1.0] * len(keys), pa.float32()),
        }
    )
    return committed(store, autocomplete.SUGGESTIONS, {"suggestions": table}, suggestions=len(keys))


def label_features_of(store: Store, features: sparse.csr_array) -> Ref:
    """Label features (labels, m)."""
    figures = {"labels": features.shape[0], "columns": features.shape[1], "non_zeros": int(features.nnz)}
    return committed(store, xmr.LABEL_FEATURES, {"features": sparse_to_arrow(features)}, **figures)


def training_of(store: Store, rows: sparse.csr_array, labels: sparse.csr_array) -> tuple[Ref, Ref]:
    """Interactions and features of training rows (n, d) with their labels (n, labels)."""
    queries = pa.table(
        {
            "id": [f"pair {row}" for row in range(rows.shape[0])],
            "text": [""] * rows.shape[0],
            "day": [""] * rows.shape[0],
            "split": [TRAINING] * rows.shape[0],
        }
    )
    names = [f"label {label}" for label in range(labels.shape[1])]
    tables = {
        "queries": queries,
        "labels": pa.table({"id": names, "name": names, "text": [""] * len(names)}),
        "targets": sparse_to_arrow(labels),
    }
    interactions = committed(store, xmr.INTERACTIONS, tables, labels=labels.shape[1])
    features = committed(store, corpus.FEATURES, {"features": sparse_to_arrow(rows)}, columns=rows.shape[1])
    return interactions, features


def tree_artifact(store: Store, tree: LabelTree) -> Ref:
    """A tree."""
    return committed(store, xmr.TREE, {"tree": tensors_to_arrow(tree_arrays(tree))}, **tree.figures())


def words(count: int, *, seed: int = 0) -> list[str]:
    """Ascending keys of 1 to 8 letters, of which many begin alike."""
    random = np.random.default_rng(seed)
    found: set[str] = set()
    while len(found) < count:
        found.add("".join(random.choice(list("aaabbc"), random.integers(1, 9))))
    return sorted(found)
