"""The data sets of the ranker's benchmarks: as matrices for every contender, and as files of interactions.

``python -m tests.bench.xmr_inputs FOLDER`` writes debian12 and delicious, each into a folder of its name, as
``interactions.parquet`` (the training rows), ``test.parquet`` and ``labels.parquet``.
"""

import collections
import shutil
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import sparse

from fingerpost.schemas.inputs.interactions import InteractionBatch, read_interactions
from tests.data import data_file

PARTS = ("X_train", "Y_train", "X_test", "Y_test")


@dataclass(frozen=True)
class DebianTask:
    """Packages that depend on something: their names, texts, the packages they depend on, and which of them are the test.

    ``labels`` are names that at least two training packages depend on, in order. Binary packages of one source are all
    training or all test.
    """

    names: list[str]
    texts: list[str]
    depends: list[list[str]]
    test: np.ndarray
    labels: list[str]

    def targets(self, mask: np.ndarray) -> sparse.csr_matrix:
        """The labels of the rows of a mask as CSR of ones."""
        index = {name: column for column, name in enumerate(self.labels)}
        rows = [self.depends[row] for row in np.flatnonzero(mask)]
        pairs = [(row, index[name]) for row, names in enumerate(rows) for name in names if name in index]
        i, j = np.array(pairs).T
        return sparse.csr_matrix((np.ones(len(i), np.float32), (i, j)), shape=(len(rows), len(index)))


def debian_task() -> DebianTask:
    """The task as the peers' own preparation makes it, row by row, so that published figures compare."""
    table = pq.read_table(data_file("debian12", "packages.parquet")).to_pandas()
    table = table[table.depends.map(len) > 0].reset_index(drop=True)
    test = np.array([zlib.crc32(source.encode()) % 10 == 0 for source in table.source])
    names = table.package.str.replace(r"[-.+]", " ", regex=True)
    text = names + " " + table.section.fillna("") + " " + table.summary + " " + table.description
    count = collections.Counter(name for row in table.depends[~test] for name in row)
    labels = sorted(name for name, n in count.items() if n >= 2)
    return DebianTask(list(table.package), list(text), [list(row) for row in table.depends], test, labels)


def write_debian_matrices(out: Path) -> None:
    """``X_train``, ``Y_train``, ``X_test`` and ``Y_test``: TF-IDF of word 1- and 2-grams, rows without known label left out."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    task = debian_task()
    texts = np.array(task.texts, dtype=object)
    tfidf = TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True, dtype=np.float32)
    x = {"train": tfidf.fit_transform(texts[~task.test]), "test": tfidf.transform(texts[task.test])}
    for part, mask in (("train", ~task.test), ("test", task.test)):
        y = task.targets(mask)
        keep = np.asarray(y.sum(1)).ravel() > 0
        sparse.save_npz(out / f"X_{part}.npz", x[part][keep].tocsr())
        sparse.save_npz(out / f"Y_{part}.npz", y[keep].tocsr())


def write_delicious_matrices(out: Path) -> None:
    """The four matrices of delicious as they come."""
    for part in PARTS:
        shutil.copyfile(data_file("delicious", f"{part}.npz"), out / f"{part}.npz")


def write_delicious_files(out: Path) -> dict[str, Path]:
    """Delicious as files ``interactions`` (training rows), ``test`` and ``labels``.

    A row's text is the names of its features, and its id says which row it is, as rows with the same words are many. A label's
    name is its id without ``TAG_``.
    """
    words, labels = (data_file("delicious", f"{name}.txt").read_text().splitlines() for name in ("features", "labels"))
    tables = {"labels": pa.table({"id": labels, "name": [label.removeprefix("TAG_") for label in labels]})}
    for name, part in (("interactions", "train"), ("test", "test")):
        x, y = (sparse.load_npz(data_file("delicious", f"{of}_{part}.npz")).tocsr() for of in "XY")
        texts = [" ".join(words[column] for column in np.sort(row.indices)) for row in x]
        rows, columns = y.nonzero()
        found = [
            [texts[row] for row in rows],
            [labels[column] for column in columns],
            [f"{part} {row}" for row in rows],
        ]
        tables[name] = pa.table(found, names=["query", "label", "query_id"])
    return _written(tables, out)


def write_debian_files(out: Path) -> dict[str, Path]:
    """The same task as files: ``interactions`` (training rows), ``test`` and ``labels`` (summary and description as text).

    Only known labels count, so that the files hold the pairs that the matrices have; the query's id is the package.
    """
    task = debian_task()
    known = frozenset(task.labels)
    tables = {"labels": _debian_labels(task)}
    for name, mask in (("interactions", ~task.test), ("test", task.test)):
        rows = [(row, label) for row in np.flatnonzero(mask) for label in task.depends[row] if label in known]
        columns = [
            [task.texts[row] for row, _ in rows],
            [label for _, label in rows],
            [task.names[row] for row, _ in rows],
        ]
        tables[name] = pa.table(columns, names=["query", "label", "query_id"])
    return _written(tables, out)


def _written(tables: dict[str, pa.Table], out: Path) -> dict[str, Path]:
    out.mkdir(parents=True, exist_ok=True)
    paths = {name: out / f"{name}.parquet" for name in tables}
    for name, table in tables.items():
        pq.write_table(table, paths[name])
    return paths


def _debian_labels(task: DebianTask) -> pa.Table:
    """The packages depended on; those that are none, such as virtual ones, have no text."""
    table = pq.read_table(data_file("debian12", "packages.parquet"), columns=["package", "summary", "description"])
    texts = {row["package"]: f"{row['summary']}\n{row['description']}" for row in table.to_pylist()}
    return pa.table({"id": task.labels, "name": task.labels, "text": [texts.get(name, "") for name in task.labels]})


def debian_interactions(folder: Path) -> tuple[InteractionBatch, InteractionBatch]:
    """Training and test interactions by way of the files in ``folder``; their labels have the same row numbers."""
    paths = write_debian_files(folder)
    train, test = (read_interactions(paths[name], paths["labels"]) for name in ("interactions", "test"))
    return train, test


if __name__ == "__main__":
    for data, write in (("debian12", write_debian_files), ("delicious", write_delicious_files)):
        for path in write(Path(sys.argv[1]) / data).values():
            print(path)
