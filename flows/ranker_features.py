"""The features of a ranker's queries, as part of the flow that trains it."""

from collections.abc import Iterator
from contextlib import contextmanager

from flows.runtime import Run
from schemas.refs import Ref
from tasks.corpus.stages import count_ngrams, merge_vocabulary, weigh_terms
from tasks.xmr.stages import list_queries


def features_of(run: Run, interactions: Ref, *, vocabulary: Ref | None = None) -> dict[str, Ref]:
    """Features of the queries to train on and of those held out, by role; over the vocabulary of the former, or a given one."""
    settings, made = run.settings, {}
    ngrams, tfidf, rows = settings.xmr.ngrams, settings.xmr.tfidf, settings.corpus.imports.rows_per_shard
    with apart(run, "queries"):
        made["queries"] = queries = list_queries(
            interactions, held_out=False, label_words=settings.xmr.label_words, rows_per_shard=rows
        )
        made["ngrams"] = counted = count_ngrams(queries, params=ngrams)
        made["vocabulary"] = terms = vocabulary or merge_vocabulary(counted, params=ngrams)
        made["features"] = weigh_terms(counted, terms, params=tfidf)
    with apart(run, "held-out"):
        made["held_queries"] = queries = list_queries(interactions, held_out=True, label_words=0, rows_per_shard=rows)
        made["held_ngrams"] = counted = count_ngrams(queries, params=ngrams)
        made["held_features"] = weigh_terms(counted, terms, params=tfidf)
    return made


@contextmanager
def apart(run: Run, part: str) -> Iterator[None]:
    """Within it stages are remembered apart from the same ones over the collection's documents, so that the reason why one
    runs again compares it with itself.
    """
    env = run.env
    kept = env.part, env.asked, env.before
    env.part, env.asked, env.before = part, {}, {}
    try:
        yield
    finally:
        env.part, env.asked, env.before = kept
