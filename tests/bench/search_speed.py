"""Lexical search beside bm25s on the texts of debian12: queries a second, answers, time and size of the index.

Where ``FINGERPOST_PEERS`` has an environment ``bm25s`` (bm25s, numba, PyStemmer); ours alone elsewhere. One thread, CPU
seconds, from texts of queries to names of packages. Contenders take turns in one run and the median of the
repeats counts. bm25s (numpy, its default, and numba) gets all queries at once, which it is made for; we get them one by one,
as users send them, and once more at once. A query's answer is the package that it is taken from: its summary, or 2 to 4 words
in a row of it.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from scipy import sparse

from fingerpost.tasks.ann.open import LiveIndex
from fingerpost.tasks.corpus.analyzer import Analyzer, AnalyzerParams
from fingerpost.tasks.corpus.field_weights import FieldWeightParams, best_field_weights
from fingerpost.tasks.corpus.impacts import term_impacts
from fingerpost.tasks.corpus.lexicon import Lexicon, shard_lexicon
from fingerpost.tasks.corpus.postings import Postings, build_postings
from fingerpost.tasks.corpus.term_counts import count_terms
from tests.bench.peers import PeerProcess, peer_python
from tests.bench.results import print_table, write_rows
from tests.data import data_file

DATASET = "debian12"
ENVIRONMENT, DRIVER = "bm25s", Path(__file__).with_name("peer_bm25s.py")
K = 10
Row = dict[str, Any]
#: Text queries to their names, CPU seconds aside.
Search = Callable[[list[str]], tuple[float, list[list[str]]]]


def load(*, quick: bool) -> tuple[list[str], list[str]]:
    """Names of packages, and their summary and description as paragraphs."""
    table = pq.read_table(data_file(DATASET, "packages.parquet"), columns=["package", "summary", "description"])
    names, *parts = (table[name].to_pylist() for name in ("package", "summary", "description"))
    texts = [f"{summary or ''}\n\n{description or ''}" for summary, description in zip(*parts, strict=True)]
    return (names[::10], texts[::10]) if quick else (names, texts)


def known_items(texts: list[str], *, count: int, seed: int) -> dict[str, tuple[list[str], list[int]]]:
    """Queries and the rows that they are taken from: whole summaries, and 2 to 4 words in a row of them."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(texts), count, replace=False).tolist()
    summaries = [texts[row].split("\n\n", 1)[0] for row in rows]
    short = []
    for words in map(str.split, summaries):
        length = int(rng.integers(2, 5))
        start = int(rng.integers(0, max(1, len(words) - length + 1)))
        short.append(" ".join(words[start : start + length]))
    return {"summaries": (summaries, rows), "2 to 4 words": (short, rows)}


