"""Changes of documents, vocabularies, projections and vectors between two versions. Imports no Prefect."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from fingerpost.flows.ops.compare.causes import lineage
from fingerpost.flows.ops.compare.changes import (
    FIRST,
    DataChange,
    counted,
    figure_changes,
    row_changes,
    rows_in,
    share,
    tables_of,
)
from fingerpost.schemas import corpus, metric
from fingerpost.schemas.chosen_settings import settings_from_arrow
from fingerpost.schemas.contract import Contract
from fingerpost.schemas.figures import percentage, significant
from fingerpost.schemas.matrices import dense_from_arrow, tensors_from_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.corpus.open import read_lexicon, read_vocabulary

#: The artifacts that vectors are computed with; vectors of different ones cannot be compared.
_BASES = {corpus.PROJECTION.name: "projections", metric.EMBEDDERS.name: "embedders"}


def extracts(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Extracted documents that were added, removed or changed."""
    return [row_changes(store, before, after, corpus.EXTRACTS, "documents")]


def documents(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Documents that were added, removed or changed."""
    return [row_changes(store, before, after, corpus.DOCUMENTS, "documents")]


def daily_documents(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Documents of one day that were added, removed or changed, and ids that it deletes."""
    return [row_changes(store, before, after, corpus.DAILY_DOCUMENTS, table) for table in ("documents", "deleted")]


def quarantine(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """The number of quarantined rows by reason."""
    old, new = (
        counted(table["reason"].to_pylist()) for table in tables_of(store, before, after, corpus.QUARANTINE, "rows")
    )
    figures = {"rows before": sum(old.values()), "rows after": sum(new.values())}
    examples = [
        f"{reason}: {old.get(reason, 0)} → {new.get(reason, 0)}"
        for reason in sorted(old.keys() | new.keys())
        if old.get(reason) != new.get(reason)
    ]
    return [DataChange("quarantined rows", figures, examples)]


def vocabulary(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Added and removed terms of each family, and the terms whose document frequency changed most."""
    left, right = (read_vocabulary(store.open(ref, corpus.VOCABULARY)) for ref in (before, after))
    names = [_family_labels(store, ref) for ref in (before, after)]
    changes = []
    for index, (one, other) in enumerate(zip(left.families, right.families, strict=False)):
        label = names[1][index] if names[0][index] == names[1][index] else f"{names[0][index]} → {names[1][index]}"
        if one.terms is None or other.terms is None:
            figures: dict[str, Any] = {"columns before": one.size, "columns after": other.size}
            note = "hashed: columns have no terms to compare"
            changes.append(DataChange(f"vocabulary, {label}", figures, note=note))
            continue
        here, there = (
            dict(zip(one.terms, one.frequencies.tolist(), strict=True)),
            dict(zip(other.terms, other.frequencies.tolist(), strict=True)),
        )
        changes.append(_term_changes(f"vocabulary, {label}", (here, left.documents), (there, right.documents)))
    if len(left.families) != len(right.families):
        changes.append(
            DataChange("vocabulary", {"families before": len(left.families), "families after": len(right.families)})
        )
    return changes


def lexicon(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Added and removed terms, and the terms whose document frequency changed most."""
    left, right = (read_lexicon(store.open(ref, corpus.LEXICON)) for ref in (before, after))
    sides = [
        (dict(zip(one.terms, one.document_frequency.tolist(), strict=True)), one.documents) for one in (left, right)
    ]
    return [_term_changes("lexicon", *sides)]


def _term_changes(what: str, before: tuple[dict[str, int], int], after: tuple[dict[str, int], int]) -> DataChange:
    """Changes of terms with their document frequencies, each with the number of documents."""
    (here, documents), (there, documents_now) = before, after
    gone, new = sorted(here.keys() - there.keys()), sorted(there.keys() - here.keys())
    shifts = sorted(
        ((there[t] / documents_now - here[t] / documents, t) for t in here.keys() & there.keys()),
        key=lambda pair: (-abs(pair[0]), pair[1]),
    )
    figures = {
        "columns before": len(here),
        "columns after": len(there),
        "terms in": len(new),
        "terms out": len(gone),
        "share of columns in": share(len(new), len(there)),
        "share of columns out": share(len(gone), len(here)),
        "terms of another document frequency": sum(here[t] != there[t] for t in here.keys() & there.keys()),
    }
    examples = [
        f"{side}: {', '.join(repr(term) for term in sorted(terms, key=lambda term: (-counts[term], term))[:FIRST])}"
        for side, terms, counts in (("in", new, there), ("out", gone, here))
        if terms
    ]
    examples += [
        f"fraction of documents with {term!r}: {percentage(shift, 3, signed=True)} ({here[term]} → {there[term]} documents)"
        for shift, term in shifts[:FIRST]
        if shift
    ]
    return DataChange(what, figures, examples)


def analyzer(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Settings of the analyzer that changed, with the language found."""
    return [setting_changes(store, before, after, corpus.ANALYZER, "analyzer")]


def field_weights(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Weights of fields, and of how terms are weighed, that changed, and metrics of those tried."""
    chosen = setting_changes(store, before, after, corpus.FIELD_WEIGHTS, "field weights")
    return [chosen, figure_changes(store, before, after, corpus.FIELD_WEIGHTS)]


def setting_changes(store: Store, before: Ref, after: Ref, contract: Contract, what: str) -> DataChange:
    """Settings that were found or chosen, and that changed."""
    old, new = (settings_from_arrow(table) for table in tables_of(store, before, after, contract, "settings"))
    changed = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    examples = [f"{name}: {_shown(old.get(name))} → {_shown(new.get(name))}" for name in changed]
    return DataChange(what, {"settings": len(new), "changed": len(changed)}, examples)


def _shown(value: Any) -> str:
    """A setting's value for people."""
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _family_labels(store: Store, ref: Ref) -> list[str]:
    families = store.manifest(ref).identity["parameters"]["params"]["families"]
    return [f"{family['kind']} {family['ngram_min']}-{family['ngram_max']}" for family in families]


def vectors(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Distances that the vectors of documents in both versions moved, where both have the same basis or input."""
    return vector_changes(store, before, after, corpus.VECTORS, documents_behind)


def vector_changes(
    store: Store, before: Ref, after: Ref, contract: Contract, behind: Callable[[Store, Ref], pa.Table]
) -> list[DataChange]:
    """Distances that a contract's vectors moved; ``behind`` gives the rows of an artifact's vectors, with their ids."""
    old_bases, new_bases = (
        {name: artifacts[name] for name in _BASES if name in artifacts}
        for artifacts in (lineage(store, ref) for ref in (before, after))
    )
    if old_bases.keys() != new_bases.keys():
        return [DataChange("vectors", note="not comparable: one version computes vectors, the other imports them")]
    for name, kind in _BASES.items():
        if name in old_bases:
            (old_ref, old_made), (new_ref, new_made) = old_bases[name], new_bases[name]
            contents = [[entry.sha256 for entry in manifest.files] for manifest in (old_made, new_made)]
            if old_ref.fingerprint != new_ref.fingerprint and contents[0] != contents[1]:
                return [DataChange("vectors", note=f"not comparable: they are of different bases ({kind})")]
    left, right = (behind(store, ref) for ref in (before, after))
    old, new = (np.asarray(dense_from_arrow(table)) for table in tables_of(store, before, after, contract, "vectors"))
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
    examples = [f"moved most: {name}, by {significant(moved[row])}" for name, row in zip(names, worst, strict=True)]
    note = "" if old_bases else "vectors of the input: whether the same model made both is unknown"
    return [DataChange("vectors", figures, examples, note)]


def projection(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Ranks, and changes of singular values."""
    old, new = (
        tensors_from_arrow(table)["singular_values"]
        for table in tables_of(store, before, after, corpus.PROJECTION, "projection")
    )
    k = min(len(old), len(new))
    change = np.abs(new[:k] - old[:k]) / np.maximum(np.abs(old[:k]), 1e-12)
    figures = {
        "rank before": len(old),
        "rank after": len(new),
        "largest relative change of a singular value": round(float(change.max(initial=0.0)), 6),
    }
    return [DataChange("projection", figures)]


def documents_behind(store: Store, ref: Ref) -> pa.Table:
    """The ids and titles of an artifact's rows."""
    documents, _ = lineage(store, ref)[corpus.DOCUMENTS.name]
    return store.open(documents, corpus.DOCUMENTS).read("documents").select(["id", "title"])
