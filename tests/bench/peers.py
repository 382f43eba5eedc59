"""Rivals that live in environments of their own: found by ``FINGERPOST_PEERS``, driven by JSON lines."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench.results import ROOT


def peer_python(environment: str) -> Path | None:
    """The interpreter ``<FINGERPOST_PEERS or .peers beside the checkout>/<environment>/bin/python``, or None."""
    folder = Path(os.environ.get("FINGERPOST_PEERS") or ROOT.parent / ".peers")
    python = folder / environment / "bin" / "python"
    return python if python.exists() else None


class PeerProcess:
    """A driver script in another interpreter: one JSON object a line in, one a line out. One thread."""

    def __init__(self, python: Path, script: Path, *arguments: str) -> None:
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [str(python), str(script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **threads, "PYTHONPATH": ""},
        )

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Sends one request and waits for its answer; RuntimeError where the peer has died or reports an error."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(
                f"peer: expected an answer to {request}, got exit {self._process.wait()}; see its output"
            )
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"peer: {answer['error']}")
        return answer

    def close(self) -> None:
        """Ends the peer by closing its input."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(timeout=60)
