#!/bin/sh
# Prefect 3.8.8 on SQLite: of two servers that start at once on a new database, one ends.
#
# Expected: the second waits until the first has made the tables, or finds them made.
# Seen: each of some 100 migrations of the schema is a transaction of its own, and which ones are due is read before. Both
# servers make the same tables and columns, and the later one ends with "duplicate column name" or "table already exists".
# It happens whenever two processes that start Prefect's server themselves (flows without PREFECT_API_URL) are the first on a
# machine. A file lock around the migrations is enough.
#
# Prints how many of two servers start, without and with a lock, and fails if that changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check "prefect==3.8.8" "fastapi<0.151" "sqlalchemy[asyncio]<2.1"
cat > "$work/upgrade.py" <<'PY'
import asyncio
import contextlib
import fcntl
import sys
import time

from prefect.server.database import provide_database_interface

folder, moment, locked = sys.argv[1], float(sys.argv[2]), sys.argv[3] == "lock"
with contextlib.ExitStack() as held:
    time.sleep(max(moment - time.time(), 0.0))
    if locked:
        lock = held.enter_context(open(f"{folder}/lock", "w"))
        fcntl.flock(lock, fcntl.LOCK_EX)
    asyncio.run(provide_database_interface().create_db())
PY
started() {
    folder="$work/$1"
    mkdir "$folder"
    moment=$(($(date +%s) + 15))
    for number in 1 2; do
        (
            PREFECT_HOME="$folder" "$work/venv/bin/python" "$work/upgrade.py" "$folder" "$moment" "$1" 2> "$folder/$number.err" \
                && touch "$folder/$number.ok" || true
        ) &
    done
    wait
    echo "$1: $(ls "$folder" | grep -c '\.ok$') of 2"
}
{ started none; started lock; } > "$work/seen"
cat "$work/seen"
grep -h "^sqlite3.OperationalError" "$work"/none/*.err | sort -u || true
cat > "$work/expected" <<'OUT'
none: 1 of 2
lock: 2 of 2
OUT
diff "$work/expected" "$work/seen"
