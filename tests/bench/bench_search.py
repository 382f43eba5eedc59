"""Search: judged collections, the built-in sample and speed: ``python -m tests.bench.bench_search [--quick] [PART ...]``.

Every collection goes the whole way: ``fingerpost run nightly`` at its defaults into a store of its own, answers by
``live().query``. Beside it, on the same queries, lexical and dense search of the literature and their fusions (``search_rivals``).
Nothing is chosen on the judgements.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

import fingerpost
from fingerpost.schemas import ann
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.open import LiveIndex
from fingerpost.tasks.ann.retrieval import rankings
from tests.bench import search_speed
from tests.bench.judged_sets import NAMES, JudgedSet, judged_set, measured, table_rows
from tests.bench.results import ROOT, print_table, write_rows
from tests.bench.search_rivals import DEPTH, Rivals
from tests.support.sample_questions import QUESTIONS

SAMPLE = "python-docs"
#: Least nDCG@10 and recall@100, in per cent, of the served answers.
BARS = {"cranfield": (38.8, 77.5), "npl": (44.0, 60.5), "nfcorpus-test": (37.0, 33.0)}
#: Least MRR of known items, with the sentence that is the query in the text and without it.
KNOWN_ITEMS = {"whole": 0.90, "without_sentence": 0.12}
#: Least number of questions with an obvious answer among the first five.
ANSWERED = 15
#: Least queries a second as a multiple of the peer's, by its default.
LEAST_SPEED = 3.0
#: Most time of a query as a multiple of the other version's.
MOST_TIME = 1.3

Row = dict[str, Any]


def ran(flow: str, store: Path, *arguments: str) -> None:
    """Runs a flow by the command; CalledProcessError where it fails."""
    command = [str(Path(sys.executable).with_name("fingerpost")), "run", flow, *arguments]
    environment = {**os.environ, "FINGERPOST_STORE": str(store)}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)


def build_row(store: Path, index: LiveIndex, name: str) -> Row:
    """What the parts of an index took to make and take to keep, in CPU seconds and megabytes."""
    opened = Store(str(store))
    made = {role: opened.manifest(ref) for role, ref in index.members.items()}
    seconds = {role: float(manifest.run["cpu_seconds"]) for role, manifest in made.items()}
    size = {role: sum(file.bytes for file in manifest.files) / 1e6 for role, manifest in made.items()}
    return {
        "dataset": name,
        "contender": "fingerpost",
        "documents": index.documents.num_rows,
        "cpu_seconds": round(sum(seconds.values()), 1),
        "megabytes": round(sum(size.values()), 1),
        "lexical_cpu_seconds": round(sum(seconds[role] for role in _LEXICAL), 1),
        "lexical_megabytes": round(sum(size[role] for role in _LEXICAL), 1),
    }


#: The parts of an index that search by words needs.
_LEXICAL = ("analyzer", "term_counts", "lexicon", "field_weights", "postings")


def served(index: LiveIndex, queries: list[str]) -> list[list[str]]:
    """The ids of the first hundred answers to each query, as a user gets them."""
    return [[answer.id for answer in index.query(query, k=DEPTH).answers] for query in queries]


def judged_rows(data: JudgedSet, store: Path) -> list[Row]:
    """Our answers to the queries of a judged collection beside the rivals of each kind."""
    ran("nightly", store, "--input", data.path, "--collection", data.name)
    index = fingerpost.live(data.name, store=str(store))
    answers = data.rows_of(served(index, data.queries), DEPTH)
    # Rows of the index are not those of the file, of which some may be quarantined.
    row_of = np.append(data.rows_of([index.documents["id"].to_pylist()], index.documents.num_rows)[0], -1)
    apart = {kind: row_of[rows] for kind, rows in rankings(index.engine, data.queries, depth=DEPTH).items()}
    found = [measured(data, name, kind, ranked) for name, kind, ranked in Rivals(data.joined, data.queries).rankings()]
    found += [
        measured(data, f"fingerpost, {kind}", kind, ranked) for kind, ranked in {**apart, "fused": answers}.items()
    ]
    rows = table_rows(data, found)
    least = BARS[data.name]
    rows[-1] |= {"least_ndcg": least[0], "least_recall": least[1]}
    return [*rows, build_row(store, index, data.name)]


def sample_rows(store: Path) -> list[Row]:
    """Known items of the built-in sample by the report's own evaluation, and questions of engineers."""
    ran("build_ann_index", store)
    index = fingerpost.live(SAMPLE, store=str(store))
    retrieval = Store(str(store)).open(index.members["retrieval"], ann.RETRIEVAL)
    values: dict[tuple[str, str], Row] = {}
    for row in retrieval.read("figures").to_pylist():
        values.setdefault((row["setting"], row["method"]), {})[row["metric"]] = row["value"]
    rows: list[Row] = [
        {"dataset": SAMPLE, "contender": method, "setting": f"known items, {setting}"}
        | {name: found[name] for name in ("mrr", "recall_at_10", "queries")}
        | ({"least": KNOWN_ITEMS[setting]} if method == "fused" else {})
        for (setting, method), found in values.items()
    ]
    return [*rows, *question_rows(index), build_row(store, index, SAMPLE)]


