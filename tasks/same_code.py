"""Code that makes, bit for bit, the artifacts of an earlier version: what an upgrade does not compute again.

``same_code.json`` holds {stage: {hash of its present code: the earlier hash}}; a stage's artifacts keep the fingerprint of
the earlier one. ``python -m tests.golden.same_code`` writes it after a change of form that the golden artifacts prove to
change no result. Any further change of the code changes its hash, which is then in no table.

The hashes are of ``ast.unparse``, whose text may differ from one Python to the next; the table is written by 3.11. Where it
does not match, stages are computed again; nothing else depends on it.
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
    """The hash of the earlier code that a stage's present code (its hash) equals; the same where there is none."""
    return _table().get(stage, {}).get(code, code)
