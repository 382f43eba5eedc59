"""The stage that measures the answers to judged queries."""

from fingerpost.schemas import ann as contracts
from fingerpost.schemas import corpus
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.ann.judged import DEPTH, IntervalParams
from fingerpost.tasks.ann.judgement import judge
from fingerpost.tasks.ann.open import open_engine
from fingerpost.tasks.ann.retrieval import bm25_ranking, rankings
from fingerpost.tasks.ann.stages.judged import JUDGING, read_judged, write_judgement
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
