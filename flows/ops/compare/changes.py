"""What changed in the data of two artifacts of one contract: documents, vocabulary, neighbours, vectors, figures. Imports no Prefect."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flows.ops.compare.causes import difference_of, lineage
from schemas import ann, corpus, xmr
from schemas.contract import Contract
from schemas.matrices import dense_from_arrow, fixed_matrix, tensors_from_arrow
from schemas.refs import Ref
from schemas.store import Store
from tasks.corpus.open import read_vocabulary

#: How many changed things are named.
FIRST = 5
_NONE = 0xFFFFFFFF
_BLOCK = 4096


@dataclass(frozen=True)
class DataChange:
    """One thing to say about changed data: figures by name, and the first few things that changed."""

    about: str
    figures: dict[str, Any] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)
    note: str = ""


def data_changes(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """What the special part of a contract finds; nothing for a contract without one."""
    found = _PARTS.get(before.name)
    return found(store, before, after) if found else []


def _read(store: Store, ref: Ref, contract: Contract, table: str) -> pa.Table:
    return store.open(ref, contract).read(table)


def rows_in(left: pa.Table, right: pa.Table) -> np.ndarray:
    """For every row of ``right`` the row of ``left`` with the same id, -1 where there is none: int64."""
    found = pc.index_in(right["id"], value_set=left["id"].combine_chunks())
    return found.fill_null(-1).to_numpy().astype(np.int64)


def changed_columns(left: pa.Table, right: pa.Table) -> dict[str, np.ndarray]:
    """For two tables of the same rows, which rows differ in each column but the id."""
    return {name: _unequal(left[name], right[name]) for name in left.column_names if name != "id"}


def _unequal(left: pa.ChunkedArray, right: pa.ChunkedArray) -> np.ndarray:
    if not pa.types.is_list(left.type):
        return np.asarray(pc.not_equal(left, right).to_numpy(), dtype=bool)
    if left.null_count == right.null_count == len(left):
        return np.zeros(len(left), dtype=bool)
    pairs = zip(left.to_pylist(), right.to_pylist(), strict=True)
    return np.fromiter((one != other for one, other in pairs), dtype=bool, count=len(left))


def _documents(contract: Contract, *tables: str) -> Callable[[Store, Ref, Ref], list[DataChange]]:
    def compare(store: Store, before: Ref, after: Ref) -> list[DataChange]:
        return [_rows(store, before, after, contract, table) for table in tables or ("documents",)]

    return compare


def _rows(store: Store, before: Ref, after: Ref, contract: Contract, table: str) -> DataChange:
    """What changed in the rows of a table with ids."""
    left, right = (_read(store, ref, contract, table) for ref in (before, after))
    there = rows_in(left, right)
    new = np.flatnonzero(there < 0)
    gone = np.setdiff1d(np.arange(left.num_rows), there)
    common = np.flatnonzero(there >= 0)
    columns = changed_columns(left.take(there[common]), right.take(common))
    changed = np.flatnonzero(np.logical_or.reduce(list(columns.values()))) if len(common) else common
    figures: dict[str, Any] = {
        "before": left.num_rows,
        "after": right.num_rows,
        "added": len(new),
        "removed": len(gone),
        "changed": len(changed),
    }
    figures |= {f"changed {name}": int(rows.sum()) for name, rows in columns.items() if rows.any()}
    examples = [
        f"{what}: {', '.join(names[:FIRST])}{' …' if len(names) > FIRST else ''}"
        for what, names in (
            ("added", right["id"].take(new[: FIRST + 1]).to_pylist()),
            ("removed", left["id"].take(gone[: FIRST + 1]).to_pylist()),
            ("changed", right["id"].take(common[changed[: FIRST + 1]]).to_pylist()),
        )
        if names
    ]
    return DataChange(table, figures, examples)


def _vocabulary(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    left, right = (read_vocabulary(store.open(ref, corpus.VOCABULARY)) for ref in (before, after))
    names = [_family_labels(store, ref) for ref in (before, after)]
    found = []
    for place, (one, other) in enumerate(zip(left.families, right.families, strict=False)):
        label = names[1][place] if names[0][place] == names[1][place] else f"{names[0][place]} → {names[1][place]}"
        if one.terms is None or other.terms is None:
            figures: dict[str, Any] = {"columns before": one.size, "columns after": other.size}
            note = "hashed: columns have no terms that could be compared"
            found.append(DataChange(f"vocabulary, {label}", figures, note=note))
            continue
        here, there = (
            dict(zip(one.terms, one.frequencies.tolist(), strict=True)),
            dict(zip(other.terms, other.frequencies.tolist(), strict=True)),
        )
        gone, new = sorted(here.keys() - there.keys()), sorted(there.keys() - here.keys())
        shifts = sorted(
            ((there[t] / right.documents - here[t] / left.documents, t) for t in here.keys() & there.keys()),
            key=lambda pair: (-abs(pair[0]), pair[1]),
        )
        figures = {
            "columns before": len(here),
            "columns after": len(there),
            "terms in": len(new),
            "terms out": len(gone),
            "share of columns in": _share(len(new), len(there)),
            "share of columns out": _share(len(gone), len(here)),
            "terms of another document frequency": sum(here[t] != there[t] for t in here.keys() & there.keys()),
        }
        examples = [
            f"{what}: {', '.join(repr(term) for term in sorted(terms, key=lambda term: (-counts[term], term))[:FIRST])}"
            for what, terms, counts in (("in", new, there), ("out", gone, here))
            if terms
        ]
        examples += [
            f"share of documents with {term!r}: {shift:+.2%} ({here[term]} → {there[term]} documents)"
            for shift, term in shifts[:FIRST]
            if shift
        ]
        found.append(DataChange(f"vocabulary, {label}", figures, examples))
    if len(left.families) != len(right.families):
        found.append(
            DataChange("vocabulary", {"families before": len(left.families), "families after": len(right.families)})
        )
    return found


def _family_labels(store: Store, ref: Ref) -> list[str]:
    families = store.manifest(ref).identity["parameters"]["params"]["families"]
    return [f"{family['kind']} {family['ngram_min']}-{family['ngram_max']}" for family in families]


def _neighbors(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    left, right = (_behind(store, ref) for ref in (before, after))
    tables = [fixed_matrix(_read(store, ref, ann.NEIGHBORS, "neighbors")["neighbors"]) for ref in (before, after)]
    k = min(tables[0].shape[1], tables[1].shape[1])
    there = rows_in(left, right)
    common = np.flatnonzero(there >= 0)
    if not len(common):
        return [DataChange("neighbours", {"documents in both": 0}, note="no document is in both")]
    # Neighbours of the later version by their rows in the earlier one; new documents get numbers of their own.
    names = np.where(there >= 0, there, left.num_rows + np.arange(right.num_rows))
    old = np.where(tables[0] == _NONE, -1, tables[0].astype(np.int64))[there[common], :k]
    later = tables[1].astype(np.int64)[common, :k]
    new = np.where(later == _NONE, -2, names[np.minimum(later, right.num_rows - 1)])
    kept, lost_gone = _kept(old, new, np.isin(np.arange(left.num_rows), there, invert=True))
    sizes = np.maximum((old >= 0).sum(axis=1), (new >= 0).sum(axis=1))
    overlap = np.where(sizes > 0, kept / np.maximum(sizes, 1), 1.0)
    changed = overlap < 1
    worst = np.lexsort((common, overlap))[:FIRST]
    ids, titles = right["id"].take(common[worst]).to_pylist(), right["title"].take(common[worst]).to_pylist()
    figures = {
        "k": k,
        "documents in both": len(common),
        "lists that changed": int(changed.sum()),
        "share of lists that changed": _share(int(changed.sum()), len(common)),
        "mean overlap": round(float(overlap.mean()), 6),
        "neighbours lost": int(((old >= 0).sum(axis=1) - kept).sum()),
        "of these, documents that are gone": lost_gone,
        "neighbours that are new documents": int((new >= left.num_rows).sum()),
    }
    examples = [
        f"most changed: {key}{f' ({title})' if title and title != key else ''}, {int(kept[row])} of {int(sizes[row])}"
        " neighbours stayed"
        for key, title, row in zip(ids, titles, worst, strict=True)
        if changed[row]
    ]
    return [DataChange("neighbours", figures, examples)]


def _kept(old: np.ndarray, new: np.ndarray, gone: np.ndarray) -> tuple[np.ndarray, int]:
    """How many neighbours of each row stayed, and how many of all lost ones are documents that are gone."""
    kept = np.zeros(len(old), dtype=np.int64)
    lost_gone = 0
    for begin in range(0, len(old), _BLOCK):
        part = slice(begin, begin + _BLOCK)
        stays = (old[part, :, None] == new[part, None, :]).any(axis=2) & (old[part] >= 0)
        kept[part] = stays.sum(axis=1)
        lost = old[part][~stays & (old[part] >= 0)]
        lost_gone += int(gone[lost].sum())
    return kept, lost_gone


def _vectors(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    bases = [lineage(store, ref).get(corpus.PROJECTION.name) for ref in (before, after)]
    if (bases[0] is None) != (bases[1] is None):
        return [
            DataChange("vectors", note="not comparable: one version computes them, the other takes those of the input")
        ]
    if bases[0] and bases[1]:
        contents = [[entry.sha256 for entry in manifest.files] for _, manifest in bases]  # type: ignore[misc]
        if bases[0][0].fingerprint != bases[1][0].fingerprint and contents[0] != contents[1]:
            return [DataChange("vectors", note="not comparable: they are of different bases (projections)")]
    left, right = (_behind(store, ref) for ref in (before, after))
    old, new = (np.asarray(dense_from_arrow(_read(store, ref, corpus.VECTORS, "vectors"))) for ref in (before, after))
    if old.shape[1] != new.shape[1]:
        return [DataChange("vectors", note=f"not comparable: {old.shape[1]} and {new.shape[1]} dimensions")]
    there = rows_in(left, right)
    common = np.flatnonzero(there >= 0)
    moved = np.linalg.norm(old[there[common]].astype(np.float64) - new[common], axis=1)
    worst = [row for row in np.lexsort((common, -moved))[:FIRST] if moved[row] > 0]
    figures = {
        "documents in both": len(common),
        "vectors that moved": int((moved > 0).sum()),
        "mean move": round(float(moved.mean()), 6) if len(common) else 0.0,
        "largest move": round(float(moved.max(initial=0.0)), 6),
    }
    names = right["id"].take(common[worst]).to_pylist()
    examples = [f"moved most: {name}, by {moved[row]:.4g}" for name, row in zip(names, worst, strict=True)]
    note = "" if bases[0] else "vectors of the input: whether one model made both is not known here"
    return [DataChange("vectors", figures, examples, note)]


def _projection(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    old, new = (
        tensors_from_arrow(_read(store, ref, corpus.PROJECTION, "projection"))["singular_values"]
        for ref in (before, after)
    )
    k = min(len(old), len(new))
    change = np.abs(new[:k] - old[:k]) / np.maximum(np.abs(old[:k]), 1e-12)
    figures = {
        "rank before": len(old),
        "rank after": len(new),
        "largest relative change of a singular value": round(float(change.max(initial=0.0)), 6),
    }
    return [DataChange("projection", figures)]


def _figures(contract: Contract) -> Callable[[Store, Ref, Ref], list[DataChange]]:
    def compare(store: Store, before: Ref, after: Ref) -> list[DataChange]:
        sides = []
        for ref in (before, after):
            rows = _read(store, ref, contract, "figures").to_pylist()
            sides.append({f"{row['method']} {row['setting']} {row['metric']}": row["value"] for row in rows})
        left, right = sides
        shared = [key for key in left if key in right]
        differ = sorted(
            (key for key in shared if left[key] != right[key]), key=lambda key: (-_relative(left[key], right[key]), key)
        )
        examples = [
            f"{key}: {left[key]:.6g} → {right[key]:.6g} ({difference_of(left[key], right[key]):+.6g})"
            for key in differ[:FIRST]
        ]
        figures = {
            "figures in both": len(shared),
            "of another value": len(differ),
            "only before": len(left) - len(shared),
            "only after": len(right) - len(shared),
        }
        return [DataChange(f"figures of {contract.name}", figures, examples)]

    return compare


def _behind(store: Store, ref: Ref) -> pa.Table:
    """The ids and titles of the documents that an artifact's rows are."""
    documents, _ = lineage(store, ref)[corpus.DOCUMENTS.name]
    return _read(store, documents, corpus.DOCUMENTS, "documents").select(["id", "title"])


def _relative(before: float, after: float) -> float:
    return abs(after - before) / max(abs(before), abs(after), 1e-12)


def _share(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0.0


_PARTS: dict[str, Callable[[Store, Ref, Ref], list[DataChange]]] = {
    corpus.EXTRACTS.name: _documents(corpus.EXTRACTS),
    corpus.DOCUMENTS.name: _documents(corpus.DOCUMENTS),
    corpus.VOCABULARY.name: _vocabulary,
    corpus.PROJECTION.name: _projection,
    corpus.VECTORS.name: _vectors,
    ann.NEIGHBORS.name: _neighbors,
    ann.EVALUATION.name: _figures(ann.EVALUATION),
    ann.RETRIEVAL.name: _figures(ann.RETRIEVAL),
    xmr.INTERACTIONS.name: _documents(xmr.INTERACTIONS, "queries", "labels"),
    xmr.EVALUATION.name: _figures(xmr.EVALUATION),
}
