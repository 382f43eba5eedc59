"""Two toy stages, one of shards and one of checkpoints, to a published product: every point at which a run can die, in no time."""

from pathlib import Path

import pyarrow as pa

from fingerpost.schemas import fields as f
from fingerpost.schemas.contract import Contract, Table
from fingerpost.schemas.publish import Pointer, Publication
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.shards import Shard, ShardOutput
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun
from tests.worlds import GATE, FixedSource

LINES = Contract("test.lines", 1, (Table("lines", (f.ID, f.TEXT), key=("id",)),), "toys")
LETTERS = Contract("test.letters", 1, (Table("counts", (f.ID, f.DOCUMENT_FREQUENCY)),), "their letters")
#: Shards of the first stage, and checkpoints of the second.
SHARDS = PASSES = 6


@stage(LINES)
def take_lines(run: StageRun, source: FixedSource, *, lines: list[str]) -> None:
    """Takes lines over, a sixth of them a shard."""
    step = -(-len(lines) // SHARDS)
    shards = [Shard(index, index * step, (index + 1) * step) for index in range(SHARDS)]
    figures = run.map_shards(_take_shard, shards, lines=lines)
    run.quality = {"lines": sum(figure["rows"] for figure in figures)}


def _take_shard(store: Store, shard: Shard, *, lines: list[str]) -> ShardOutput:
    texts = lines[shard.start : shard.stop]
    ids = [f"line-{shard.start + number}" for number in range(len(texts))]
    return ShardOutput({"lines": pa.table({"id": ids, "text": texts})}, {"rows": len(texts)})


@stage(LETTERS)
def count_letters(run: StageRun, lines: Ref) -> None:
    """Counts letters, a checkpoint after each part of the lines."""
    texts = run.store.open(lines, LINES).read("lines")["text"].to_pylist()
    done, count = 0, 0
    if saved := run.workspace.newest_checkpoint():
        done, count = saved[0], int(saved[1])
    for number in range(done, PASSES):
        count += sum(len(text) for text in texts[number::PASSES])
        run.workspace.save_checkpoint(number + 1, str(count).encode())
    run.write("counts", pa.table({"id": ["letters"], "df": pa.array([count], pa.int64())}))


def run_toys(env: Environment, documents: Path) -> Publication:
    """Both stages over a file's lines, to a live product."""
    lines = documents.read_text().splitlines()
    made = take_lines.execute(env, FixedSource("lines"), lines=lines)
    counted = count_letters.execute(env, made)
    return Pointer(env.store, env.collection, LETTERS.name).promote(counted, gates=[GATE])
