"""The stage that puts a ranker into the form that answers."""

from collections.abc import Sequence

from fingerpost.schemas import corpus
from fingerpost.schemas import xmr as contracts
from fingerpost.schemas.manifests import FileEntry
from fingerpost.schemas.mapped_arrays import arrays_to_arrow
from fingerpost.schemas.matrices import tensors_from_arrow
from fingerpost.schemas.packed_texts import packed_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.corpus.open import read_vocabulary
from fingerpost.tasks.shards import Shard, ShardOutput
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun
from fingerpost.tasks.xmr.packed import named_arrays, vocabulary_arrays


@stage(contracts.PACKED)
def pack_ranker(run: StageRun, interactions: Ref, vocabulary: Ref, *members: Ref) -> None:
    """Puts labels, vocabulary, trees and weights into the form that answers, one shard per block of weights.

    members: tree and weights of each ranker of the ensemble, alternating.
    """
    labels = run.store.open(interactions, contracts.INTERACTIONS).read("labels").select(["id", "name"])
    run.write("labels", labels)
    arrays, offsets, letters = vocabulary_arrays(read_vocabulary(run.store.open(vocabulary, corpus.VOCABULARY)))
    run.write("vocabulary", arrays_to_arrow(arrays))
    run.write("terms", packed_to_arrow(offsets, letters))
    trees = [tensors_from_arrow(run.store.open(tree, contracts.TREE).read("tree")) for tree in members[::2]]
    run.write("trees", arrays_to_arrow(named_arrays({(member,): tree for member, tree in enumerate(trees)})))
    models = members[1::2]
    blocks = [(member, entry.shard) for member, model in enumerate(models) for entry in _files(run.store, model)]
    shards = [Shard(number, number, number + 1) for number in range(len(blocks))]
    figures = run.map_shards(_pack_shard, shards, models=models, blocks=blocks)
    sizes = {"labels": labels.num_rows, "terms": len(offsets) - 1, "members": len(models)}
    run.quality = sizes | {"bytes": sum(one["bytes"] for one in figures)}


def _files(store: Store, model: Ref) -> list[FileEntry]:
    """The files of the weights of a model."""
    return store.open(model, contracts.MODEL).entries("weights")


def _pack_shard(store: Store, shard: Shard, *, models: Sequence[Ref], blocks: Sequence[tuple[int, int]]) -> ShardOutput:
    member, block = blocks[shard.index]
    found = tensors_from_arrow(store.open(models[member], contracts.MODEL).read("weights", shard=block))
    table = arrays_to_arrow(named_arrays({(member, block): found}))
    return ShardOutput({"weights": table}, {"bytes": sum(array.nbytes for array in found.values())})