def question_rows(index: LiveIndex) -> list[Row]:
    """The rank of the first right answer to each question, and how many have one among the first five."""
    rows, answered = list[Row](), 0
    for question, right in QUESTIONS:
        ids = [answer.id for answer in index.query(question, k=DEPTH).answers]
        rank = next((place for place, key in enumerate(ids, start=1) if key in right), 0)
        answered += 0 < rank <= 5
        rows.append({"dataset": SAMPLE, "contender": "fingerpost", "setting": question, "rank": rank, "first": ids[0]})
    total = {"answered": answered, "of": len(QUESTIONS), "least": ANSWERED}
    return [*rows, {"dataset": SAMPLE, "contender": "fingerpost", "setting": "questions", **total}]


#: Opens a live index, answers a first query, then all of them three times: seconds of opening, CPU ms a query.
_ASKED = """
import json, statistics, sys, time
import fingerpost
name, store, queries = json.load(sys.stdin)
wall, cpu = time.perf_counter(), time.process_time()
index = fingerpost.live(name, store=store)
index.query(queries[0])
opened = time.perf_counter() - wall, time.process_time() - cpu
spent = []
for _ in range(3):
    begin = time.process_time()
    for query in queries:
        [answer.title for answer in index.query(query).answers]
    spent.append(1e3 * (time.process_time() - begin) / len(queries))
print(json.dumps([*opened, statistics.median(spent)]))
"""


@dataclass(frozen=True)
class Version:
    """A version of the project: its checkout, with ``.venv`` in it, and a store that it filled."""

    name: str
    checkout: Path
    store: Path

    def asked(self, collection: str, queries: list[str]) -> list[float]:
        """Wall and CPU seconds until the first answer, and CPU milliseconds of a query, text to names, k 10, one thread."""
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        done = subprocess.run(
            [str(self.checkout / ".venv" / "bin" / "python"), "-c", _ASKED],
            input=json.dumps([collection, str(self.store), queries]),
            cwd=self.checkout,
            env={**os.environ, **threads},
            capture_output=True,
            text=True,
            check=True,
        )
        found: list[float] = json.loads(done.stdout)
        return found


def asked_rows(versions: list[Version], collection: str, queries: list[str], *, repeats: int = 5) -> list[Row]:
    """Opening and queries of some versions, which take turns; the first one beside the last one."""
    spent = {version.name: list[list[float]]() for version in versions}
    for _ in range(repeats):
        for version in versions:
            spent[version.name].append(version.asked(collection, queries))
    medians = {name: [statistics.median(column) for column in zip(*some, strict=True)] for name, some in spent.items()}
    rows: list[Row] = []
    for name, (wall, cpu, query) in medians.items():
        row: Row = {"dataset": collection, "contender": name, "setting": "open, then queries at k 10"}
        rows.append(row | {"open_s": wall, "open_cpu_s": cpu, "query_cpu_ms": query})
    if len(versions) > 1:
        ours, theirs = medians[versions[0].name], medians[versions[-1].name]
        rows[0] |= {"rival": versions[-1].name, "ratio": theirs[2] / ours[2], "open_ratio": theirs[1] / ours[1]}
    return rows


@dataclass(frozen=True)
class Asked:
    """What is measured: where the stores lie, and another version with its store, if there is one."""

    folder: Path
    quick: bool
    before: Version | None


def judged_part(asked: Asked) -> list[Row]:
    """The judged collections; with ``quick`` the smallest."""
    rows: list[Row] = []
    for name in NAMES[: 1 if asked.quick else None]:
        data = judged_set(name)
        rows += judged_rows(data, asked.folder / name)
        rows += asked_rows([Version("fingerpost", ROOT, asked.folder / name)], name, data.queries, repeats=1)
    return rows


