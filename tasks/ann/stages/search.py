"""The stages that choose how texts are answered, and that measure the answers."""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace

import pyarrow as pa

from fingerpost.schemas import ann as contracts
from fingerpost.schemas import corpus
from fingerpost.schemas.chosen_settings import chosen_to_arrow, settings_to_arrow
from fingerpost.schemas.matrices import figures_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.ann.fusion import AnswerParams
from fingerpost.tasks.ann.hnsw import HnswParams
from fingerpost.tasks.ann.open import kernel_metric, open_engine
from fingerpost.tasks.ann.retrieval import RetrievalParams, Sample, evaluate_known_items
from fingerpost.tasks.ann.stages.judged import TUNING, read_judged
from fingerpost.tasks.ann.tuning import TuningParams, choose_answers
from fingerpost.tasks.corpus.open import read_field_weights, read_svd_params
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.TUNING)
def tune_search(run: StageRun, *parts: Ref, roles: tuple[str, ...], metric: str, params: TuningParams) -> None:
    """Chooses how texts are answered: on judged queries where there are some, else on questions made from documents."""
    by_role = dict(zip(roles, parts, strict=True))
    rows = run.store.open(by_role["documents"], corpus.DOCUMENTS).read("documents")
    judged = by_role.get("judged")
    chosen = choose_answers(
        rows["title"].to_pylist(),
        rows["text"].to_pylist(),
        open_engine(run.store, by_role, metric=metric, params=AnswerParams()),
        weights=read_field_weights(run.store.open(by_role["field_weights"], corpus.FIELD_WEIGHTS)),
        svd=read_svd_params(run.store, by_role.get("projection")),
        judged=None if judged is None else read_judged(run.store.open(judged, contracts.JUDGED), TUNING),
        params=params,
    )
    run.write("settings", settings_to_arrow(asdict(chosen.params)))
    run.write("chosen", chosen_to_arrow(chosen.reasons))
    run.write("figures", figures_to_arrow(chosen.figures))
    run.quality = chosen.quality


@stage(contracts.RETRIEVAL)
def evaluate_retrieval(
    run: StageRun, *parts: Ref, roles: tuple[str, ...], metric: str, hnsw: HnswParams, params: RetrievalParams
) -> None:
    """Measures retrieval of documents by their own first sentence: lexical, dense, fused, and plain BM25.

    Once with the sentence in the documents and once without it.
    """
    by_role = dict(zip(roles, parts, strict=True))
    rows = run.store.open(by_role["documents"], corpus.DOCUMENTS).read("documents")
    result = evaluate_known_items(
        titles=rows["title"].to_pylist(),
        texts=rows["text"].to_pylist(),
        engine=open_engine(run.store, by_role, metric=metric),
        weights=read_field_weights(run.store.open(by_role["field_weights"], corpus.FIELD_WEIGHTS)),
        hnsw=replace(hnsw, metric=kernel_metric(hnsw.metric)),
        params=params,
        threads=run.threads,
        clock=time.perf_counter,
        progress=run,
    )
    run.write("figures", figures_to_arrow(result.figures))
    run.write("samples", _samples_table(result.samples, rows["id"].to_pylist()))
    run.quality, run.measured = result.quality, result.measured


def _samples_table(samples: Sequence[Sample], ids: list[str]) -> pa.Table:
    """The rows (query, rank, id, title) of answers to sample queries."""
    return pa.table(
        {
            "query": pa.array([sample.query for sample in samples], pa.string()),
            "rank": pa.array([sample.rank for sample in samples], pa.int64()),
            "id": pa.array([ids[sample.row] for sample in samples], pa.string()),
            "title": pa.array([sample.title for sample in samples], pa.string()),
        }
    )
