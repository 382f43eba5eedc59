"""The stage that trains the shared weights of a search space."""

from typing import Any

from fingerpost.schemas import nas as contracts
from fingerpost.schemas.matrices import tensors_from_bytes, tensors_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.schemas.workspace import Workspace
from fingerpost.tasks.nas.finished import examples_of, trained_supernet
from fingerpost.tasks.nas.open import read_images
from fingerpost.tasks.nas.space import SearchSpace
from fingerpost.tasks.nas.stages.networks import epochs_table, saving, torch_needed
from fingerpost.tasks.nas.supernet_params import SupernetParams
from fingerpost.tasks.shards import Shard, ShardOutput, even_shards
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.SUPERNET)
def train_supernet(run: StageRun, images: Ref, *, space: SearchSpace, params: SupernetParams) -> None:
    """Trains the weights that all networks of a search space share, on a worker; resumes after a kill."""
    arguments: dict[str, Any] = {"images": images, "space": space, "params": params, "work": run.ref}
    run.quality = run.map_shards(_supernet_shard, even_shards(1, 1), **arguments)[0]


def _supernet_shard(
    store: Store, shard: Shard, *, images: Ref, space: SearchSpace, params: SupernetParams, work: Ref
) -> ShardOutput:
    workspace, found = Workspace(store, work, part=shard.index), read_images(store, images)
    saved = workspace.newest_checkpoint()
    with torch_needed(images):
        weights, epochs = trained_supernet(
            space,
            examples_of(found, "training"),
            examples_of(found, "validation"),
            params,
            state=tensors_from_bytes(saved[1]) if saved else None,
            save=saving(workspace),
        )
    figures = {
        "epochs": len(epochs),
        "validation": round(epochs[-1].validation, 6),
        "parameters": sum(values.size for values in weights.values()),
    }
    return ShardOutput({"weights": tensors_to_arrow(weights), "epochs": epochs_table(epochs)}, figures)
