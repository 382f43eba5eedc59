"""Features of a ranker's queries, as part of the flow that trains it."""

from fingerpost.flows.domains.xmr.steps import HELD, maker
from fingerpost.flows.run.runtime import Run, scoped
from fingerpost.schemas.refs import Ref


def features_of(run: Run, interactions: Ref, *, vocabulary: Ref | None = None) -> dict[str, Ref]:
    """Features of training and held-out queries by role, over the training queries' vocabulary or a given one."""
    make, artifacts = maker(run), {}
    with scoped(run, "queries"):
        artifacts["queries"] = make("queries", interactions)
        artifacts["ngrams"] = make("ngrams", artifacts["queries"])
        artifacts["vocabulary"] = terms = vocabulary or make("vocabulary", artifacts["ngrams"])
        artifacts["features"] = make("features", artifacts["ngrams"], terms)
    with scoped(run, "held-out"):
        artifacts[f"{HELD}queries"] = make(f"{HELD}queries", interactions)
        artifacts[f"{HELD}ngrams"] = make(f"{HELD}ngrams", artifacts[f"{HELD}queries"])
        artifacts[f"{HELD}features"] = make(f"{HELD}features", artifacts[f"{HELD}ngrams"], terms)
    return artifacts
