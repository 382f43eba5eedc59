"""Feature families and baselines of the ranker: ``python -m tests.bench.bench_xmr_features [--rows N] [--data NAME]``.

One thread, CPU seconds of training. Each feature family alone and all together with the same ranker, then the ranker with all
features beside the baselines, on the same held-out queries; and what holds of the product-retrieval article's claim (recall@10
more than twice the neural model's and almost four times the linear one's, in a sixth of the neural model's training time).
"""

import argparse
import os
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from scipy import sparse
from threadpoolctl import threadpool_limits

from fingerpost.schemas.inputs.interactions import FirstSentenceSource, SeeAlsoSource
from fingerpost.schemas.inputs.merging import InteractionBatch
from fingerpost.schemas.inputs.python_docs import DISTRIBUTIONS
from fingerpost.tasks.corpus.ngrams import FamilyParams, NgramParams
from fingerpost.tasks.corpus.svd import SvdParams, factorize, projection
from fingerpost.tasks.corpus.tfidf import Featurizer, TfidfParams
from fingerpost.tasks.corpus.vocabulary import FamilyVocabulary, Vocabulary
from fingerpost.tasks.xmr.baselines import Bm25Labels, DenseLabels, featurizer_of
from fingerpost.tasks.xmr.clustering import ClusterParams, cluster_labels
from fingerpost.tasks.xmr.evaluation import (
    Candidate,
    Evaluation,
    FeaturizedTexts,
    JudgeParams,
    Scorecard,
    evaluate_candidate,
)
from fingerpost.tasks.xmr.frequent import FrequentLabels
from fingerpost.tasks.xmr.interactions import (
    TEST,
    InteractionParams,
    RowParams,
    TrainingRows,
    label_text,
    query_text,
    splits_of,
    training_rows,
)
from fingerpost.tasks.xmr.label_features import embed_labels
from fingerpost.tasks.xmr.ranking import Ranker
from fingerpost.tasks.xmr.towers import TOWER_NGRAMS, TOWER_TFIDF, TowerParams
from fingerpost.tasks.xmr.training import SolverParams, TrainingParams
from tests.bench.results import ROOT, Row, cpu_seconds, print_table, write_rows
from tests.data import data_file
from tests.support.rankers import train_ranker

DATA = ("python-docs-see-also", "debian12", "python-docs-names")
#: What the printed table has room for; the file has everything.
SHOWN = (
    "dataset",
    "contender",
    "precision_at_1",
    "recall_at_10",
    "propensity_precision_at_5",
    "coverage_at_10",
    "p50_ms",
    "train_s",
    "MB",
)
WORD = FamilyParams("word", 1, 1, max_terms=200_000, min_df=2)
WORDS = FamilyParams("word", 1, 3, max_terms=300_000, min_df=2)
#: Weights are spread over more features the more families there are, so the default pruning would decide the comparison.
LIGHT = 0.02
#: Words of a label's own text that are used, as the flow does.
LABEL_WORDS = 100
TRIGRAMS = FamilyParams("char", 3, 3, max_terms=50_000, min_df=2)


@dataclass(frozen=True)
class Features:
    """Families of n-grams with their weights, by inverse document frequency or by count alone."""

    name: str
    families: tuple[FamilyParams, ...]
    weights: tuple[float, ...] = (1.0,)
    idf: bool = True

    def featurizer(self, texts: list[str]) -> Featurizer:
        """Vocabulary and document frequencies of these texts."""
        ngrams = NgramParams(self.families, name_weight=0, first_weight=0, body_weight=1)
        made = featurizer_of(texts, ngrams, TfidfParams(sublinear=True, family_weights=self.weights))
        if self.idf:
            return made
        # A term of every document has the inverse document frequency 1.
        flat = tuple(
            FamilyVocabulary(family.terms, np.full(family.size, made.vocabulary.documents))
            for family in made.vocabulary.families
        )
        return replace(made, vocabulary=Vocabulary(made.vocabulary.documents, flat))