class Ours:
    """The lexical side of an index, made as the flow makes it."""

    def __init__(self, names: list[str], texts: list[str]) -> None:
        self.names, self.analyzer = names, Analyzer(AnalyzerParams(language="english"))
        start = time.process_time()
        counts = count_terms(names, texts, self.analyzer)
        self.lexicon: Lexicon = shard_lexicon(counts).with_stop(self.analyzer.stop_words)
        weights = best_field_weights(
            names, texts, analyzer=self.analyzer, counts=counts, lexicon=self.lexicon, params=FieldWeightParams()
        ).weights
        self.postings: Postings = build_postings(term_impacts(counts, self.lexicon, weights))
        self.seconds = time.process_time() - start
        arrays = {**self.postings.arrays(), **self.postings.forward_arrays(), "letters": self.lexicon.letters}
        self.megabytes = sum(array.nbytes for array in arrays.values()) / 1e6

    def _query(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        known, counts = self.lexicon.counted(self.analyzer.query_tokens(text))
        content = ~self.lexicon.stop[known]
        return (known[content], counts[content]) if content.any() else (known, counts)

    def one_by_one(self, queries: list[str]) -> tuple[float, list[list[str]]]:
        """Every query for itself."""
        start, names, postings = time.process_time(), self.names, self.postings
        found = [[names[row] for row in postings.best(*self._query(text), K)[0].tolist()] for text in queries]
        return time.process_time() - start, found

    def at_once(self, queries: list[str]) -> tuple[float, list[list[str]]]:
        """All queries in one call."""
        start = time.process_time()
        terms = [self._query(text) for text in queries]
        indptr = np.cumsum([0, *(len(columns) for columns, _ in terms)])
        columns, weights = (np.concatenate(side) for side in zip(*terms, strict=True))
        asked = sparse.csr_array((weights, columns, indptr), shape=(len(queries), self.lexicon.size))
        rows, _ = self.postings.best_many(asked, K)
        found = [[self.names[row] for row in line if row >= 0] for line in rows.tolist()]
        return time.process_time() - start, found


def _served(index: LiveIndex, queries: list[str]) -> tuple[float, list[list[str]]]:
    """Every query for itself by a live index."""
    start = time.process_time()
    found = [[answer.title for answer in index.query(text, k=K).answers] for text in queries]
    return time.process_time() - start, found


class Theirs:
    """bm25s with one of its backends, in a process of its own."""

    def __init__(self, python: Path, file: Path, backend: str) -> None:
        self._peer = PeerProcess(python, DRIVER, str(file), backend)
        self.version = self._peer.ask({"do": "probe"})["version"]
        made = self._peer.ask({"do": "index"})
        self.seconds, self.megabytes = made["seconds"], made["megabytes"]

    def at_once(self, queries: list[str]) -> tuple[float, list[list[str]]]:
        """All queries in one call."""
        answer = self._peer.ask({"do": "search", "queries": queries, "k": K})
        return answer["seconds"], answer["names"]

    def close(self) -> None:
        """Ends the process."""
        self._peer.close()


def gain(found: list[list[str]], wanted: list[str]) -> float:
    """nDCG@10 where one document is the answer, mean over queries."""
    places = [names.index(name) if name in names else None for names, name in zip(found, wanted, strict=True)]
    return float(np.mean([0.0 if place is None else 1 / np.log2(place + 2) for place in places]))


def take_turns(
    searches: dict[str, Search], queries: list[str], repeats: int
) -> dict[str, tuple[float, list[list[str]]]]:
    """Median CPU seconds of each contender, and its answers."""
    seconds: dict[str, list[float]] = {name: [] for name in searches}
    answers: dict[str, list[list[str]]] = {}
    for _ in range(repeats):
        for name, search in searches.items():
            spent, answers[name] = search(queries)
            seconds[name].append(spent)
    return {name: (statistics.median(spent), answers[name]) for name, spent in seconds.items()}


def search_rows(
    setting: str, searches: dict[str, Search], queries: list[str], wanted: list[str], repeats: int
) -> list[Row]:
    """One row a contender: queries a second and nDCG@10, and ours over each rival's."""
    rows, timed = [], take_turns(searches, queries, repeats)
    for name, (seconds, found) in timed.items():
        row: Row = {"dataset": DATASET, "contender": name, "setting": setting, "queries": len(queries)}
        row |= {"queries_a_second": len(queries) / seconds, "ndcg_at_10": round(gain(found, wanted), 4)}
        rivals = [rival for rival in timed if rival.startswith("bm25s")] if name.startswith("fingerpost") else []
        if not rivals:
            rows.append(row)
        rows += [row | {"ratio": timed[rival][0] / seconds, "rival": rival} for rival in rivals]
    return rows


def rows(quick: bool, *, served: LiveIndex | None = None) -> list[Row]:
    """All rows; without the peers' environment those of ours alone. served: a live index of the same texts, whose answers to
    queries one by one are measured too: by words and vectors, as people get them.
    """
    names, texts = load(quick=quick)
    ours, theirs = Ours(names, texts), dict[str, Theirs]()
    python = peer_python(ENVIRONMENT)
    made: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        if python is not None:
            file = Path(folder) / "texts.json"
            joined = [f"{name}\n\n{text}" for name, text in zip(names, texts, strict=True)]
            file.write_text(json.dumps({"names": names, "texts": joined}), "utf-8")
            theirs = {f"bm25s {backend}": Theirs(python, file, backend) for backend in ("numpy", "numba")}
        contenders: dict[str, Ours | Theirs] = {"fingerpost lexical": ours, **theirs}
        for name, built in contenders.items():
            figures = {"build_seconds": built.seconds, "megabytes": round(built.megabytes, 1), "documents": len(names)}
            made.append({"dataset": DATASET, "contender": name, "setting": "build", **figures})
        searches: dict[str, Search] = {"fingerpost one by one": ours.one_by_one, "fingerpost at once": ours.at_once}
        if served is not None:
            searches["fingerpost, served"] = lambda queries: _served(served, queries)
        searches |= {name: peer.at_once for name, peer in theirs.items()}
        asked = known_items(texts, count=200 if quick else 1_000, seed=7)
        for setting, (queries, places) in asked.items():
            wanted = [names[row] for row in places]
            made += search_rows(setting, searches, queries, wanted, 3)
        for peer in theirs.values():
            peer.close()
    return made


if __name__ == "__main__":
    found = rows(quick=False)
    print_table(found, "Lexical search")
    write_rows("search_speed", found)
