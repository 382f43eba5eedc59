"""Corpus features beside scikit-learn: ``python -m tests.bench.bench_corpus [--quick]``.

One thread, CPU seconds; contenders take turns and the median of the repeats counts. Every timing starts from the list of
strings.
Words: n-grams of 1 to 3; characters: trigrams of each token followed by ``#``; both with the full vocabulary (min_df 1).
"""

import argparse
import gc
import re
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from threadpoolctl import threadpool_limits

from fingerpost.ext.ngrams import count_ngrams
from fingerpost.tasks.corpus.ngrams import FamilyParams, NgramParams, count_shard
from fingerpost.tasks.corpus.svd import SvdParams, factorize
from fingerpost.tasks.corpus.tfidf import TfidfParams, weigh_counts
from fingerpost.tasks.corpus.vocabulary import select_vocabulary, shard_frequencies
from tests.bench.results import cpu_seconds, print_table, write_rows
from tests.data import data_file

TOKEN = re.compile(r"(?u)\b\w\w+\b")
DATASET = "debian12"
WORDS = FamilyParams("word", 1, 3, max_terms=2**31 - 1, min_df=1)
TRIGRAMS = FamilyParams("char", 3, 3, max_terms=2**31 - 1, min_df=1)
#: Terms kept for the factorisation, on both sides by their frequency.
SVD_TERMS = 80_000
RANK = 256

Timed = dict[str, tuple[float, Any]]


def load_texts() -> list[str]:
    """Summary and description of every package, joined by a blank."""
    file = data_file(DATASET, "packages.parquet")
    table = pq.read_table(file, columns=["summary", "description"])
    columns = (table["summary"].to_pylist(), table["description"].to_pylist())
    return [f"{summary or ''} {description or ''}" for summary, description in zip(*columns, strict=True)]


def character_trigrams(text: str) -> list[str]:
    """The analyzer that gives scikit-learn the same trigrams."""
    return [
        token[at : at + 3] for token in [t + "#" for t in TOKEN.findall(text.lower())] for at in range(len(token) - 2)
    ]


def tfidf_features(texts: list[str], family: FamilyParams) -> sparse.csr_array:
    """Our whole way from strings to normalised features of one field and one family."""
    params = NgramParams((family,), name_weight=0.0, first_weight=0.0, body_weight=1.0)
    empty = [""] * len(texts)
    counts = count_shard(empty, empty, texts, params)
    vocabulary = select_vocabulary(shard_frequencies(counts), params)
    return weigh_counts(counts, vocabulary, TfidfParams(sublinear=False, family_weights=(1.0,)))


