#!/bin/sh
# Prefect 3.8.8 on SQLite: a request that reads before it writes is refused (503) if another one wrote in between.
#
# Expected: a transaction of the server waits for another one's write, up to its busy timeout of 60 s.
# Seen: `begin_transaction` begins DEFERRED unless asked `with_for_update`. Such a transaction that has read may not write
# once another has committed: SQLite says "database is locked" at once, whatever the timeout. The server answers 503, and
# the client asks again after 2 s and more. POST /task_runs/, the first request of each subflow, reads its flow run first,
# and at that moment the events of the tasks before are written. An IMMEDIATE transaction waits its turn.
#
# Prints what becomes of both transactions in either mode, and fails if that changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check "prefect==3.8.8" "fastapi<0.151" "sqlalchemy[asyncio]<2.1"
cat > "$work/meet.py" <<'PY'
import asyncio
import sys

from prefect.server.database.configurations import AioSqliteConfiguration
from sqlalchemy import text


async def main(folder: str) -> None:
    for immediate in (False, True):
        database = AioSqliteConfiguration(connection_url=f"sqlite+aiosqlite:///{folder}/{immediate}.db")
        engine = await database.engine()
        async with engine.connect() as making:
            await making.exec_driver_sql("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        has_read = asyncio.Event()

        async def add(*, first: bool) -> None:
            if not first:
                await has_read.wait()
            async with await database.session(engine) as session, database.begin_transaction(session, immediate):
                count = (await session.execute(text("SELECT count(*) FROM t"))).scalar_one()
                if first:
                    has_read.set()
                    await asyncio.sleep(0.5)
                await session.execute(text("INSERT INTO t VALUES (:number)"), {"number": count})

        ends = await asyncio.gather(add(first=True), add(first=False), return_exceptions=True)
        told = ["written" if end is None else str(getattr(end, "orig", end)) for end in ends]
        print("IMMEDIATE" if immediate else "DEFERRED", *told, sep=": ")


asyncio.run(main(sys.argv[1]))
PY
PREFECT_HOME="$work" "$work/venv/bin/python" "$work/meet.py" "$work" > "$work/seen"
cat "$work/seen"
cat > "$work/expected" <<'OUT'
DEFERRED: database is locked: written
IMMEDIATE: written: written
OUT
diff "$work/expected" "$work/seen"
