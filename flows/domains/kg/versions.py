"""The version before an alignment, whose ids of joined entities it keeps."""

from contextlib import suppress

from fingerpost.flows.run.rewriting import rewriting
from fingerpost.flows.run.runtime import Run
from fingerpost.schemas import kg as contracts
from fingerpost.schemas.errors import CorruptArtifactError, ForeignArtifactError, MissingArtifactError
from fingerpost.schemas.inputs.stored_clusters import ClustersBefore
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Store
from fingerpost.tasks.kg.stages.clusters import BEFORE, LOGGED


def clusters_before(run: Run, left: Ref, right: Ref, matches: Ref) -> tuple[ClustersBefore, ...]:
    """The clusters of the version before, if there is one, as the last input of `identify_entities`.

    The version before is the newest live one of the run's day or an earlier one. If that was made from the same graphs
    and matches, it is this version: what it was given is given again, so that a rerun finds its artifacts. A version that is
    rewritten without a forgotten entity keeps its own ids, and says nothing of the entity that is gone.
    """
    store, pointer = run.env.store, Pointer(run.env.store, run.env.collection, contracts.ALIGNMENT.name)
    for move in reversed(pointer.line()):
        if move.artifact.day > run.env.day:
            continue
        with suppress(CorruptArtifactError, ForeignArtifactError, MissingArtifactError):
            members = read_members(store, move.artifact)
            clusters = members["clusters"]
            manifest = store.manifest(clusters)
            if _same_inputs(manifest, left, right, matches):
                return _given(store, manifest)
            graphs = members["left"], members.get("right", members["left"])
            if all(store.has(ref) for ref in graphs):
                return (ClustersBefore(store, *graphs, clusters, logged=rewriting.get() is None),)
    return ()


def _same_inputs(manifest: Manifest, left: Ref, right: Ref, matches: Ref) -> bool:
    given = manifest.identity["input_identities"]
    return all(given[name] == ref.identity for name, ref in (("left", left), ("right", right), ("matches", matches)))


def _given(store: Store, manifest: Manifest) -> tuple[ClustersBefore, ...]:
    """The version before that the clusters of a manifest were made with."""
    named = [Ref.parse(text) for text in manifest.run["measured"][BEFORE]]
    logged = manifest.run["measured"][LOGGED]
    return (ClustersBefore(store, named[0], named[1], named[2], logged),) if named else ()