ALL = Features("words 1-3 + trigrams, TF-IDF", (WORDS, TRIGRAMS), (1.0, 0.6))
FEATURES = (
    Features("words 1, TF-IDF", (WORD,)),
    Features("words 1-3, TF-IDF", (WORDS,)),
    Features("trigrams, TF-IDF", (TRIGRAMS,)),
    Features("words 1-3, counts", (WORDS,), idf=False),
    Features("trigrams, counts", (TRIGRAMS,), idf=False),
    Features("words 1-3 + trigrams, counts", (WORDS, TRIGRAMS), (1.0, 0.6), idf=False),
    ALL,
)


@dataclass(frozen=True)
class Task:
    """Texts and labels of training and test rows; ``label_rows``: labels' own texts are training rows too."""

    name: str
    queries: list[str]
    targets: sparse.csr_array
    asked: list[str]
    truth: sparse.csr_array
    label_texts: list[str]
    label_rows: bool

    @property
    def counts(self) -> np.ndarray:
        """How many training queries have each label."""
        return np.bincount(self.targets.indices, minlength=self.targets.shape[1])

    def evaluation(self) -> Evaluation[list[str]]:
        """The test rows, with what propensities and frequency buckets need."""
        return Evaluation(self.asked, self.truth, self.counts, len(self.queries))


def task_of(name: str, batch: InteractionBatch, *, rows: int) -> Task:
    """Interactions split as the flow splits them; at most ``rows`` training queries, the first ones by a hash."""
    queries = [query_text(text) for text in batch.queries["text"].to_pylist()]
    ids = batch.queries["id"].to_pylist()
    of = np.array([part == TEST for part in splits_of(ids, InteractionParams(calibration_share=0.0))])
    labels = batch.labels.to_pylist()
    pairs = [batch.pairs[column].to_numpy() for column in ("weight", "query", "label")]
    matrix = sparse.csr_array((pairs[0], (pairs[1], pairs[2])), shape=(len(ids), len(labels)))
    train, test = sampled(np.flatnonzero(~of), ids, rows), np.flatnonzero(of)
    return Task(
        name,
        [queries[row] for row in train],
        matrix[train],
        [queries[row] for row in test],
        matrix[test],
        [shortened(label_text(label["id"], label["name"], label["text"])) for label in labels],
        label_rows=True,
    )


def shortened(text: str) -> str:
    """The first words of a label's text."""
    return " ".join(text.split()[:LABEL_WORDS])


def sampled(chosen: np.ndarray, ids: list[str], rows: int) -> np.ndarray:
    """At most ``rows`` of them (0: all), by a hash of the id."""
    if not rows or len(chosen) <= rows:
        return chosen
    order = np.argsort([zlib.crc32(b"sample " + ids[row].encode()) for row in chosen], kind="stable")
    return np.sort(chosen[order[:rows]])


def debian(rows: int) -> Task:
    """Package text to the packages it depends on, split by source package; labels seen at least twice in training."""
    table = pq.read_table(data_file("debian12", "packages.parquet")).to_pandas()
    names = table.package.str.replace(r"[-.+]", " ", regex=True)
    table["query"] = names + " " + table.section.fillna("") + " " + table.summary + " " + table.description
    told = dict(zip(table.package, names + " " + table.summary + " " + table.description, strict=True))
    table = table[table.depends.map(len) > 0].reset_index(drop=True)
    test = np.array([zlib.crc32(source.encode()) % 10 == 0 for source in table.source])
    train = sampled(np.flatnonzero(~test), table.package.tolist(), rows)
    count = Counter(name for row in table.depends.iloc[train] for name in row)
    index = {name: i for i, name in enumerate(sorted(name for name, n in count.items() if n >= 2))}

    def part(places: np.ndarray) -> tuple[list[str], sparse.csr_array]:
        known = [sorted(index[name] for name in table.depends.iloc[row] if name in index) for row in places]
        kept = [i for i, row in enumerate(known) if row]
        indptr = np.concatenate(([0], np.cumsum([len(known[i]) for i in kept])))
        flat = np.concatenate([known[i] for i in kept]).astype(np.int32)
        matrix = sparse.csr_array((np.ones(len(flat), np.float32), flat, indptr), shape=(len(kept), len(index)))
        matrix.sum_duplicates()
        matrix.data[:] = 1.0
        return [query_text(table["query"].iloc[places[i]]) for i in kept], matrix

    (queries, targets), (asked, truth) = part(train), part(np.flatnonzero(test))
    texts = [shortened(told.get(name, name)) for name in index]
    return Task("debian12", queries, targets, asked, truth, texts, label_rows=False)


