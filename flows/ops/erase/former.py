"""Reading the journals of jobs that an earlier version started."""

from collections.abc import Mapping
from typing import Any

#: Keys of a plan of version 0.1 by domain: its imported input, whether the store is read instead, whether it is rerun.
_KEYS = {
    "corpus": ("documents", "stored", "index"),
    "ann": ("", "", "index"),
    "xmr": ("interactions", "stored_interactions", "ranker"),
    "metric": ("embeddings", "stored_embeddings", "threshold"),
}


def current(saved: Mapping[str, Any]) -> dict[str, Any]:
    """What a job affects, from a journal of this or of an earlier version."""
    if "again" not in saved:
        return dict(saved)
    return {key: value for key, value in saved.items() if key != "again"} | {
        "reruns": [_plan(plan) for plan in saved["again"]]
    }


def _plan(plan: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{key: plan[key] for key in ("run", "flow", "collection", "day", "seconds")},
        "imported": {word: plan[made] for word, (made, _, _) in _KEYS.items() if plan.get(made)},
        "stored": [word for word, (_, stored, _) in _KEYS.items() if plan.get(stored)],
        "left": [word for word, (_, _, rerun) in _KEYS.items() if not plan.get(rerun, True)],
    }
