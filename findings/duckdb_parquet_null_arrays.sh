#!/bin/sh
# DuckDB 2.0.1: a Parquet file with a NULL among arrays of one length (FLOAT[3]) is one that pyarrow 26.0.1 refuses.
#
# Expected: COPY writes a column of embeddings, FLOAT[n], as lists that every reader of Parquet reads, also where a row has
# none, as those of a LEFT JOIN do. Lists of any length, FLOAT[], are.
# Seen: for a NULL the file has n elements where a list that is not there has one entry, so 2 arrays of 3 and a NULL are 9
# levels and not 7. pyarrow says "Length spanned by list offsets (8) larger than values array (6)" and reads nothing of the
# file; with DuckDB itself and with Polars 2.1.0, which pass over them, all looks well. Without a NULL pyarrow reads it.
# Mended by CAST(vector AS FLOAT[]) before COPY.
#
# Prints for each type what is stored and what the three read, and fails if any of them changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check "duckdb==2.0.1" "pyarrow==26.0.1" "polars==2.1.0"
cd "$work"
"$work/venv/bin/python" - > "$work/seen" <<'PY'
import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq


def by_pyarrow():
    try:
        return pq.ParquetFile("rows.parquet").read()["vector"].to_pylist()
    except pa.ArrowInvalid as problem:
        return f"refused: {problem}"


for kind in ("FLOAT[3]", "FLOAT[]"):
    for second in ("NULL", "[7, 8, 9]"):
        rows = f"(VALUES (1, [1, 2, 3]::{kind}), (2, {second}::{kind}), (3, [4, 5, 6]::{kind})) rows(id, vector)"
        duckdb.sql(f"COPY (FROM {rows}) TO 'rows.parquet'")
        levels = pq.read_metadata("rows.parquet").row_group(0).column(1).num_values
        print(kind, second, "| levels:", levels)
        print("  duckdb  |", [row[0] for row in duckdb.sql("SELECT vector FROM 'rows.parquet'").fetchall()])
        print("  polars  |", pl.read_parquet("rows.parquet")["vector"].to_list())
        print("  pyarrow |", by_pyarrow())
PY
cat "$work/seen"
cat > "$work/expected" <<'OUT'
FLOAT[3] NULL | levels: 9
  duckdb  | [[1.0, 2.0, 3.0], None, [4.0, 5.0, 6.0]]
  polars  | [[1.0, 2.0, 3.0], None, [4.0, 5.0, 6.0]]
  pyarrow | refused: Length spanned by list offsets (8) larger than values array (length 6)
FLOAT[3] [7, 8, 9] | levels: 9
  duckdb  | [[1.0, 2.0, 3.0], [7.0, 8.0, 9.0], [4.0, 5.0, 6.0]]
  polars  | [[1.0, 2.0, 3.0], [7.0, 8.0, 9.0], [4.0, 5.0, 6.0]]
  pyarrow | [[1.0, 2.0, 3.0], [7.0, 8.0, 9.0], [4.0, 5.0, 6.0]]
FLOAT[] NULL | levels: 7
  duckdb  | [[1.0, 2.0, 3.0], None, [4.0, 5.0, 6.0]]
  polars  | [[1.0, 2.0, 3.0], None, [4.0, 5.0, 6.0]]
  pyarrow | [[1.0, 2.0, 3.0], None, [4.0, 5.0, 6.0]]
FLOAT[] [7, 8, 9] | levels: 9
  duckdb  | [[1.0, 2.0, 3.0], [7.0, 8.0, 9.0], [4.0, 5.0, 6.0]]
  polars  | [[1.0, 2.0, 3.0], [7.0, 8.0, 9.0], [4.0, 5.0, 6.0]]
  pyarrow | [[1.0, 2.0, 3.0], [7.0, 8.0, 9.0], [4.0, 5.0, 6.0]]
OUT
diff "$work/expected" "$work/seen"