def load(name: str, rows: int) -> Task:
    """One data set as a task."""
    if name == "debian12":
        return debian(rows)
    source = FirstSentenceSource if name == "python-docs-names" else SeeAlsoSource
    return task_of(name, source(tuple(DISTRIBUTIONS)).read(), rows=rows)


def rows_of(task: Task, features: Features) -> tuple[Featurizer, TrainingRows]:
    """Features of all training rows; the vocabulary is chosen from training queries, and label texts where they are rows."""
    texts = task.queries + (task.label_texts if task.label_rows else [])
    featurizer = features.featurizer(texts)
    rows = featurizer.transform(task.queries + task.label_texts)
    return featurizer, training_rows(rows, task.targets, RowParams(label_rows=task.label_rows))


def ranker(task: Task, features: Features, threshold: float = SolverParams().threshold) -> Candidate[list[str]]:
    """Our ranker at its defaults but for the pruning; seconds from texts to the model."""
    pruning = TrainingParams(solver=SolverParams(threshold=threshold))

    def train() -> tuple[Featurizer, Any]:
        featurizer, rows = rows_of(task, features)
        tree = cluster_labels(embed_labels(rows.features, rows.targets), ClusterParams())
        return featurizer, train_ranker(rows.features, rows.targets, tree, pruning).model

    seconds, (featurizer, model) = cpu_seconds(train)
    name = f"ranker, {features.name}" + (f", pruned at {threshold:g}" if threshold != LIGHT else "")
    return Candidate(name, FeaturizedTexts(featurizer, Ranker(model)), seconds, model.nbytes)


def dense(task: Task, *, of_text: bool, rank: int = 128) -> Candidate[list[str]]:
    """The nearest labels by SVD: of their texts, or of the mean of their rows (PIFA)."""

    def train() -> tuple[Featurizer, DenseLabels]:
        featurizer, rows = rows_of(task, ALL)
        model = factorize([rows.features], SvdParams(rank=rank), energy=rows.features.shape[0])
        components = projection(model, whitening=0.5)
        labels = rows.label_features if of_text else embed_labels(rows.features, rows.targets)
        return featurizer, DenseLabels.of_features(components, labels)

    seconds, (featurizer, answers) = cpu_seconds(train)
    name = "dense, label texts" if of_text else "dense, PIFA"
    return Candidate(name, FeaturizedTexts(featurizer, answers), seconds, answers.nbytes)


def towers(task: Task, limit: float) -> tuple[Candidate[list[str]], dict[str, Any]]:
    """The two-tower network; ``limit`` seconds of clock at most."""
    from fingerpost.tasks.xmr.two_tower import train_towers

    def train() -> tuple[Featurizer, DenseLabels, Any]:
        featurizer = featurizer_of(task.queries + task.label_texts, TOWER_NGRAMS, TOWER_TFIDF)
        queries, labels = featurizer.transform(task.queries), featurizer.transform(task.label_texts)
        targets = task.targets
        if task.label_rows:
            # The same rows as the ranker has: each label's own text is a query for it.
            rows = training_rows(sparse.vstack([queries, labels], format="csr"), targets, RowParams(label_rows=True))
            queries, targets = rows.features, rows.targets
        training = train_towers(queries, labels, targets, TowerParams(seconds=limit), clock=time.monotonic)
        return featurizer, training.towers.index(), training

    seconds, (featurizer, answers, training) = cpu_seconds(train)
    about = {"epochs": len(training.recalls), "best_epoch": training.best + 1, "out_of_time": training.out_of_time}
    return Candidate("two towers", FeaturizedTexts(featurizer, answers), seconds, answers.nbytes), about


def shown(task: Task, card: Scorecard, **more: Any) -> dict[str, Any]:
    """A row of the table: percentages, milliseconds, seconds, MB."""
    names = (
        "precision_at_1",
        "recall_at_10",
        "recall_at_100",
        "ndcg_at_10",
        "propensity_precision_at_5",
        "coverage_at_10",
    )
    row: dict[str, Any] = {"dataset": task.name, "contender": card.name, "setting": f"{len(task.queries)} rows"}
    row |= {name: 100 * card.metrics[name] for name in names}
    for bucket in card.buckets:
        row[f"seen_{bucket.minimum}_recall"] = 100 * bucket.recall
    return row | card.latency | {"train_s": card.seconds, "MB": card.nbytes / 2**20} | more


