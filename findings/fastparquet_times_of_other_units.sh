#!/bin/sh
# fastparquet 2026.9.0 with pandas 3.1.1: times are written as if they counted nanoseconds, and are in January 1970 when read.
#
# Expected: write() keeps moments, whichever of its two forms is asked for (times="int64" or "int96", the one that Spark and Hive
# read) and whichever unit a column counts in. Since pandas 3 columns of times count microseconds, as to_datetime makes them.
# Seen: in the form int96 the count is taken for nanoseconds, whatever it counts: all of 2026 becomes the 21st of January 1970,
# for pyarrow, DuckDB and fastparquet itself alike. In the form int64, the default, microseconds are right and seconds are not:
# they are stored as if they were milliseconds, and fastparquet then fails to read its own file. Nothing is said. Columns that
# count nanoseconds (.astype("datetime64[ns]")) are right in both.
#
# Prints what each reader finds, and fails if any of it changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check "fastparquet==2026.9.0" "pandas==3.1.1" "pyarrow==26.0.1" "numpy==2.4.6"
cd "$work"
"$work/venv/bin/python" - > "$work/seen" <<'PY'
import fastparquet
import pandas as pd
import pyarrow.parquet as pq

made = pd.to_datetime(["2026-01-02 03:04:05"])
print("to_datetime makes", made.dtype)
for unit in ("s", "ms", "us", "ns"):
    for form in ("int64", "int96"):
        fastparquet.write("rows.parquet", pd.DataFrame({"at": made.astype(f"datetime64[{unit}]")}), times=form)
        by_arrow = pq.ParquetFile("rows.parquet").read()["at"].cast("timestamp[s]", safe=False)[0].as_py()
        try:
            own = fastparquet.ParquetFile("rows.parquet").to_pandas()["at"].dt.floor("s")[0]
        except ValueError as problem:
            own = type(problem).__name__
        print(unit, form, "| pyarrow:", by_arrow, "| fastparquet:", own)
PY
cat "$work/seen"
cat > "$work/expected" <<'OUT'
to_datetime makes datetime64[us]
s int64 | pyarrow: 1970-01-01 00:29:27 | fastparquet: ValueError
s int96 | pyarrow: 1970-01-01 00:00:01 | fastparquet: 1970-01-01 00:00:01
ms int64 | pyarrow: 2026-01-02 03:04:05 | fastparquet: 2026-01-02 03:04:05
ms int96 | pyarrow: 1970-01-01 00:29:27 | fastparquet: 1970-01-01 00:29:27
us int64 | pyarrow: 2026-01-02 03:04:05 | fastparquet: 2026-01-02 03:04:05
us int96 | pyarrow: 1970-01-21 10:55:23 | fastparquet: 1970-01-21 10:55:23
ns int64 | pyarrow: 2026-01-02 03:04:05 | fastparquet: 2026-01-02 03:04:05
ns int96 | pyarrow: 2026-01-02 03:04:05 | fastparquet: 2026-01-02 03:04:05
OUT
diff "$work/expected" "$work/seen"
