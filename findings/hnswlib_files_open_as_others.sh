#!/bin/sh
# hnswlib 0.8.0: a file of an index opens with fewer dimensions and in another space, and answers.
#
# Expected: load_index refuses a file that was made with another dim or space, or takes those of the file.
# Seen: a file has the size of its rows and neither dim nor space. An Index of fewer dimensions than the file's opens it, looks
# at the first numbers of each vector alone, and its distances are those of these; get_items gives vectors that are cut. An
# Index of another space compares by its own measure over a graph that was made for another; cosine takes vectors for scaled
# that are not, so a "distance" can be -70. The width of searches, ef, is not kept: 10 again. Labels below 0 come back as
# numbers from 2^63 on. So dim, space and ef belong beside the file, with a check of a known row after it was opened.
#
# Prints what such indexes say, and fails if any of it changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check "hnswlib==0.8.0" "numpy==2.4.6"
"$work/venv/bin/python" - "$work/index" > "$work/seen" <<'PY'
import sys

import hnswlib
import numpy as np

vectors = np.random.default_rng(0).integers(1, 40, size=(300, 6)).astype(np.float32)
query = np.array([[8, 9, 7, 3, 5, 2]], np.float32)
made = hnswlib.Index(space="l2", dim=6)
made.init_index(max_elements=300, M=8, ef_construction=100, random_seed=1)
made.add_items(vectors, np.arange(300) - 5, num_threads=1)
made.set_ef(300)
made.save_index(sys.argv[1])
print("labels from -5 to 294 are", min(made.get_ids_list()), "to", max(made.get_ids_list()))
for space, dim in (("l2", 6), ("l2", 4), ("l2", 1), ("cosine", 6)):
    opened = hnswlib.Index(space=space, dim=dim)
    opened.load_index(sys.argv[1])
    kept, cut = opened.ef, vectors[:, :dim]
    opened.set_ef(300)
    label, distance = (found[0, 0] for found in opened.knn_query(query[:, :dim], k=1, num_threads=1))
    row = int(np.int64(np.uint64(label))) + 5
    squares = np.square(cut - query[:, :dim]).sum(axis=1)
    held = np.array_equal(opened.get_items([label], return_type="numpy")[0], cut[row])
    how = "nearest by its numbers" if squares[row] == squares.min() == distance else f"distance {distance:.0f}"
    print(space, dim, "| rows:", opened.element_count, "| ef:", kept, "| vectors cut to dim:", held, "|", how)
PY
cat "$work/seen"
cat > "$work/expected" <<'OUT'
labels from -5 to 294 are 0 to 18446744073709551615
l2 6 | rows: 300 | ef: 10 | vectors cut to dim: True | nearest by its numbers
l2 4 | rows: 300 | ef: 10 | vectors cut to dim: True | nearest by its numbers
l2 1 | rows: 300 | ef: 10 | vectors cut to dim: True | nearest by its numbers
cosine 6 | rows: 300 | ef: 10 | vectors cut to dim: True | distance -72
OUT
diff "$work/expected" "$work/seen"
