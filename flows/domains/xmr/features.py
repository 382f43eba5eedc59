"""The features of a ranker's queries, as part of the flow that trains it."""

from flows.domains.xmr.steps import HELD, maker
from flows.run.runtime import Run, scoped
from schemas.refs import Ref


def features_of(run: Run, interactions: Ref, *, vocabulary: Ref | None = None) -> dict[str, Ref]:
    """Features of the queries to train on and of those held out, by role; over the vocabulary of the former, or a given one."""
    make, made = maker(run), {}
    with scoped(run, "queries"):
        made["queries"] = make("queries", interactions)
        made["ngrams"] = make("ngrams", made["queries"])
        made["vocabulary"] = terms = vocabulary or make("vocabulary", made["ngrams"])
        made["features"] = make("features", made["ngrams"], terms)
    with scoped(run, "held-out"):
        made[f"{HELD}queries"] = make(f"{HELD}queries", interactions)
        made[f"{HELD}ngrams"] = make(f"{HELD}ngrams", made[f"{HELD}queries"])
        made[f"{HELD}features"] = make(f"{HELD}features", made[f"{HELD}ngrams"], terms)
    return made
