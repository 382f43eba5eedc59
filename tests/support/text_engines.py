"""Engines over texts in memory, all vectors compared, for tests."""

from collections.abc import Sequence

import numpy as np

from fingerpost.tasks.ann.dense_side import DenseSide, NeighborTable
from fingerpost.tasks.ann.engine import Engine
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.fusion import AnswerParams
from fingerpost.tasks.ann.neighbors import neighbor_table
from fingerpost.tasks.corpus.analyzer import Analyzer, AnalyzerParams
from fingerpost.tasks.corpus.impacts import FieldWeights, term_impacts
from fingerpost.tasks.corpus.lexicon import shard_lexicon
from fingerpost.tasks.corpus.postings import build_postings
from fingerpost.tasks.corpus.svd import SvdParams, factorize, project, projection
from fingerpost.tasks.corpus.term_counts import count_terms
from fingerpost.tasks.corpus.term_weights import TermWeightParams, TermWeights, feature_rows


def text_engine(
    titles: Sequence[str],
    texts: Sequence[str],
    *,
    svd: SvdParams | None,
    weights: FieldWeights | None = None,
    neighbors: int = 5,
) -> Engine:
    """The engine of English texts; without vectors where ``svd`` is None."""
    analyzer = Analyzer(AnalyzerParams(language="english"))
    counts = count_terms(titles, texts, analyzer)
    lexicon = shard_lexicon(counts).with_stop(analyzer.stop_words)
    impacts = term_impacts(counts, lexicon, weights or FieldWeights())
    dense = None
    if svd is not None:
        terms = TermWeights.of(lexicon, TermWeightParams())
        features = feature_rows(impacts, terms.columns)
        components = projection(factorize([features], svd, energy=float(len(titles))), whitening=svd.whitening)
        index = ExactIndex(project(features, components), "ip")
        found = neighbor_table(index, 0, len(titles), neighbors, ef=1)
        cosines = np.where(np.isfinite(found.distances), 1 - found.distances, 0).astype(np.float32)
        dense = DenseSide(terms, components, index, NeighborTable(found.ids, cosines))
    return Engine(analyzer, lexicon, build_postings(impacts), dense, AnswerParams())
