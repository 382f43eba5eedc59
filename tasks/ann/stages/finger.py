"""The stages that make what FINGER estimates distances from: the directions and codes, and every node's block of them."""

from fingerpost.schemas import ann as contracts
from fingerpost.schemas import corpus
from fingerpost.schemas.matrices import dense_from_arrow, dense_to_arrow, tensors_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.schemas.tensors import tensors_table
from fingerpost.tasks.ann.edge_blocks import block_stride, entry_lines, project, range_lines, with_projections
from fingerpost.tasks.ann.edge_codes import EdgeCodeParams, fit_edge_codes
from fingerpost.tasks.ann.open import kernel_metric, read_coder, read_graph
from fingerpost.tasks.corpus.open import read_vectors
from fingerpost.tasks.shards import Shard, ShardOutput, row_shards
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.FINGER_CODES)
def fit_finger(run: StageRun, vectors: Ref, graph: Ref, *, metric: str, params: EdgeCodeParams) -> None:
    """Fits directions, bits and margins of the estimates to the graph, and projects all vectors onto the directions."""
    rows = read_vectors(run.store.open(vectors, corpus.VECTORS))
    adjacency, compared = read_graph(run.store.open(graph, contracts.GRAPH)), kernel_metric(metric)
    coder = fit_edge_codes(rows, adjacency, compared, params=params)
    projected = project(rows, coder, threads=run.threads)
    entries = entry_lines(projected, adjacency, metric=compared, coder=coder)
    run.write("codes", tensors_to_arrow(coder.arrays() | {"entries": entries}))
    run.write("projections", dense_to_arrow(projected.projections))
    run.quality = {"rank": coder.rank, "bits": coder.bits, "error": round(coder.chosen.error, 6)}


@stage(contracts.FINGER_BLOCKS)
def compute_finger_tables(
    run: StageRun, vectors: Ref, graph: Ref, finger_codes: Ref, *, metric: str, rows_per_shard: int
) -> None:
    """Codes the neighbours of every node, one shard per range of nodes."""
    shards = row_shards(run.store.open(vectors, corpus.VECTORS).rows("vectors"), rows_per_shard)
    figures = run.map_shards(
        _finger_shard, shards, vectors=vectors, graph=graph, finger_codes=finger_codes, metric=metric
    )
    run.quality = {name: sum(f[name] for f in figures) for name in ("nodes", "edges", "bytes")}


def _finger_shard(
    store: Store, shard: Shard, *, vectors: Ref, graph: Ref, finger_codes: Ref, metric: str
) -> ShardOutput:
    adjacency, compared = read_graph(store.open(graph, contracts.GRAPH)), kernel_metric(metric)
    fitted = store.open(finger_codes, contracts.FINGER_CODES)
    coder, _ = read_coder(fitted)
    rows = read_vectors(store.open(vectors, corpus.VECTORS))
    indptr = adjacency.indptr[shard.start : shard.stop + 1]
    lines = range_lines(
        with_projections(rows, dense_from_arrow(fitted.read("projections"))),
        indptr,
        adjacency.indices[indptr[0] : indptr[-1]],
        metric=compared,
        coder=coder,
        stride=block_stride(adjacency, compared, coder),
        begin=shard.start,
    )
    figures = {"nodes": len(indptr) - 1, "edges": int(indptr[-1] - indptr[0]), "bytes": lines.nbytes}
    return ShardOutput({"blocks": tensors_table({"lines": lines})}, figures)
