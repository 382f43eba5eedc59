"""The graph of an index: built of all rows or of their shards, imported from a file, or the live index's brought up to date.

The last full build is an input of the stages, so that the same base and rows give the same graph whenever they run.
"""

from collections.abc import Mapping
from typing import Any

from fingerpost.flows.run.bases import BASE, Base, NoBaseError, base_behind, check_age
from fingerpost.flows.run.runtime import Run, scoped
from fingerpost.schemas import ann as contracts
from fingerpost.schemas.errors import CorruptArtifactError
from fingerpost.schemas.figures import percent
from fingerpost.schemas.inputs.index_files import IndexFile
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.stages.exchange import import_index_graph
from fingerpost.tasks.ann.stages.graph_shards import build_graph_shards, merge_graph_shards
from fingerpost.tasks.ann.stages.graph_update import compare_rows, update_graph
from fingerpost.tasks.ann.stages.index import build_graph

#: The roles that a base must have.
_NEEDED = ("documents", "vectors", "graph")
#: The part under which stages are recorded that a full build has as well.
_PART = "updated"


def graph_of(run: Run, vectors: Ref) -> dict[str, Ref]:
    """The graph, and where it was brought up to date what changed and the release of the base, by role.

    Why it was built of all rows all the same is shown, logged, and stored with every stage that was computed for it.
    """
    _note_metric(run)
    try:
        return _graph_of(run, vectors)
    finally:
        run.env.because = ""


def _note_metric(run: Run) -> None:
    """Notes that scores will be of another kind than those of the live index, which no figure of quality shows."""
    store, metric = run.env.store, run.settings.ann.hnsw.metric
    live = Pointer(store, run.env.collection, contracts.INDEX.name).live()
    if live is None or not store.has(live.artifact):
        return
    before = store.manifest(live.artifact).quality.get("metric", metric)
    if before != metric:
        run.note(
            f"Vectors are compared by {metric}, those of the live index by {before}: ann.hnsw.metric is not remembered,"
            " so name it in a profile"
        )


def _graph_of(run: Run, vectors: Ref) -> dict[str, Ref]:
    own = run.settings.ann
    if own.graph.file:
        return {"graph": _imported(run, vectors, IndexFile(own.graph.file))}
    if own.update.mode == "live":
        try:
            return _updated(run, vectors)
        except NoBaseError as why:
            run.env.because = f"graph built of all rows: {why}"
            run.progress.say(f"index: {run.env.because}")
    return {"graph": _built(run, vectors)}


def _built(run: Run, vectors: Ref) -> Ref:
    """The graph of all rows."""
    own = run.settings.ann
    if own.build.shards == 1:
        return build_graph(vectors, params=own.hnsw)
    graphs = build_graph_shards(vectors, params=own.hnsw, shards=own.build.shards)
    return merge_graph_shards(vectors, graphs, params=own.hnsw, build=own.build)


def _differs(run: Run, graph: Ref) -> str:
    """Why a full build of the rows of a graph would make another one; empty if it would not."""
    own, whole = run.settings.ann, run.settings.ann.build.shards == 1
    made = build_graph if whole else merge_graph_shards
    if made.name in run.env.forced:
        return "forced"
    return made.differs(run.env, graph, params=own.hnsw, **({} if whole else {"build": own.build}))


def _imported(run: Run, vectors: Ref, source: IndexFile) -> Ref:
    """The graph of a file, and a line that says what of it was imported."""
    graph = import_index_graph(run.refs["documents"], vectors, source, params=run.settings.ann.hnsw)
    if found := _quality(run, graph):
        run.progress.say(
            f"index: graph of {source}: {found['kept']:,} rows kept, {found['removed']:,} taken out, {found['added']:,}"
            f" inserted ({found['changed']:,} of them had another vector), {found['connected']:,} connected that no search"
            " reached"
        )
    return graph


def _updated(run: Run, vectors: Ref) -> dict[str, Ref]:
    own, base = run.settings.ann, _base_of(run, vectors)
    old = base.members
    changes = compare_rows(run.refs["documents"], vectors, old["documents"], old["vectors"])
    _check_share(run, base, changes)
    with scoped(run, _PART):
        graph = update_graph(vectors, changes, old["vectors"], old["graph"], params=own.hnsw, guard=own.update.guard)
    if why := _quality(run, graph).get("must_rebuild", ""):
        raise NoBaseError(str(why))
    run.env.because = f"graph brought up to date from {base.release}"
    found = _quality(run, graph)
    share = f": {found['kept']:,} rows kept, {found['removed']:,} removed, {found['added']:,} added" if found else ""
    run.progress.say(f"index: {run.env.because}{share}")
    return {"graph": graph, "row_changes": changes, BASE: base.release}


def _base_of(run: Run, vectors: Ref) -> Base:
    """The last full build behind the live index; NoBaseError if it is not usable as a base."""
    base = base_behind(run, contracts.INDEX.name, "index", needed=lambda _: _NEEDED, check=_check_whole)
    if base.members["vectors"].identity == vectors.identity:
        raise NoBaseError(f"the vectors are those of the base {base.release}")
    check_age(run, base, days=run.settings.ann.update.base_days)
    if why := _differs(run, base.members["graph"]):
        raise NoBaseError(f"the graph of {base.release} was made differently: {why}")
    return base


def _check_whole(store: Store, base: Base) -> None:
    """CorruptArtifactError or MissingArtifactError where a file of the base is missing or of another size."""
    for role in _NEEDED:
        ref = base.members[role]
        if not store.intact(store.manifest(ref)):
            raise CorruptArtifactError(
                f"artifact {ref}: expected its files as {role}, found one missing or of another size"
            )


def _check_share(run: Run, base: Base, changes: Ref) -> None:
    """NoBaseError where too much changed; a plan without the comparison assumes that it did not."""
    found = _quality(run, changes)
    share, most = found.get("share", 0.0), run.settings.ann.update.share
    if found and (share > most or not found["kept"]):
        raise NoBaseError(
            f"{percent(share)} of the rows are new, changed or gone since {base.release}, ann.update.share allows {percent(most)}"
        )


def _quality(run: Run, ref: Ref) -> Mapping[str, Any]:
    """The quality of an artifact; empty in a plan of what is not there yet."""
    return run.env.store.manifest(ref).quality if run.env.store.has(ref) else {}
