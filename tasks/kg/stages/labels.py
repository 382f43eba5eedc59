"""The stage that adds assumed pairs where known ones are missing."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.kg.labels import LabelParams, assumed_matches, assumed_others
from fingerpost.tasks.kg.lookups import pair_keys
from fingerpost.tasks.kg.splits import SPLITS, KnownPairs, LinkParams, filled_splits
from fingerpost.tasks.kg.stages.graph_tables import GraphTables
from fingerpost.tasks.kg.stages.scoring_inputs import pairs_of, read_rivals
from fingerpost.tasks.kg.stages.texts import read_terms
from fingerpost.tasks.kg.terms import OWN, WHOLE
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun

ASSUMED = "assumed"


@stage(contracts.LINKS)
def label_pairs(
    run: StageRun,
    left: Ref,
    right: Ref,
    terms: Ref,
    candidates: Ref,
    rivals: Ref,
    links: Ref,
    *,
    params: LabelParams,
    splits: LinkParams,
) -> None:
    """Known links; without a match among them matches are assumed, and where others are missing, pairs of two entities."""
    known = run.store.open(links, contracts.LINKS).read("links")
    rows = [known]
    if not (known["label"].to_numpy() == 1).any():
        rows.append(_matches(run.store, left, right, terms, rivals, known, params, splits))
        _check_assumed(links, rows[-1], params)
    rows.append(_others(run.store, pa.concat_tables(rows), candidates, params, within=left == right))
    found = pa.concat_tables(rows).sort_by([("left", "ascending"), ("right", "ascending")])
    _check_training(links, found)
    run.write("links", found)
    labels, sources = found["label"].to_numpy(), np.array(found["source"].to_pylist(), dtype=object)
    run.quality = {
        "links": len(found),
        "positives": int((labels == 1).sum()),
        "negatives": int((labels == 0).sum()),
        "assumed_positives": int(((labels == 1) & (sources == ASSUMED)).sum()),
        "assumed_negatives": int(((labels == 0) & (sources == ASSUMED)).sum()),
    }


def _check_assumed(links: Ref, matches: pa.Table, params: LabelParams) -> None:
    """FingerpostError without any match that can be assumed."""
    if not len(matches):
        raise FingerpostError(
            f"{links}: expected known matches, or candidates similar enough to be assumed to match (kg.labels.least"
            f" {params.least:g} and kg.labels.lead {params.lead:g} over the next best), found none; give some known"
            " matches (--links)"
        )


def _check_training(links: Ref, found: pa.Table) -> None:
    """FingerpostError without pairs of both labels to learn from."""
    labels = set(found.filter(pc.equal(found["split"], "training"))["label"].to_pylist())
    if 1 not in labels:
        known = pc.sum(pc.not_equal(found["source"], ASSUMED)).as_py()
        raise FingerpostError(
            f"{links}: expected known matches of the split training to learn from, found none among {known} known pairs;"
            " give some, or leave out the splits"
        )
    if 0 not in labels:
        raise FingerpostError(
            f"{links}: expected pairs of two entities to learn from, found neither known ones (label 0) nor candidates"
            " beside the matches; give some of the split training (--links)"
        )


def _matches(
    store: Store,
    left: Ref,
    right: Ref,
    terms: Ref,
    rivals: Ref,
    known: pa.Table,
    params: LabelParams,
    splits: LinkParams,
) -> pa.Table:
    """Pairs that are each other's best by all of their texts, clearly; for training and validation alone."""
    within, own = left == right, read_terms(store, terms).of_kinds(*OWN)
    ours, theirs = read_rivals(store, rivals, texts=len(own), within=within)(np.zeros((0, 2), np.int64))
    column = own.index(WHOLE)
    partners = ours.partners[:, column].astype(np.int64)
    place = np.searchsorted(theirs.entities, partners)
    place = np.minimum(place, max(len(theirs.entities) - 1, 0))
    mutual = np.zeros(len(partners), dtype=bool)
    if len(theirs.entities):
        mutual = (theirs.entities[place] == partners) & (theirs.partners[place, column] == ours.entities)
    mutual &= (ours.entities < partners) if within else True
    chosen = np.flatnonzero(mutual)
    pairs = np.stack([ours.entities[chosen].astype(np.int64), partners[chosen]], axis=1)
    similarities = ours.best[chosen, column]
    rival = np.maximum(ours.second[chosen, column], theirs.second[place[chosen], column])
    new = ~np.isin(pair_keys(*pairs.T), pair_keys(*pairs_of(known).T))
    pairs, similarities, rival = pairs[new], similarities[new], rival[new]
    pairs = pairs[assumed_matches(pairs, similarities, similarities - rival, params)]
    return _table(pairs, 1, _splits(GraphTables.open(store, left), pairs, splits, within=within))


def _splits(tables: GraphTables, pairs: NDArray[np.int64], params: LinkParams, *, within: bool) -> list[str]:
    """Splits of assumed matches: nothing is tested on what is assumed."""
    ids = tables.entities["id"].take(pa.array(pairs[:, 0])).to_pylist()
    ones = np.ones(len(pairs), dtype=np.int8)
    numbers = filled_splits(
        KnownPairs(pairs[:, 0], pairs[:, 1], ones, -ones, within),
        ids,
        replace(params, test_share=0.0),
    )
    return [SPLITS[number] for number in numbers.tolist()]


def _others(store: Store, known: pa.Table, candidates: Ref, params: LabelParams, *, within: bool) -> pa.Table:
    """Candidates of entities with a match, for every split that has more matches than pairs of two entities."""
    labels, names = known["label"].to_numpy(), np.array(known["split"].to_pylist(), dtype=object)
    counts = {name: [int(((labels == label) & (names == name)).sum()) for label in (0, 1)] for name in set(names)}
    lacking = [name for name, (others, matches) in counts.items() if others < matches]
    if not lacking or not params.negatives:
        return known.slice(0, 0)
    rows = store.open(candidates, contracts.CANDIDATES).read("candidates")
    pairs = pairs_of(rows)
    new = ~np.isin(pair_keys(*pairs.T), pair_keys(*pairs_of(known).T))
    is_match = labels == 1
    matches = pairs_of(known)[is_match]
    places, owners = assumed_others(matches, pairs[new], rows["similarity"].to_numpy()[new], params, within=within)
    of_split = names[is_match][owners]
    kept = np.isin(of_split, lacking)
    return _table(pairs[new][places[kept]], 0, of_split[kept].tolist())


def _table(pairs: NDArray[np.int64], label: int, splits: list[str]) -> pa.Table:
    columns = {side: pa.array(pairs[:, place].astype(np.uint32)) for place, side in enumerate(("left", "right"))}
    columns["label"] = pa.array(np.full(len(pairs), label, dtype=np.int8))
    columns["split"] = pa.array(splits, pa.string())
    columns["source"] = pa.array([ASSUMED] * len(pairs), pa.string())
    return pa.table(columns)
