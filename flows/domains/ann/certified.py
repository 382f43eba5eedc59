"""The stages that choose, certify and pack the search of an index, as the artifacts of a run allow."""

from fingerpost.flows.run.expectations import outlook_on
from fingerpost.flows.run.runtime import Run
from fingerpost.tasks.ann.stages.certificate import certify_search, measure_searches, pack_index
from fingerpost.tasks.ann.stages.texts import pack_texts


def finger_wanted(run: Run) -> bool:
    """Whether FINGER's tables are computed: where there are not too many documents, which a note then says."""
    most, documents = run.settings.ann.parts.finger_documents, _documents(run)
    if documents > most > 0:
        run.note(
            f"FINGER's tables are not computed: {documents:,} documents, ann.parts.finger_documents is {most:,}; the search"
            " goes by codes"
        )
    return documents <= most


def certify_and_pack(run: Run) -> None:
    """Chooses how the index is searched, certifies what that delivers, and puts it into the form that is searched."""
    refs, ann = run.refs, run.settings.ann
    vectors, graph, metric = refs["vectors"], refs["graph"], ann.hnsw.metric
    codes = {"codes": refs["codes"]}
    parts = codes | {role: refs[role] for role in ("finger_codes",) if role in refs}
    roles = tuple(parts)
    refs["speeds"] = speeds = measure_searches(
        vectors, graph, *parts.values(), roles=roles, metric=metric, params=ann.certificate
    )
    refs["certificate"] = certificate = certify_search(
        vectors, graph, speeds, *parts.values(), roles=roles, metric=metric, params=ann.certificate
    )
    refs["packed"] = pack_index(
        refs["documents"], vectors, graph, certificate, *codes.values(), roles=tuple(codes), metric=metric
    )


def pack_words(run: Run) -> None:
    """Puts what answers texts into the form that is searched; nothing where there are no texts."""
    refs = run.refs
    if "postings" in refs:
        roles = ("lexicon", "postings", *(("features", "projection", "neighbors") if "projection" in refs else ()))
        refs["packed_texts"] = pack_texts(
            *(refs[role] for role in roles), roles=roles, metric=run.settings.ann.hnsw.metric
        )


def _documents(run: Run) -> int:
    """The number of documents; in a plan of documents that are not imported yet, as many as the input seems to have."""
    documents, store = run.refs["documents"], run.env.store
    newest = documents if store.has(documents) else run.env.ledger.latest(documents.name)
    if newest is not None:
        return int(store.manifest(newest).quality["documents"])
    outlook = outlook_on(run.settings)
    return 0 if outlook is None else outlook.rows
