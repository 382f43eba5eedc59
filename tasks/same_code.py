"""Table of code that produces the artifacts of an earlier version bit for bit, so that an upgrade recomputes nothing.

``same_code.json`` holds {stage: {hash of its present code: the earlier hash}}; a stage's artifacts keep the fingerprint
of the earlier code. ``python -m tests.golden.same_code`` writes it after a refactoring that the golden artifacts prove
to change no result. Any further change of the code changes its hash, which then has no entry.

The hashes are of ``ast.unparse``, whose text may differ between Python versions; the table is written by 3.11. Without
a matching entry, stages are recomputed; nothing else depends on it.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

FILE = Path(__file__).with_name("same_code.json")


@lru_cache(maxsize=1)
def _table() -> Mapping[str, Mapping[str, str]]:
    table: Mapping[str, Mapping[str, str]] = json.loads(FILE.read_text())
    return table


def known_as(stage: str, code: str) -> str:
    """The hash of the earlier code that a stage's present code is equivalent to; ``code`` itself without an entry."""
    return _table().get(stage, {}).get(code, code)
