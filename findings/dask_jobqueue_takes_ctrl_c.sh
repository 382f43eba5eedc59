#!/bin/sh
# dask-jobqueue 0.9.0: importing it changes what Ctrl-C does in the whole process.
#
# Expected: a library's import leaves the handlers of signals alone; Ctrl-C raises KeyboardInterrupt, and a script that does
# not catch that ends by the signal.
# Seen: the import sets a handler of SIGINT that calls sys.exit(): no KeyboardInterrupt, no word, and exit code 0, as if the
# script had done all its work. A scheduler of jobs, make or a shell's && goes on. In another thread than the main one the
# import fails with ValueError, since handlers can be set in that alone. Keeping the handler from before the import, and setting it
# again after, is enough.
#
# Prints how a process ends that is interrupted, without the import, with it, and with the handler put back; fails if that changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check "dask-jobqueue==0.9.0" "dask==2026.8.0" "distributed==2026.8.0"
cat > "$work/ends.py" <<'PY'
import os
import signal
import sys

how, before = sys.argv[1], signal.getsignal(signal.SIGINT)
if how != "plain":
    import dask_jobqueue  # noqa: F401
if how == "put back":
    signal.signal(signal.SIGINT, before)
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print(f"{how}: KeyboardInterrupt", flush=True)
    sys.exit(130)
PY
for how in plain imported "put back"; do
    code=0
    "$work/venv/bin/python" "$work/ends.py" "$how" || code=$?
    echo "$how: exit code $code"
done > "$work/seen"
"$work/venv/bin/python" - >> "$work/seen" <<'PY'
import threading


def load() -> None:
    try:
        import dask_jobqueue  # noqa: F401
    except ValueError as problem:
        print(f"in a thread: ValueError: {problem}")


thread = threading.Thread(target=load)
thread.start()
thread.join()
PY
cat "$work/seen"
cat > "$work/expected" <<'OUT'
plain: KeyboardInterrupt
plain: exit code 130
imported: exit code 0
put back: KeyboardInterrupt
put back: exit code 130
in a thread: ValueError: signal only works in main thread of the main interpreter
OUT
diff "$work/expected" "$work/seen"
