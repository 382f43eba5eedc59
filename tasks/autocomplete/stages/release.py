"""The stage that assembles a completer from its members."""

from collections.abc import Mapping
from typing import Any

from fingerpost.schemas import autocomplete as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import members_table
from fingerpost.tasks.autocomplete.completer import ServingParams
from fingerpost.tasks.autocomplete.open import FINAL
from fingerpost.tasks.autocomplete.sessions import TRAINING
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun

#: Metrics of an evaluation that a release repeats.
_METRICS = (
    "mrr",
    "popularity_mrr",
    "bigram_mrr",
    "success_at_1",
    "success_at_3",
    "success_at_10",
    "coverage",
)


@stage(contracts.COMPLETER)
def assemble_completer(run: StageRun, *members: Ref, roles: tuple[str, ...], serving: ServingParams) -> None:
    """Lists the artifacts of a completer, with the values that its gates check; it answers with ``serving``."""
    by_role = dict(zip(roles, members, strict=True))
    run.write("members", members_table(by_role))
    quality = {role: run.store.manifest(ref).quality for role, ref in by_role.items()}
    run.quality = _release_quality(quality) | {
        "candidates": serving.candidates,
        "beam": serving.beam.beam,
        "post_processor": serving.beam.post_processor,
        "typos": serving.typos,
    }


def _release_quality(by_role: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Quality of a release, from that of its members; what answers is of the final training, if there was one."""
    served = {role: by_role.get(f"{FINAL}{role}", quality) for role, quality in by_role.items()}
    events, sessions, evaluation = (by_role[role] for role in ("events", "sessions", "evaluation"))
    suggestions, model = served["suggestions"], served.get("model", {})
    return {
        **{name: suggestions[name] for name in ("suggestions", "least_users", "withheld", "blocked")},
        **{name: events[name] for name in ("events", "users", "quarantine_share")},
        "sessions": sessions["sessions"],
        "trained": served["sessions"][TRAINING],
        "pairs": served["pairs"][TRAINING],
        **{name: model.get(name, 0) for name in ("features", "weights", "bytes")},
        "tested": evaluation["tested"],
        **{name: evaluation[name] for name in _METRICS if name in evaluation},
    }
