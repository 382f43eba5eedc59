"""Judged collections as the benchmarks of search read them, and rankings measured on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fingerpost.tasks.ann.judged import IntervalParams, Judgements, mean_of, paired, query_metrics
from tests.data import data_file

NAMES = ("cranfield", "npl", "nfcorpus-test")


@dataclass(frozen=True)
class JudgedSet:
    """A collection with judged queries; every query has a relevant document."""

    name: str
    path: str
    ids: list[str]
    titles: list[str]
    texts: list[str]
    queries: list[str]
    judgements: Judgements

    @property
    def joined(self) -> list[str]:
        """Title and text of each document as one text."""
        return [f"{title} {text}" for title, text in zip(self.titles, self.texts, strict=True)]

    def rows_of(self, answers: Sequence[Sequence[str]], depth: int) -> NDArray[np.int64]:
        """Rankings of ids as rows, int64 (queries, depth), padded with -1."""
        place = {key: row for row, key in enumerate(self.ids)}
        ranked = np.full((len(answers), depth), -1, dtype=np.int64)
        for query, keys in enumerate(answers):
            ranked[query, : len(keys)] = [place[key] for key in keys[:depth]]
        return ranked


def judged_set(name: str) -> JudgedSet:
    """A collection of the data folder; FileNotFoundError and the like where it is absent."""
    files = {part: data_file("ir", f"{name}/{part}.parquet") for part in ("documents", "queries", "judgements")}
    documents, queries, judged = (pq.read_table(file).to_pydict() for file in files.values())
    row, number = ({key: place for place, key in enumerate(table["id"])} for table in (documents, queries))
    pairs = zip(judged["query_id"], judged["document_id"], judged["grade"], strict=True)
    known = [(number[query], row[key], grade) for query, key, grade in pairs if query in number and key in row]
    columns = (np.array(column) for column in zip(*known, strict=True))
    judgements = Judgements.of(*columns, count=len(number))
    kept = np.flatnonzero(judgements.relevant > 0).astype(np.int64)
    return JudgedSet(
        name,
        str(files["documents"]),
        documents["id"],
        [title or "" for title in documents["title"]],
        [text or "" for text in documents["text"]],
        [queries["query"][place] for place in kept],
        judgements.take(kept),
    )


@dataclass(frozen=True)
class Measured:
    """The metrics of one contender on a collection, by query."""

    contender: str
    kind: str
    metrics: Mapping[str, NDArray[np.float64]]

    @property
    def ndcg(self) -> float:
        """Mean nDCG@10."""
        return float(self.metrics["ndcg_at_10"].mean())


def measured(data: JudgedSet, contender: str, kind: str, ranked: NDArray[np.int64]) -> Measured:
    """The metrics of rankings of a collection's queries."""
    return Measured(contender, kind, query_metrics(ranked, data.judgements))


def table_rows(data: JudgedSet, found: Sequence[Measured]) -> list[dict[str, Any]]:
    """One row a contender, in per cent, with the 95 % interval of nDCG; ours beside the best rival of their kind."""
    rows = []
    for one in found:
        ends = mean_of(one.metrics["ndcg_at_10"], IntervalParams())
        row: dict[str, Any] = {"dataset": data.name, "contender": one.contender, "setting": one.kind}
        row |= {name: round(100 * float(values.mean()), 2) for name, values in one.metrics.items()}
        row |= {"low": round(100 * ends.low, 1), "high": round(100 * ends.high, 1)}
        if one.contender.startswith("fingerpost"):
            rivals = [other for other in found if other.kind == one.kind and other is not one]
            best = max(rivals, key=lambda other: other.ndcg)
            test = paired(one.metrics["ndcg_at_10"], best.metrics["ndcg_at_10"])
            row |= {"probability": round(test.probability, 4), "ratio": one.ndcg / best.ndcg, "rival": best.contender}
        rows.append(row)
    return rows
