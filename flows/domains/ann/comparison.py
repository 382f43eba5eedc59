"""An index beside the live one, for its gates. Imports no Prefect."""

from collections.abc import Mapping

from fingerpost.flows.domains.ann.judged_changes import fall_of_ndcg
from fingerpost.flows.domains.ann.settings import IndexGates
from fingerpost.flows.domains.corpus.comparison import dimension_compared, vocabulary_compared
from fingerpost.schemas.comparison import Comparison, attempted, fallen, unmeasured
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Store


def index_compared(store: Store, live: Ref, ref: Ref, settings: IndexGates) -> list[Comparison]:
    """Documents, recall, words and given vectors of an index beside the live one's."""
    change = settings.change
    old, new = (store.manifest(version).quality for version in (live, ref))
    before, members = (read_members(store, version) for version in (live, ref))
    return [
        fallen("documents_against_live", old.get("documents"), new.get("documents"), change.documents),
        fallen("recall_at_10_against_live", old.get("recall_at_10"), new.get("recall_at_10"), change.recall_at_10),
        *vocabulary_compared(store, before, members, least=change.vocabulary),
        *_judged(store, before, members, most=change.judged_ndcg_at_10),
        *(dimension_compared(store, before, members) if change.dimension == "same" else ()),
    ]


def _judged(
    store: Store, before: Mapping[str, Ref], members: Mapping[str, Ref], *, most: float
) -> tuple[Comparison, ...]:
    """nDCG over the judged queries of both versions; none where the new version has none, or the gate is disabled."""
    name = "judged_ndcg_at_10_against_live"
    if "judgement" not in members or most >= 1:
        return ()
    if "judgement" not in before:
        return (unmeasured(name, "the live version was not judged"),)
    return (attempted(name, lambda: _fallen(store, before["judgement"], members["judgement"], name, most)),)


def _fallen(store: Store, live: Ref, ref: Ref, name: str, most: float) -> Comparison:
    """That nDCG falls by at most a fraction of the live one, or by no more than equally good versions may differ."""
    found = fall_of_ndcg(store, live, ref)
    if found is None:
        return unmeasured(name, "the versions have no judged query with the same judgements in common")
    bound = found.before - max(found.before * most, found.paired.random_fall)
    return Comparison(name, found.after, bound, live=found.before)
