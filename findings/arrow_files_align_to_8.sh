#!/bin/sh
# pyarrow 26.0.1: the buffers of an Arrow file begin at multiples of 8 bytes, not 64, and the buffer of a scalar is a copy.
#
# Expected: a mapped Arrow file has its buffers at multiples of 64 bytes, as Arrow's memory has and its format recommends, and
# Scalar.as_buffer() of a cell of large_binary is a view of the column.
# Seen: both are otherwise, and pyarrow has no setting for the alignment. So kernels that need aligned rows want padding in
# front of them, and arrays are taken from Array.buffers().
#
# Prints what is seen, and fails if it changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check "pyarrow==26.0.1" "numpy==2.4.6"
cat > "$work/seen.py" <<'PY'
import sys

import pyarrow as pa

path, cells = sys.argv[1], [b"x" * 7, b"y" * 1000]
with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, pa.schema([("a", pa.large_binary())])) as writer:
    for cell in cells:
        writer.write_batch(pa.record_batch([pa.array([cell], pa.large_binary())], names=["a"]))
columns = pa.ipc.open_file(pa.memory_map(path)).read_all()["a"].chunks
at = [column.buffers()[2].address for column in columns]
print("multiples of 8:", all(place % 8 == 0 for place in at))
print("multiples of 64:", all(place % 64 == 0 for place in at))
print("as_buffer is a view:", columns[1][0].as_buffer().address == at[1])
PY
"$work/venv/bin/python" "$work/seen.py" "$work/file.arrow" > "$work/seen"
cat "$work/seen"
cat > "$work/expected" <<'OUT'
multiples of 8: True
multiples of 64: False
as_buffer is a view: False
OUT
diff "$work/expected" "$work/seen"
