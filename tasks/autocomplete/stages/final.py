"""The stage that makes the input of a completer's final training: all sessions, those held out among them."""

import pyarrow as pa

from fingerpost.schemas import autocomplete as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.autocomplete.sessions import TEST, TRAINING, VALIDATION
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.SESSIONS)
def include_held_out_sessions(run: StageRun, sessions: Ref) -> None:
    """Puts the held-out sessions among the training sessions; all else is as it was cut."""
    artifact = run.store.open(sessions, contracts.SESSIONS)
    for entry in artifact.entries("sessions"):
        rows = artifact.read("sessions", shard=entry.shard)
        split = pa.array([TRAINING] * rows.num_rows, pa.string())
        run.write("sessions", rows.set_column(rows.schema.get_field_index("split"), "split", split), shard=entry.shard)
    for table in ("queries", "steps"):
        for entry in artifact.entries(table):
            run.write(table, artifact.read(table, shard=entry.shard), shard=entry.shard)
    held = {VALIDATION: 0, TEST: 0}
    run.quality = dict(artifact.quality) | {TRAINING: artifact.rows("sessions")} | held
