"""The stages that make the input of a ranker's final training: all queries, those held out to measure it among them."""

import numpy as np
import pyarrow as pa

from fingerpost.schemas import corpus
from fingerpost.schemas import xmr as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.shards import even_shards
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun
from fingerpost.tasks.xmr.interactions import CALIBRATION, TEST, TRAINING
from fingerpost.tasks.xmr.open import rows_of


@stage(contracts.INTERACTIONS)
def include_held_out(run: StageRun, interactions: Ref) -> None:
    """Puts the held-out queries among the training queries; all else is that of the import."""
    artifact = run.store.open(interactions, contracts.INTERACTIONS)
    queries = artifact.read("queries")
    split = pa.array([TRAINING] * queries.num_rows, pa.string())
    run.write("queries", queries.set_column(queries.schema.get_field_index("split"), "split", split))
    for table in ("labels", "targets", "negatives"):
        if artifact.entries(table):
            run.write(table, artifact.read(table))
    run.quality = dict(artifact.quality) | {TRAINING: queries.num_rows, CALIBRATION: 0, TEST: 0}


@stage(corpus.FEATURES)
def join_features(run: StageRun, interactions: Ref, features: Ref, held_features: Ref, *, rows_per_shard: int) -> None:
    """Joins the features of training and held-out queries in the order of the import, followed by those of labels.

    interactions: the import with its split. Features of a text depend on the text and the vocabulary only.
    """
    parts = [run.store.open(ref, corpus.FEATURES) for ref in (features, held_features)]
    queries = run.store.open(interactions, contracts.INTERACTIONS).read("queries")
    mine, held = rows_of(queries, (TRAINING,)), rows_of(queries, (CALIBRATION, TEST))
    tables = [part.read("features") for part in parts]
    # Places in the features of training queries and labels, then of held-out queries.
    place = np.empty(queries.num_rows, np.int64)
    place[mine], place[held] = np.arange(len(mine)), tables[0].num_rows + np.arange(len(held))
    order, joined = np.concatenate([place, np.arange(len(mine), tables[0].num_rows)]), pa.concat_tables(tables)
    for shard in even_shards(len(order), rows_per_shard):
        run.write("features", joined.take(pa.array(order[shard.start : shard.stop])), shard=shard.index)
    sums = {name: sum(int(part.quality[name]) for part in parts) for name in ("non_zeros", "empty_rows")}
    run.quality = {"columns": parts[0].quality["columns"]} | sums
