#!/bin/sh
# Polars 2.1.0: texts of rows that a filter took out are still in Arrow files (write_ipc), pickles and serialized frames.
#
# Expected: a frame that is written has its own rows and nothing else, as it does in Parquet and CSV.
# Seen: texts longer than 12 bytes lie in buffers that rows point into. A filter copies the pointers and lets go of the buffers
# only where much of them is not pointed into any more; taking out one row of a thousand, or of a hundred thousand, leaves its
# text where it was, and all of the buffer is written. rechunk, sort and shrink_to_fit do not change that. Readers never show
# it, and the bytes of the file have it: whoever erases a person's row so has not erased what it says. Parquet has none of it,
# nor an Arrow file in the oldest form (compat_level=pl.CompatLevel.oldest()), whose texts are written one after the other.
#
# Prints for each way and number of rows whether the removed text is in the bytes, and fails if any of them changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check "polars==2.1.0"
"$work/venv/bin/python" - > "$work/seen" <<'PY'
import io
import pickle

import polars as pl


def written(write):
    file = io.BytesIO()
    write(file)
    return file.getvalue()


oldest = pl.CompatLevel.oldest()
WAYS = {
    "write_ipc": lambda frame: written(lambda file: frame.write_ipc(file, compression="uncompressed")),
    "write_ipc, rechunked": lambda frame: written(lambda file: frame.rechunk().write_ipc(file, compression="uncompressed")),
    "write_ipc, shrunk": lambda frame: written(lambda file: frame.shrink_to_fit().write_ipc(file, compression="uncompressed")),
    "write_ipc, sorted": lambda frame: written(lambda file: frame.sort("id").write_ipc(file, compression="uncompressed")),
    "write_ipc_stream": lambda frame: written(lambda file: frame.write_ipc_stream(file, compression="uncompressed")),
    "pickle": pickle.dumps,
    "serialize": lambda frame: written(frame.serialize),
    "write_ipc, oldest form": lambda frame: written(
        lambda file: frame.write_ipc(file, compression="uncompressed", compat_level=oldest)
    ),
    "write_parquet": lambda frame: written(lambda file: frame.write_parquet(file, compression="uncompressed")),
    "write_csv": lambda frame: written(frame.write_csv),
}
for rows in (1_000, 100_000):
    texts = [f"what person {row:06d} said to us" for row in range(rows)]
    kept = pl.DataFrame({"id": range(rows), "text": texts}).filter(pl.col("id") != 7)
    assert texts[7] not in kept["text"].to_list()
    for name, way in WAYS.items():
        print(rows, "|", name, "|", "removed text is there" if texts[7].encode() in way(kept) else "gone")
PY
cat "$work/seen"
cat > "$work/expected" <<'OUT'
1000 | write_ipc | removed text is there
1000 | write_ipc, rechunked | removed text is there
1000 | write_ipc, shrunk | removed text is there
1000 | write_ipc, sorted | removed text is there
1000 | write_ipc_stream | removed text is there
1000 | pickle | removed text is there
1000 | serialize | removed text is there
1000 | write_ipc, oldest form | gone
1000 | write_parquet | gone
1000 | write_csv | gone
100000 | write_ipc | removed text is there
100000 | write_ipc, rechunked | removed text is there
100000 | write_ipc, shrunk | removed text is there
100000 | write_ipc, sorted | removed text is there
100000 | write_ipc_stream | removed text is there
100000 | pickle | removed text is there
100000 | serialize | removed text is there
100000 | write_ipc, oldest form | gone
100000 | write_parquet | gone
100000 | write_csv | gone
OUT
diff "$work/expected" "$work/seen"
