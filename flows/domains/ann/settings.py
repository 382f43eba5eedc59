"""Parameters and gates of an index: the section ``ann`` of the settings."""

from typing import Annotated, Literal

from pydantic import Field

from fingerpost.flows.run.section import NamesFile, Section
from fingerpost.tasks.ann.codes import CodeParams
from fingerpost.tasks.ann.compaction import GuardParams
from fingerpost.tasks.ann.edge_codes import EdgeCodeParams
from fingerpost.tasks.ann.evaluation import EvaluationParams
from fingerpost.tasks.ann.graph_shards import ShardingParams
from fingerpost.tasks.ann.hnsw import HnswParams
from fingerpost.tasks.ann.judged import IntervalParams, JudgedParams
from fingerpost.tasks.ann.neighbors import NeighborParams
from fingerpost.tasks.ann.retrieval import RetrievalParams
from fingerpost.tasks.ann.search_tuning import CertificateParams
from fingerpost.tasks.ann.tuning import TuningParams


class IndexChange(Section):
    """How much worse than the live index a new one may be; more than that needs --accept-change.

    Rows that come, go and change from night to night stay within the defaults; another input in place of the old one
    does not.
    """

    documents: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="maximum fall of the number of documents, as a fraction of the live index's; 1 disables the gate",
    )
    vocabulary: float = Field(
        default=0.4,
        ge=0,
        le=1,
        description=(
            "minimum fraction of words that live and new documents use equally often, rare words weighing most; a"
            " collection of which every document is new has 0.5 or more, documents about other things 0.3 or less; 0"
            " disables the gate"
        ),
    )
    recall_at_10: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="maximum fall of recall@10, as a fraction of the live index's; 1 disables the gate",
    )
    judged_ndcg_at_10: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description=(
            "maximum fall of nDCG@10 over the judged queries that live and new index have in common, as a fraction of"
            " the live index's; a fall that equally good versions exceed with a probability of 0.05 is none; 1 disables the"
            " gate"
        ),
    )
    dimension: Literal["same", "any"] = Field(
        default="same", description="whether vectors that the input gives must keep their dimension: same, or any"
    )


class IndexGates(Section):
    """The gates of an index."""

    recall_at_10: float = Field(default=0.95, ge=0, le=1, description="minimum recall@10 against exact search")
    certified: Literal["target", "any"] = Field(
        default="target",
        description=(
            "whether the lower bound of the certified recall must reach ann.certificate.target_recall: target, or any"
        ),
    )
    documents: int = Field(default=1, ge=1, description="minimum number of documents")
    sample_documents: int = Field(
        default=15000, ge=1, description="minimum number of documents for the built-in sample"
    )
    quarantine_share: float = Field(
        default=0.05, ge=0, le=1, description="maximum fraction of the input's rows that are quarantined"
    )
    fused_over_bm25: float = Field(
        default=0.0, ge=0, description="minimum ratio of fused MRR to BM25 MRR on known items; 0 disables the gate"
    )
    judged_ndcg_at_10: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="minimum nDCG@10 on judged queries, where there are any; 0 disables the gate",
    )
    change: IndexChange = IndexChange()


class JudgedSettings(Section):
    """Judged queries: the user's own, with the grades of documents for them."""

    queries: Annotated[str, NamesFile(dated=False)] = Field(
        default="",
        description=(
            "Parquet, CSV or JSON Lines file of judged queries (id, query); without ann.judged.judgements of query, id (of"
            " a document) and grade, as replay.queries. One file for all days; empty judges nothing"
        ),
    )
    judgements: Annotated[str, NamesFile(dated=False)] = Field(
        default="", description="file of judgements (query_id, document_id, grade: 0 for not relevant)"
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="name of each column of both files here to its name in the file, where they differ",
    )
    imports: JudgedParams = JudgedParams()
    intervals: IntervalParams = IntervalParams()


class IndexParts(Section):
    """The parts of an index that are made beside its graph."""

    finger_documents: int = Field(
        default=250_000,
        ge=0,
        description=(
            "maximum number of documents for which the tables of FINGER are computed and their search is measured: they"
            " take up to three times the memory of the vectors; 0 never computes them"
        ),
    )
    neighbors: bool = Field(
        default=True,
        description=(
            "whether the nearest neighbours of every document are listed; where vectors are computed from texts they are"
            " in any case, since answers use them"
        ),
    )


class GivenGraph(Section):
    """A graph that another library built of the input's vectors."""

    file: Annotated[str, NamesFile(dated=False)] = Field(
        default="",
        description=(
            "index file of faiss (IndexHNSWFlat, alone or in an IndexIDMap) or hnswlib, whose graph is imported instead of"
            " building one: ids of rows are those of the index as text, its metric is ann.hnsw.metric. Rows that it lacks are"
            " inserted, others taken out; empty builds the graph"
        ),
    )


class GraphUpdate(Section):
    """Whether the graph of the live index is brought up to date instead of built again, and up to what change."""

    mode: Literal["off", "live"] = Field(
        default="off",
        description=(
            "off builds every graph of all rows; live takes rows that are gone out of the graph of the live index's last full"
            " build and inserts new ones, where ids and vectors of the others are the same: of vectors given with the rows"
        ),
    )
    base_days: int = Field(
        default=31,
        ge=0,
        le=3660,
        description="maximum number of days since the last full build; an older graph is built again",
    )
    share: float = Field(
        default=0.3,
        ge=0,
        description="maximum number of rows that are new, changed or gone, as a fraction of those of the last full build",
    )
    guard: GuardParams = GuardParams()


class AnnSettings(Section):
    """From vectors to a searchable index."""

    hnsw: HnswParams = HnswParams()
    graph: GivenGraph = GivenGraph()
    build: ShardingParams = ShardingParams()
    update: GraphUpdate = GraphUpdate()
    parts: IndexParts = IndexParts()
    codes: CodeParams = CodeParams()
    certificate: CertificateParams = CertificateParams()
    finger: EdgeCodeParams = EdgeCodeParams()
    finger_rows_per_shard: int = Field(
        default=16384, ge=4096, description="number of documents per shard of the tables of FINGER"
    )
    neighbors: NeighborParams = NeighborParams()
    evaluation: EvaluationParams = EvaluationParams()
    tuning: TuningParams = TuningParams()
    retrieval: RetrievalParams = RetrievalParams()
    judged: JudgedSettings = JudgedSettings()
    gates: IndexGates = IndexGates()
