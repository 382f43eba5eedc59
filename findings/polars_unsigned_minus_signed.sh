#!/bin/sh
# Polars 2.1.0: UInt64 minus (plus, times) Int64 is Int128, and a Parquet file with such a column is opened by few others.
#
# Expected: arithmetic of 64-bit columns, such as the difference of a hash or an unsigned id and a signed one, is of 64 bits, as
# it is in numpy (float64) and pyarrow (int64), or is written as one (DuckDB: HUGEINT, in Parquet DOUBLE); and a column of a
# type that a reader lacks concerns nothing but this column.
# Seen: the result has 128 bits, which Parquet has no type for. Polars writes 16 bytes and says in the Arrow schema of the file
# that they are an integer. pyarrow 26.0.1 then refuses the file as it opens it, whichever columns are asked for; DuckDB 2.0.1
# reads a BLOB. Mended by a cast to Int64, or to String, before it is written.
#
# Prints the types, and what is read of a column that is beside it, and fails if that changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check "polars==2.1.0" "pyarrow==26.0.1" "duckdb==2.0.1"
cd "$work"
"$work/venv/bin/python" - > "$work/seen" <<'PY'
import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

unsigned, signed = pl.col("unsigned"), pl.col("signed")
rows = pl.DataFrame({"unsigned": pl.Series([5, 6], dtype=pl.UInt64), "signed": [2, 3]})
for name, made in (("minus", unsigned - signed), ("plus", unsigned + signed), ("times", unsigned * signed)):
    print(name, "|", rows.select(made).dtypes[0])
print("unsigned minus 1 |", rows.select(unsigned - 1).dtypes[0])
wide = rows.with_columns(difference=unsigned - signed)
for name, frame in (("Int128", wide), ("Int64", wide.cast({"difference": pl.Int64}))):
    frame.write_parquet("rows.parquet")
    try:
        by_arrow = pq.read_table("rows.parquet", columns=["signed"])["signed"].to_pylist()
    except pa.ArrowNotImplementedError as problem:
        by_arrow = f"refused: {problem}"
    kind = duckdb.sql("SELECT typeof(difference) FROM 'rows.parquet'").fetchall()[0][0]
    print(name, "| polars:", pl.read_parquet("rows.parquet")["difference"].to_list(), "| duckdb:", kind, "| pyarrow:", by_arrow)
PY
cat "$work/seen"
cat > "$work/expected" <<'OUT'
minus | Int128
plus | Int128
times | Int128
unsigned minus 1 | UInt64
Int128 | polars: [3, 3] | duckdb: BLOB | pyarrow: refused: Integers with more than 64 bits not implemented
Int64 | polars: [3, 3] | duckdb: BIGINT | pyarrow: [2, 3]
OUT
diff "$work/expected" "$work/seen"
