"""Parameters and gates of a completer: the section ``autocomplete`` of the settings."""

from dataclasses import dataclass, fields, replace
from typing import Annotated, Literal

from pydantic import Field

from fingerpost.flows.run.section import NamesFile, Section
from fingerpost.flows.run.settings import DAYS_EXAMPLES, DAYS_PATTERN
from fingerpost.schemas.inputs import CALLS_SAMPLE
from fingerpost.tasks.autocomplete.comparison import ComparisonParams
from fingerpost.tasks.autocomplete.completer import ServingParams
from fingerpost.tasks.autocomplete.contexts import FeatureParams
from fingerpost.tasks.autocomplete.evaluation import EvaluationParams
from fingerpost.tasks.autocomplete.index import IndexParams
from fingerpost.tasks.autocomplete.pairs import PairParams
from fingerpost.tasks.autocomplete.sessions import SessionParams
from fingerpost.tasks.autocomplete.suggestions import SuggestionParams
from fingerpost.tasks.xmr.clustering import ClusterParams
from fingerpost.tasks.xmr.interactions import RowParams
from fingerpost.tasks.xmr.label_blocks import BlockParams
from fingerpost.tasks.xmr.label_features import EmbeddingParams
from fingerpost.tasks.xmr.training import SolverParams, TrainingParams


@dataclass(frozen=True)
class IndexSettings(IndexParams):
    """Parameters of the tree, and the features of suggestions that it is made by.

    labels: text is the characters of a suggestion, its first weighing most; pifa is what is asked before it.
    """

    labels: Literal["text", "pifa"] = "text"

    @property
    def params(self) -> IndexParams:
        """The parameters of the tree alone."""
        return IndexParams(*(getattr(self, field.name) for field in fields(IndexParams)))


#: Chosen on a tenth of the training sessions of the built-in sample: a query is followed by few others, so that negatives
#: that the levels above find cost more quality than they bring.
SOLVER = SolverParams(cost_positive=0.5, cost_negative=0.25, threshold=0.05, frequency_discount=0.0)


class CompleterBaselines(Section):
    """The baselines that take training, which the completer is compared with."""

    compared: bool = Field(
        default=False,
        description=(
            "whether the completer is compared with the same ranker over the default index, and with nearest neighbours"
            " of the queries before; popularity and bigrams are always measured"
        ),
    )
    embedding: EmbeddingParams = EmbeddingParams()
    clusters: ClusterParams = ClusterParams()
    comparison: ComparisonParams = ComparisonParams()


class CompleterChange(Section):
    """How much worse than the live completer a new one may be; more than that needs --accept-change."""

    suggestions: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="maximum fall of the number of suggestions, as a fraction of the live ones; 1 disables the gate",
    )
    mrr: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="maximum fall of the MRR, as a fraction of the live completer's; 1 disables the gate",
    )


class CompleterGates(Section):
    """The gates of a completer."""

    suggestions: int = Field(default=1, ge=0, description="minimum number of suggestions")
    users: int = Field(
        default=2,
        ge=1,
        description=(
            "minimum number of distinct users of every suggestion; a completer with a suggestion of fewer is not"
            " published, whatever autocomplete.suggestions.min_users says"
        ),
    )
    tested: int = Field(
        default=0,
        ge=0,
        description=(
            "minimum number of held-out pairs; with 0 a completer whose quality was not measured may become live, which"
            " is noted"
        ),
    )
    over_popularity: float = Field(
        default=0.0,
        ge=-1,
        le=1,
        description=(
            "minimum lead in MRR over the most popular completions, on sessions held out for testing; -1 disables the"
            " gate"
        ),
    )
    mrr: float = Field(default=0.0, ge=0, le=1, description="minimum MRR on sessions held out for testing")
    quarantine_share: float = Field(
        default=0.05, ge=0, le=1, description="maximum fraction of the events' rows that are quarantined"
    )
    change: CompleterChange = CompleterChange()


class AutocompleteSettings(Section):
    """From the events of a query log to a completer."""

    input: Annotated[str, NamesFile((CALLS_SAMPLE,), days="autocomplete.days")] = Field(
        default="",
        description=(
            "Parquet, CSV or JSON Lines file of events (user, session, time, query), or for the built-in sample"
            " python-calls; empty trains nothing in nightly. A session is given, or cut where a user pauses"
        ),
    )
    days: str = Field(
        default="",
        pattern=rf"^$|{DAYS_PATTERN}",
        examples=DAYS_EXAMPLES,
        description="input.days for events; empty is input.days",
    )
    columns: dict[str, str] = Field(
        default_factory=dict, description="name of each column here to its name in the file, where they differ"
    )
    time_format: str = Field(
        default="",
        description=(
            "format of the times as in Python's strptime, such as %y%m%d%H%M%S; empty reads ISO 8601, and seconds,"
            " milliseconds or microseconds since 1970"
        ),
    )
    blocklist: Annotated[str, NamesFile()] = Field(
        default="",
        description=(
            "file of queries (column query) that are never suggested, in no spelling; e-mail addresses, long numbers and"
            " credentials never are"
        ),
    )
    quarantine_share: float = Field(
        default=0.05, ge=0, le=1, description="maximum fraction of quarantined rows; an import with more fails"
    )
    sessions: SessionParams = SessionParams()
    suggestions: SuggestionParams = SuggestionParams()
    pairs: PairParams = PairParams()
    features: FeatureParams = FeatureParams()
    index: IndexSettings = IndexSettings(depth=3)
    embedding: EmbeddingParams = EmbeddingParams()
    training: TrainingParams = TrainingParams(negatives="tfn", solver=SOLVER)
    blocks: BlockParams = BlockParams()
    serving: ServingParams = ServingParams()
    final: Literal["all", "training"] = Field(
        default="all",
        description=(
            "all makes suggestions, counts and ranker once more from all sessions after they were measured, those held"
            " out among them; training publishes what was measured"
        ),
    )
    evaluation: EvaluationParams = EvaluationParams()
    baselines: CompleterBaselines = CompleterBaselines()
    gates: CompleterGates = CompleterGates()

    @property
    def rows(self) -> RowParams:
        """Training rows: pairs alone; suggestions have no text beside what is typed."""
        return RowParams(label_rows=False)

    @property
    def evaluated(self) -> EvaluationParams:
        """The parameters of the evaluation; no prefix is shown of fewer users than a suggestion needs."""
        weak = replace(self.evaluation.weak, users=max(self.evaluation.weak.users, self.suggestions.min_users))
        return replace(self.evaluation, weak=weak)

    @property
    def trained_again(self) -> bool:
        """Whether everything that answers is made once more, from all sessions."""
        return self.final == "all" and self.sessions.validation_share + self.sessions.test_share > 0
