"""Parameters and gates of an index: the section ``ann`` of the settings."""

from pydantic import Field

from fingerpost.flows.run.section import Section
from fingerpost.tasks.ann.evaluation import EvaluationParams
from fingerpost.tasks.ann.finger_basis import FingerParams
from fingerpost.tasks.ann.hnsw import HnswParams
from fingerpost.tasks.ann.neighbors import NeighborParams
from fingerpost.tasks.ann.retrieval import RetrievalParams


class IndexGates(Section):
    """The gates of an index."""

    recall_at_10: float = Field(default=0.95, ge=0, le=1, description="minimum recall@10 against exact search")
    documents: int = Field(default=1, ge=1, description="minimum number of documents")
    sample_documents: int = Field(
        default=15000, ge=1, description="minimum number of documents for the built-in sample"
    )
    quarantine_share: float = Field(
        default=0.05, ge=0, le=1, description="maximum fraction of the input's rows that are quarantined"
    )
    reranked_over_bm25: float = Field(
        default=0.0, ge=0, description="minimum ratio of re-ranked MRR to BM25 MRR on known items; 0 disables the gate"
    )


class AnnSettings(Section):
    """From vectors to a searchable index."""

    hnsw: HnswParams = HnswParams()
    finger: FingerParams = FingerParams()
    finger_rows_per_shard: int = Field(default=16384, ge=4096)
    neighbors: NeighborParams = NeighborParams()
    evaluation: EvaluationParams = EvaluationParams()
    retrieval: RetrievalParams = RetrievalParams()
    gates: IndexGates = IndexGates()
