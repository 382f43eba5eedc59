#!/bin/sh
# scikit-learn 1.9.1: histogram gradient boosting refuses a column that holds no value at all.
#
# Expected: HistGradientBoostingClassifier handles missing values (its documentation says so: NaN go to the side of a
# split that gains more), so a column of nothing but NaN is never split on, as a constant column is not.
# Seen: fitting raises ValueError "window shape cannot be larger than input array shape", from the search for the bins of
# the column; the message names neither the column nor NaN. One value among the NaN is enough for it to pass, and so is a
# constant column. A feature that no training pair has (a number in names without digits) thus stops a training.
#
# Prints what becomes of each column, and fails if any of them changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check "scikit-learn==1.9.1" "numpy==2.4.6" "scipy==1.17.1"
"$work/venv/bin/python" - > "$work/seen" <<'PY'
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

rng = np.random.default_rng(0)
rows = rng.random((100, 3))
labels = rows[:, 0] > 0.5
columns = {
    "constant": np.ones(100),
    "one value, NaN": np.where(np.arange(100) == 0, 1.0, np.nan),
    "NaN": np.full(100, np.nan),
}
for name, column in columns.items():
    rows[:, 2] = column
    try:
        print(name, "|", HistGradientBoostingClassifier().fit(rows, labels).score(rows, labels))
    except ValueError as problem:
        print(name, "|", problem)
PY
cat "$work/seen"
cat > "$work/expected" <<'OUT'
constant | 1.0
one value, NaN | 1.0
NaN | window shape cannot be larger than input array shape
OUT
diff "$work/expected" "$work/seen"
