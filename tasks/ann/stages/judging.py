"""The stage that measures the answers to judged queries."""

import pyarrow as pa

from fingerpost.schemas import ann as contracts
from fingerpost.schemas import corpus
from fingerpost.schemas.matrices import figures_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.ann.judged import DEPTH, IntervalParams
from fingerpost.tasks.ann.judgement import Judgement, judge, judged_by
from fingerpost.tasks.ann.open import open_engine
from fingerpost.tasks.ann.retrieval import bm25_ranking, rankings
from fingerpost.tasks.ann.stages.judged import JUDGING, JudgedQueries, read_judged
from fingerpost.tasks.corpus.bm25 import Bm25Params
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.JUDGEMENT)
def judge_search(
    run: StageRun,
    judged: Ref,
    documents: Ref,
    *members: Ref,
    roles: tuple[str, ...],
    metric: str,
    params: IntervalParams,
) -> None:
    """Measures the answers to judged queries that answering was not tuned on: as served, by each side alone, and by BM25."""
    engine = open_engine(run.store, dict(zip(roles, members, strict=True)), metric=metric)
    rows = run.store.open(documents, corpus.DOCUMENTS).read("documents")
    asked = read_judged(run.store.open(judged, contracts.JUDGED), JUDGING)
    texts = (rows["title"].to_pylist(), rows["text"].to_pylist(), asked.texts)
    ranked = {**rankings(engine, asked.texts, depth=DEPTH), "bm25": bm25_ranking(*texts, Bm25Params(), DEPTH)}
    write_judgement(run, asked, rows["id"].to_pylist(), judge(ranked, asked.judgements, params))


def write_judgement(run: StageRun, asked: JudgedQueries, ids: list[str], found: Judgement) -> None:
    """Writes the means and the metrics of each query; ids: those of all documents."""
    run.write("figures", figures_to_arrow(found.figures))
    digests, count = judged_by(asked.texts, ids, asked.judgements), len(asked.ids)
    tables = [
        pa.table(
            {
                "id": pa.array(asked.ids, pa.string()),
                "method": pa.array([method] * count, pa.string()),
                "judged": pa.array(digests, pa.string()),
                **{name: pa.array(values) for name, values in metrics.items()},
            }
        )
        for method, metrics in found.metrics.items()
    ]
    run.write("queries", pa.concat_tables(tables))
    run.quality = dict(found.quality)
