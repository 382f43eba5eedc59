"""Words to a glossary."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas.corpus import QUARANTINE
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun
from tests.toy.contracts import GLOSSARY, LENGTHS, WORDS


@stage(WORDS)
def import_words(run: StageRun, source: Any) -> None:
    """Imports the words of a file."""
    batch = source.read()
    run.write_companion(
        QUARANTINE,
        {"rows": batch.quarantined},
        quality={"rows": batch.quarantined.num_rows, "reasons": dict(batch.reasons)},
    )
    run.write("words", batch.words)
    bad = batch.quarantined.num_rows
    share = bad / max(bad + batch.words.num_rows, 1)
    run.quality = {"words": batch.words.num_rows, "quarantined": bad, "quarantine_share": round(share, 6)}


@stage(LENGTHS)
def measure_words(run: StageRun, words: Ref) -> None:
    """Measures the meaning of each word."""
    rows = run.store.open(words, WORDS).read("words")
    lengths = pc.cast(pc.utf8_length(rows["text"]), pa.int64())
    run.write("lengths", pa.table({"id": rows["id"].combine_chunks(), "length": lengths.combine_chunks()}))
    run.quality = {"mean_length": float(pc.mean(lengths).as_py())}


@stage(GLOSSARY)
def release_glossary(run: StageRun, *members: Ref, roles: tuple[str, ...]) -> None:
    """Names what a glossary consists of."""
    run.write("members", pa.table({"role": list(roles), "ref": [str(ref) for ref in members]}))
    run.quality = {"words": run.store.manifest(members[roles.index("words")]).quality["words"]}
