"""The clusters of an earlier version, whose ids the next version keeps."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas import kg
from fingerpost.schemas.refs import Ref, digest_of
from fingerpost.schemas.store import Store


@dataclass(frozen=True)
class ClustersBefore:
    """The clusters of the version before as an input: read by the users' keys, and not a part of the lineage.

    What is inherited is ids alone. With a reference instead, each version would need all earlier ones for ever, and
    forgetting an entity would have to rewrite them all. logged: whether the changes since these clusters are recorded; not
    where they are those of the version that is rewritten because an entity is forgotten.
    """

    store: Store
    left: Ref
    right: Ref
    clusters: Ref
    logged: bool = True

    def __str__(self) -> str:
        return str(self.clusters)

    def identity(self) -> str:
        """A digest of the artifacts that it is read from."""
        return digest_of([self.left.identity, self.right.identity, self.clusters.identity, self.logged])

    def read(self) -> pa.Table:
        """Each entity of the version before: ``side``, ``id`` (the user's key) and ``cluster``."""
        members = self.store.open(self.clusters, kg.CLUSTERS).read("members")
        parts = []
        for side, graph in (("left", self.left), ("right", self.right)):
            mine = members.filter(pc.equal(members["side"], side))
            if mine.num_rows:
                keys = self.store.open(graph, kg.GRAPH).read("entities")["id"]
                parts.append(mine.select(["side", "cluster"]).append_column("id", keys.take(mine["entity"])))
        return (
            pa.concat_tables(parts)
            if parts
            else members.select(["side", "cluster"]).append_column("id", members["cluster"])
        )
