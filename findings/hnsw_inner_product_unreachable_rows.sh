#!/bin/sh
# faiss-cpu 1.15.1 and hnswlib 0.8.0: by inner product, a tenth of the rows or more is in no answer, however wide the search.
#
# Expected: a search as wide as the index is large (efSearch, ef = number of rows) finds every row, as it does by L2.
# Seen: where vectors have different lengths, neighbours by inner product are the long ones, and a list that is full lets go of
# the others; so short vectors are in nobody's list and no search comes there. Without a filter that goes unseen, as short
# vectors are nobody's best answers. With a filter that passes the tenth of the rows with the shortest vectors (items that few
# people bought, of factors whose length is how often) a fifth of the right answers is never found. With vectors of length one
# all is well. In both libraries alike, M 16, ef_construction 200, 3,000 vectors of 16 numbers, their lengths log-normal.
#
# Prints for both kinds of vectors which rows are reached and what the filtered search finds, and fails if that changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check "faiss-cpu==1.15.1" "hnswlib==0.8.0" "numpy==2.4.6"
"$work/venv/bin/python" - > "$work/seen" <<'PY'
import faiss
import hnswlib
import numpy as np

ROWS, DIMENSIONS, K = 3000, 16, 10
faiss.omp_set_num_threads(1)
rng = np.random.default_rng(0)
unit = rng.standard_normal((ROWS, DIMENSIONS)).astype(np.float32)
unit /= np.linalg.norm(unit, axis=1, keepdims=True)
lengths = np.exp(rng.standard_normal((ROWS, 1))).astype(np.float32)
queries = rng.standard_normal((50, DIMENSIONS)).astype(np.float32)
few = np.sort(np.argsort(lengths[:, 0])[: ROWS // 10])


def by_faiss(vectors):
    index = faiss.IndexHNSWFlat(DIMENSIONS, 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 200
    index.add(vectors)
    chosen = faiss.SearchParametersHNSW(sel=faiss.IDSelectorBatch(few), efSearch=ROWS)
    all_rows = faiss.SearchParametersHNSW(efSearch=ROWS)
    reached = index.search(queries[:1], ROWS, params=all_rows)[1]
    return int((reached >= 0).sum()), index.search(queries, K, params=chosen)[1].tolist()


def by_hnswlib(vectors):
    index = hnswlib.Index(space="ip", dim=DIMENSIONS)
    index.init_index(ROWS, ef_construction=200, M=16, random_seed=1)
    index.add_items(vectors, num_threads=1)
    index.set_ef(ROWS)
    reached, passing = set(), set(few.tolist())

    def all_rows(label):  # asked of every row that the search comes to
        reached.add(label)
        return True

    index.knn_query(queries[:1], k=1, num_threads=1, filter=all_rows)
    found = [index.knn_query(query, k=K, num_threads=1, filter=passing.__contains__)[0][0].tolist() for query in queries]
    return len(reached), found


for name, vectors in (("length one", unit), ("lengths that differ", unit * lengths)):
    best = few[np.argsort(-queries @ vectors[few].T, axis=1)[:, :K]].tolist()
    for library, search in (("faiss", by_faiss), ("hnswlib", by_hnswlib)):
        reached, found = search(vectors)
        recall = np.mean([len(set(one) & set(other)) / K for one, other in zip(found, best)])
        rows = "all rows are" if reached == ROWS else "less than 95 % of the rows are" if reached < 0.95 * ROWS else reached
        part = "above 0.99" if recall > 0.99 else "below 0.9" if recall < 0.9 else recall
        print(name, "|", library, "|", rows, "reached | recall with the filter is", part)
PY
cat "$work/seen"
cat > "$work/expected" <<'OUT'
length one | faiss | all rows are reached | recall with the filter is above 0.99
length one | hnswlib | all rows are reached | recall with the filter is above 0.99
lengths that differ | faiss | less than 95 % of the rows are reached | recall with the filter is below 0.9
lengths that differ | hnswlib | less than 95 % of the rows are reached | recall with the filter is below 0.9
OUT
diff "$work/expected" "$work/seen"
