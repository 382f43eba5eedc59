#!/bin/sh
# Dask 2026.8.0: a LocalCluster whose worker ends and is not back within 15 s has no worker from then on.
#
# Expected: the nanny of a worker that ended (out of memory, say) starts it again, however long its start takes; the cluster has
# the number of workers that it was made with.
# Seen: when a worker leaves, the cluster waits for distributed.deploy.lost-worker-timeout, 15 s by default, and then closes the
# nanny, which is starting the worker at that moment, and forgets it. The name stays in the specification and nobody looks at
# that again, so tasks wait for ever. Starting takes that long on a busy machine, or where a preload script has something to
# load. Asking for the same number once more, cluster.scale(n), makes a new nanny. Where the start takes 1 s, all is well.
#
# Prints the workers 40 s after one ended, and 90 s after scale(1), by the seconds that a start takes; fails if that changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check "dask==2026.8.0" "distributed==2026.8.0"
cat > "$work/load.py" <<'PY'
import os
import time

time.sleep(float(os.environ["LOADS_FOR"]))
PY
cat > "$work/seen.py" <<'PY'
import os
import signal
import sys
import time

import dask
from distributed import Client, LocalCluster

if __name__ == "__main__":
    os.environ["LOADS_FOR"] = sys.argv[2]
    dask.config.set({"distributed.worker.preload": [sys.argv[1]]})
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:
        with Client(cluster) as client:
            client.wait_for_workers(1, timeout=90)
            (pid,) = client.run(os.getpid).values()
            os.kill(pid, signal.SIGTERM)
            time.sleep(40)
            found = [len(client.nthreads())]
            cluster.scale(1)
            time.sleep(90)
            found.append(len(client.nthreads()))
    print(f"a start of {sys.argv[2]} s: {found[0]} worker after 40 s, {found[1]} after scale(1)")
PY
for seconds in 1 20; do
    "$work/venv/bin/python" "$work/seen.py" "$work/load.py" "$seconds" 2> "$work/log"
done > "$work/seen"
cat "$work/seen"
cat > "$work/expected" <<'OUT'
a start of 1 s: 1 worker after 40 s, 1 after scale(1)
a start of 20 s: 0 worker after 40 s, 1 after scale(1)
OUT
diff "$work/expected" "$work/seen"