def take_turns(contenders: dict[str, Callable[[], Any]], repeats: int) -> Timed:
    """Median CPU seconds of each contender and figures of its last result; results are dropped between turns."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    walls: dict[str, list[float]] = {name: [] for name in contenders}
    figures: dict[str, Any] = {}
    for _ in range(repeats):
        for name, contender in contenders.items():
            gc.collect()
            begin = time.perf_counter()
            spent, result = cpu_seconds(contender)
            walls[name].append(time.perf_counter() - begin)
            seconds[name].append(spent)
            figures[name] = summarise(result)
            del result
    return {
        name: (statistics.median(spent), {"wall_seconds": statistics.median(walls[name])} | figures[name])
        for name, spent in seconds.items()
    }


def summarise(result: Any) -> dict[str, Any]:
    """Rows' entries and columns of a feature matrix or of the kernel's answer; a factorisation gives its own figures."""
    if isinstance(result, dict):
        return result
    if isinstance(result, tuple):
        return {"entries": len(result[1]), "terms": len(result[3])}
    return {"entries": int(result.nnz), "terms": int(result.shape[1])}


def table_rows(timed: Timed, *, setting: str, rivals: dict[str, str], texts: int) -> list[dict[str, Any]]:
    """One row a contender; ``rivals`` names for ours whom they are compared with."""
    rows = []
    for name, (seconds, figures) in timed.items():
        row = {"dataset": DATASET, "contender": name, "setting": setting, "texts": texts, "seconds": seconds, **figures}
        if name in rivals:
            row |= {"ratio": timed[rivals[name]][0] / seconds, "rival": rivals[name]}
        rows.append(row)
    return rows


def measure_family(texts: list[str], family: FamilyParams, *, repeats: int) -> list[dict[str, Any]]:
    """Counting and weighing one family with its full vocabulary."""
    options: dict[str, Any] = {"ngram_range": (1, 3)} if family.kind == "word" else {"analyzer": character_trigrams}
    contenders: dict[str, Callable[[], Any]] = {
        "fingerpost counts": lambda: count_ngrams(
            texts, family=family.kind, ngram_min=family.ngram_min, ngram_max=family.ngram_max
        ),
        "fingerpost tf-idf": lambda: tfidf_features(texts, family),
        "sklearn CountVectorizer": lambda: CountVectorizer(**options).fit_transform(texts),
        "sklearn TfidfVectorizer": lambda: TfidfVectorizer(**options).fit_transform(texts),
    }
    rival = "sklearn TfidfVectorizer"
    rivals = {"fingerpost counts": rival, "fingerpost tf-idf": rival}
    setting = "words 1-3" if family.kind == "word" else "character trigrams"
    return table_rows(take_turns(contenders, repeats), setting=setting, rivals=rivals, texts=len(texts))


def measure_query(texts: list[str]) -> list[dict[str, Any]]:
    """Counting one short text, as a query does."""
    query, calls = "return a sorted copy of an array", 2_000
    rows = []
    for family in (WORDS, TRIGRAMS):
        begin = time.perf_counter()
        for _ in range(calls):
            count_ngrams([query], family=family.kind, ngram_min=family.ngram_min, ngram_max=family.ngram_max)
        microseconds = (time.perf_counter() - begin) / calls * 1e6
        row = {"dataset": "one query", "contender": "fingerpost counts", "setting": family.kind}
        rows.append(row | {"texts": 1, "microseconds": microseconds})
    return rows


def our_svd(texts: list[str], params: SvdParams) -> dict[str, Any]:
    """Features and factorisation by us; ``energy`` is the share of the squared entries that the projection keeps."""
    features = tfidf_features(texts, FamilyParams("word", 1, 3, max_terms=SVD_TERMS, min_df=2))
    begin = time.process_time()
    model = factorize([features], params, energy=features.shape[0])
    spent = time.process_time() - begin
    return {"svd_seconds": spent, "energy": kept_energy(features, model.components)}


def sklearn_svd(texts: list[str], iterations: int) -> dict[str, Any]:
    """The same by scikit-learn."""
    features = TfidfVectorizer(ngram_range=(1, 3), max_features=SVD_TERMS, min_df=2).fit_transform(texts)
    begin = time.process_time()
    model = TruncatedSVD(RANK, algorithm="randomized", n_iter=iterations, random_state=0).fit(features)
    spent = time.process_time() - begin
    return {"svd_seconds": spent, "energy": kept_energy(features, model.components_.T)}


def kept_energy(features: sparse.csr_array, components: np.ndarray) -> float:
    """Share of the squared entries that lies in the span of orthonormal components."""
    projected = features @ np.ascontiguousarray(components)
    return float(np.sum(np.square(projected, dtype=np.float64)) / features.multiply(features).sum())


def measure_svd(texts: list[str], *, repeats: int) -> list[dict[str, Any]]:
    """Dense vectors: our passes beside scikit-learn's randomized solver with few and with its usual iterations."""
    passes = (2, 3)
    contenders: dict[str, Callable[[], Any]] = {
        f"fingerpost, {count} passes": lambda count=count: our_svd(texts, SvdParams(rank=RANK, passes=count))
        for count in passes
    }
    contenders |= {
        f"sklearn TruncatedSVD, {count} iterations": lambda count=count: sklearn_svd(texts, count) for count in (1, 5)
    }
    rival = "sklearn TruncatedSVD, 5 iterations"
    timed = take_turns(contenders, repeats)
    rivals = {
        f"fingerpost, {passes[0]} passes": "sklearn TruncatedSVD, 1 iterations",
        f"fingerpost, {passes[1]} passes": rival,
    }
    rows = table_rows(timed, setting=f"tf-idf words 1-3 and rank {RANK}", rivals=rivals, texts=len(texts))
    for row in rows:
        if "rival" in row:
            row["svd_ratio"] = timed[row["rival"]][1]["svd_seconds"] / row["svd_seconds"]
    return rows


def main() -> None:
    """Measure, print and write ``bench-results/corpus.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="every eighth text, once")
    quick = parser.parse_args().quick
    texts = load_texts()[:: 8 if quick else 1]
    repeats = 1 if quick else 3
    with threadpool_limits(1):
        rows = measure_family(texts, WORDS, repeats=repeats)
        rows += measure_family(texts, TRIGRAMS, repeats=repeats)
        rows += measure_query(texts)
        rows += measure_svd(texts[:: 1 if quick else 2], repeats=1 if quick else 3)
    print_table(rows, "Corpus features")
    print(f"written to {write_rows('corpus', rows, quick=quick)}")


if __name__ == "__main__":
    main()
