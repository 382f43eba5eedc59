#!/bin/sh
# pyarrow 26.0.1: turning an array into numpy, or comparing it with a number, imports pandas where it is installed.
#
# Expected: Array.to_numpy(), pyarrow.scalar() and pyarrow.compute.equal(array, 0) have nothing to do with pandas, and so
# has pyarrow.parquet.read_table.
# Seen: each of them imports pandas the first time, to look whether its argument is one of pandas' objects; read_table does
# so by way of pyarrow.dataset. That takes longer than all the rest of a short program. Not so: buffers(), to_pylist(),
# unique(), compute functions of arrays alone, and ParquetFile(...).read().
#
# Prints one line for each call, and fails if any of them changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check "pyarrow==26.0.1" "pandas==3.1.1" "numpy==2.4.6"
cat > "$work/one.py" <<'PY'
import io
import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

array = pa.Array.from_buffers(pa.int32(), 3, [None, pa.py_buffer(np.array([1, 2, 3], np.int32))])
sink = io.BytesIO()
pq.write_table(pa.Table.from_arrays([array], ["a"]), sink)
CALLS = {
    "to_numpy": lambda: array.to_numpy(),
    "scalar": lambda: pa.scalar(0),
    "equal(array, 0)": lambda: pc.equal(array, 0),
    "read_table": lambda: pq.read_table(io.BytesIO(sink.getvalue())),
    "buffers": lambda: np.frombuffer(array.buffers()[1], np.int32),
    "to_pylist": lambda: array.to_pylist(),
    "unique": lambda: array.unique(),
    "equal(array, array)": lambda: pc.equal(array, array),
    "ParquetFile.read": lambda: pq.ParquetFile(io.BytesIO(sink.getvalue())).read(),
}
if len(sys.argv) == 1:
    print("\n".join(CALLS))
else:
    assert "pandas" not in sys.modules
    CALLS[sys.argv[1]]()
    print(sys.argv[1], "pandas" in sys.modules)
PY
"$work/venv/bin/python" "$work/one.py" | while read -r call; do "$work/venv/bin/python" "$work/one.py" "$call"; done > "$work/seen"
cat "$work/seen"
cat > "$work/expected" <<'OUT'
to_numpy True
scalar True
equal(array, 0) True
read_table True
buffers False
to_pylist False
unique False
equal(array, array) False
ParquetFile.read False
OUT
diff "$work/expected" "$work/seen"
