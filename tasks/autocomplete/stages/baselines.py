"""The stages that train the completer's ranker over the default index, for the comparison: PIFA, clustered."""

from fingerpost.schemas import xmr as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun
from fingerpost.tasks.xmr.clustering import ClusterParams
from fingerpost.tasks.xmr.interactions import RowParams
from fingerpost.tasks.xmr.label_blocks import BlockParams
from fingerpost.tasks.xmr.label_features import EmbeddingParams
from fingerpost.tasks.xmr.stages.training import train_rankers
from fingerpost.tasks.xmr.stages.trees import cluster_labels, embed_labels
from fingerpost.tasks.xmr.training import TrainingParams


@stage(contracts.LABEL_FEATURES, observes=True)
def embed_by_pairs(
    run: StageRun, targets: Ref, features: Ref, *, params: EmbeddingParams, rows: RowParams, blocks: BlockParams
) -> None:
    """Computes features of suggestions from the pairs that they end."""
    embed_labels.function(run, targets, features, params=params, rows=rows, blocks=blocks)


@stage(contracts.TREE, observes=True)
def index_by_pairs(run: StageRun, label_features: Ref, *, params: ClusterParams, blocks: BlockParams) -> None:
    """Clusters suggestions by these features."""
    cluster_labels.function(run, label_features, params=params, blocks=blocks)


@stage(contracts.MODEL, observes=True)
def train_default_rankers(
    run: StageRun,
    targets: Ref,
    features: Ref,
    tree: Ref,
    *,
    params: TrainingParams,
    rows: RowParams,
    blocks: BlockParams,
) -> None:
    """Trains the rankers of that index, level by level."""
    train_rankers.function(run, targets, features, tree, params=params, rows=rows, blocks=blocks)
