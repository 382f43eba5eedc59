"""Judged queries whose files are gone, rebuilt from the store."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from fingerpost.schemas import ann, corpus
from fingerpost.schemas.inputs.forms import Quarantine
from fingerpost.schemas.inputs.judged import JUDGED_QUERY_SCHEMA, JUDGEMENT_SCHEMA, JudgedBatch
from fingerpost.schemas.inputs.keyed_files import with_digests
from fingerpost.schemas.inputs.stored import StoredSource, holding
from fingerpost.schemas.refs import Ref


@dataclass(frozen=True)
class StoredJudged(StoredSource):
    """Missing judged queries, rebuilt from the store, without suppressed queries and documents."""

    def check(self) -> None:
        """Nothing: what is committed is there."""

    def identity(self) -> str:
        """The identity of the missing files with the digests of the suppressed keys."""
        given = self.store.manifest(self.imported).identity["inputs"]
        (original,) = (one["source"] for one in given.values() if "source" in one)
        return with_digests(str(original), sorted(digest for digest, _ in self.suppressed.entries))

    def read(self) -> JudgedBatch:
        """The other queries and judgements; rows that were quarantined are not read again."""
        opened = self.store.open(self.imported, ann.JUDGED)
        queries, judgements = opened.read("queries"), opened.read("judgements")
        documents = self.store.open(self._documents(), corpus.DOCUMENTS).read("documents")["id"]
        keys = ann.JUDGED.table("queries").key_columns
        kept = ~np.array(holding(queries, self.suppressed, keys), dtype=bool)
        columns = [
            np.arange(judgements.num_rows),
            (np.cumsum(kept) - 1)[judgements["query"].to_numpy()],
            documents.take(judgements["document"]),
            judgements["grade"],
        ]
        table = pa.table(columns, schema=JUDGEMENT_SCHEMA)
        good = kept[judgements["query"].to_numpy()] & ~np.array(
            holding(table, self.suppressed, ("document",)), dtype=bool
        )
        rest = queries.filter(pa.array(kept)).select(JUDGED_QUERY_SCHEMA.names)
        return JudgedBatch(rest, table.filter(pa.array(good)), Quarantine(), Quarantine())

    def _documents(self) -> Ref:
        """The documents that were judged."""
        return Ref.parse(self.store.manifest(self.imported).identity["inputs"]["documents"]["ref"])