def sample_part(asked: Asked) -> list[Row]:
    """The built-in sample, also beside another version's store of it."""
    store = asked.folder / "sample"
    rows = sample_rows(store)
    versions = [Version("fingerpost", ROOT, store), *([asked.before] if asked.before else [])]
    return [*rows, *asked_rows(versions, SAMPLE, [question for question, _ in QUESTIONS] * 10)]


def speed_part(asked: Asked) -> list[Row]:
    """Queries a second beside a peer, of search by words alone and of a live index over the same texts."""
    names, texts = search_speed.load(quick=asked.quick)
    file, store = asked.folder / "debian12.parquet", asked.folder / search_speed.DATASET
    pq.write_table(pa.table({"id": names, "title": names, "text": texts}), file)
    ran("build_ann_index", store, "--input", str(file), "--collection", search_speed.DATASET)
    index = fingerpost.live(search_speed.DATASET, store=str(store))
    return [*search_speed.rows(asked.quick, served=index), build_row(store, index, search_speed.DATASET)]


PARTS: dict[str, Callable[[Asked], list[Row]]] = {
    "judged": judged_part,
    "sample": sample_part,
    "speed": speed_part,
}


def grouped(rows: list[Row]) -> dict[str, list[Row]]:
    """Rows that have the same columns, by what they are about."""
    tables: dict[str, list[Row]] = {}
    for row in rows:
        about = next((words for name, words in _ABOUT.items() if name in row), "Search")
        tables.setdefault(about, []).append(row)
    return tables


_ABOUT = {
    "queries_a_second": "Queries a second",
    "ndcg_at_10": "Judged collections (per cent)",
    "megabytes": "What indexes cost",
    "open_s": "Opening and answering",
    "rank": "Questions",
    "mrr": "Known items",
}


def missed(rows: list[Row]) -> list[str]:
    """The bars that are not met, as lines."""
    lines = []
    for row in rows:
        if "least_ndcg" in row and (
            row["ndcg_at_10"] < row["least_ndcg"] or row["recall_at_100"] < row["least_recall"]
        ):
            lines.append(
                f"{row['dataset']}: nDCG@10 {row['ndcg_at_10']:.1f} and recall@100 {row['recall_at_100']:.1f}, expected"
                f" {row['least_ndcg']} and {row['least_recall']}"
            )
        if row.get("ratio", 1) < 1 and row.get("probability", 1) < 0.05:
            lines.append(f"{row['dataset']}: {row['setting']} nDCG@10 is {row['ratio']:.3f} of {row['rival']}'s")
        if row.get("rival") == "the version before" and row["ratio"] < 1 / MOST_TIME:
            lines.append(f"{row['dataset']}: a query takes {1 / row['ratio']:.2f} times that of {row['rival']}")
        if row.get("rival") == "bm25s numpy" and row["ratio"] < LEAST_SPEED:
            lines.append(
                f"{row['dataset']}, {row['setting']}: {row['contender']} {row['ratio']:.2f} times {row['rival']}"
            )
        value = row.get("answered", row.get("mrr"))
        if "least" in row and value < row["least"]:
            lines.append(f"{row['dataset']}, {row['setting']}: {value}, expected {row['least']}")
    return lines


def main() -> None:
    """Measure, print and write ``bench-results/search.json``; exit 1 where a bar is not met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="what to measure; all without any")
    parser.add_argument("--quick", action="store_true", help="the smallest judged collection, fewer texts for speed")
    parser.add_argument("--keep", type=Path, help="folder for the stores; a temporary one without it")
    parser.add_argument(
        "--before",
        nargs=2,
        type=Path,
        metavar=("CHECKOUT", "STORE"),
        help="another version, and its store of the sample",
    )
    asked = parser.parse_args()
    before = Version("the version before", *asked.before) if asked.before else None
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as temporary, threadpool_limits(1):
        what = Asked(asked.keep or Path(temporary), asked.quick, before)
        for name in asked.parts or PARTS:
            found = PARTS[name](what)
            for title, some in grouped(found).items():
                print_table(some, title)
            rows += found
    print(f"written to {write_rows('search', rows, quick=asked.quick)}")
    if lines := missed(rows):
        raise SystemExit("\n".join(["below the bars:", *lines]))


if __name__ == "__main__":
    main()