def claims(rows: list[dict[str, Any]]) -> list[Row]:
    """The article's claim beside what holds here, one row a data set."""
    out: list[Row] = []
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        mine = {row["contender"]: row for row in rows if row["dataset"] == dataset}
        ours, neural, lexical = (mine.get(name) for name in (f"ranker, {ALL.name}", "two towers", "BM25"))
        if not (ours and neural and lexical):
            continue
        recall = {name: row["recall_at_10"] for name, row in (("ours", ours), ("neural", neural), ("BM25", lexical))}
        out.append(
            {
                "dataset": dataset,
                "contender": "recall@10 ours / two towers",
                "setting": "article: more than 2",
                "here": recall["ours"] / max(recall["neural"], 1e-9),
                "holds": recall["ours"] > 2 * recall["neural"],
            }
        )
        out.append(
            {
                "dataset": dataset,
                "contender": "recall@10 ours / BM25",
                "setting": "article: almost 4 (its linear model)",
                "here": recall["ours"] / max(recall["BM25"], 1e-9),
                "holds": recall["ours"] > 3.5 * recall["BM25"],
            }
        )
        out.append(
            {
                "dataset": dataset,
                "contender": "training time ours / two towers",
                "setting": "article: 1/6",
                "here": ours["train_s"] / neural["train_s"],
                "holds": ours["train_s"] <= neural["train_s"] / 6 * 1.1,
            }
        )
    return out


def measure(task: Task, limit: float, keep: Callable[[list[dict[str, Any]]], object]) -> list[dict[str, Any]]:
    """All feature families with the ranker, then the baselines; ``keep`` is given the rows so far after each."""
    test, params = task.evaluation(), JudgeParams(timed=300)
    rows: list[dict[str, Any]] = []

    def judged(candidate: Candidate[list[str]], **more: Any) -> None:
        rows.append(shown(task, evaluate_candidate(candidate, test, params, clock=time.perf_counter), **more))
        keep(rows)
        figures = f"P@1 {rows[-1]['precision_at_1']:.1f}, recall@10 {rows[-1]['recall_at_10']:.1f}"
        print(f"{task.name} {candidate.name}: {figures}, {candidate.seconds:.1f} s", flush=True)

    for features in FEATURES:
        judged(ranker(task, features, LIGHT))
    for features in (FEATURES[0], ALL):
        judged(ranker(task, features))
    often = FrequentLabels(task.counts)
    judged(Candidate("most frequent", often, 0.0, often.nbytes))
    seconds, bm25 = cpu_seconds(lambda: Bm25Labels(task.label_texts))
    judged(Candidate("BM25", bm25, seconds, bm25.nbytes))
    for of_text in (True, False):
        judged(dense(task, of_text=of_text))
    network, about = towers(task, limit)
    judged(network, **about)
    return rows


def main() -> None:
    """Measure, print and write ``bench-results/xmr-features.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=0, help="training queries at most, by a hash; 0: all")
    parser.add_argument("--data", choices=DATA, action="append")
    parser.add_argument(
        "--tower-seconds", type=float, default=0.0, help="clock seconds of the network at most; 0: no limit"
    )
    options = parser.parse_args()
    os.chdir(ROOT)
    rows: list[dict[str, Any]] = []
    with threadpool_limits(1):
        for name in options.data or DATA:
            before = list(rows)

            def keep(more: list[dict[str, Any]], before: list[dict[str, Any]] = before) -> None:
                # After each contender, so that a run which is stopped leaves what it has.
                write_rows("xmr-features", before + more, claims=claims(before + more), options=vars(options))

            rows += measure(load(name, options.rows), options.tower_seconds, keep)
    print_table([{key: value for key, value in row.items() if key in SHOWN} for row in rows], "Features and baselines")
    print_table(claims(rows), "The article's claim")
    print(f"written to {write_rows('xmr-features', rows, claims=claims(rows), options=vars(options))}")


if __name__ == "__main__":
    main()
