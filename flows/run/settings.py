"""What a run uses, read and checked before anything starts: defaults, profile, environment, command line, in this order."""

import os
import tomllib
from dataclasses import is_dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field, ValidationError, field_validator

from flows.domains.metric.settings import OWN_EMBEDDINGS, MetricSettings
from flows.domains.xmr.settings import SAMPLE_INTERACTIONS, Section, XmrSettings
from schemas.errors import FingerpostError
from schemas.inputs import SAMPLE
from schemas.inputs.python_docs import DISTRIBUTIONS
from schemas.refs import checked_day, checked_name
from tasks.ann.evaluation import EvaluationParams
from tasks.ann.finger_basis import FingerParams
from tasks.ann.hnsw import HnswParams
from tasks.ann.neighbors import NeighborParams
from tasks.ann.retrieval import RetrievalParams
from tasks.corpus.documents import ImportParams
from tasks.corpus.ngrams import NgramParams
from tasks.corpus.svd import SvdParams
from tasks.corpus.tfidf import TfidfParams


class SettingsError(FingerpostError):
    """A key or value that no run can use."""


class RunSettings(Section):
    """Where and how a run computes; nothing here changes a result."""

    workers: int = Field(
        default=0, ge=0, le=256, description="Dask worker processes; 0 runs everything in this process"
    )
    threads: int = Field(default=0, ge=0, le=256, description="threads of the graph build; 0 takes the number of cores")
    stale_on: str = Field(
        default="",
        pattern="^(versions)?$",
        description="'versions': what other library versions made is computed again",
    )
    timezone: str = Field(default="UTC", description="the time zone whose calendar gives the day")
    cluster: str = Field(
        default="",
        description=(
            "where Dask runs: empty for processes of this machine, an address such as tls://host:8786, or a cluster"
            " class such as dask_kubernetes.operator.KubeCluster"
        ),
    )
    cluster_options: dict[str, Any] = Field(default_factory=dict, description="what such a class is called with")

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as problem:
            raise ValueError("expected a time zone such as Europe/Berlin") from problem
        return value


class InputSettings(Section):
    """What is read: the built-in sample, or a file of documents under a collection's name."""

    collection: str = Field(default=SAMPLE, description="the name that results are published under")
    source: str = Field(
        default=SAMPLE,
        description="python-docs, or a Parquet, CSV or JSON Lines file (or folder of Parquet files)",
    )
    columns: dict[str, str] = Field(
        default_factory=dict, description="our column name to the file's, where they differ"
    )
    sample_queries: tuple[str, ...] = Field(
        default=(
            "return a sorted copy of an array",
            "read a csv file into a dataframe",
            "compute the inverse of a matrix",
            "shortest path in a graph",
        ),
        description="queries of the built-in sample whose answers the report shows",
    )
    vectors: str = Field(
        default="auto",
        pattern="^(auto|given|computed)$",
        description="auto computes vectors from texts where there are any, given takes those of the input",
    )
    distributions: tuple[str, ...] = Field(default=DISTRIBUTIONS, description="the packages of the built-in sample")

    @field_validator("collection")
    @classmethod
    def _safe(cls, value: str) -> str:
        return checked_name(value, what="collection")


class CorpusSettings(Section):
    """From documents to features and vectors."""

    imports: ImportParams = ImportParams()
    ngrams: NgramParams = NgramParams()
    tfidf: TfidfParams = TfidfParams()
    svd: SvdParams = SvdParams()


class AnnSettings(Section):
    """From vectors to a searchable index."""

    hnsw: HnswParams = HnswParams()
    finger: FingerParams = FingerParams()
    finger_rows_per_shard: int = Field(default=16384, ge=4096)
    neighbors: NeighborParams = NeighborParams()
    evaluation: EvaluationParams = EvaluationParams()
    retrieval: RetrievalParams = RetrievalParams()


class GateSettings(Section):
    """What a candidate must reach before it becomes live."""

    recall_at_10: float = Field(default=0.95, ge=0, le=1)
    documents: int = Field(default=1, ge=1, description="least number of documents")
    sample_documents: int = Field(default=15000, ge=1, description="the same for the built-in sample")
    quarantine_share: float = Field(default=0.05, ge=0, le=1)
    reranked_over_bm25: float = Field(
        default=0.0, ge=0, description="least ratio of re-ranked MRR to BM25 MRR on known items; 0 switches it off"
    )
    ranker_recall_at_10: float = Field(default=0.0, ge=0, le=1, description="of a ranker, on queries held out to test")
    sample_ranker_recall_at_10: float = Field(default=0.15, ge=0, le=1, description="the same for the built-in sample")
    ranker_labels: int = Field(default=1, ge=1, description="least number of labels of a ranker")
    threshold_rate: float = Field(
        default=3.0,
        ge=0,
        description=(
            "of a threshold: most that its rate on test classes may be, as a multiple of the target; 0 switches it off"
        ),
    )
    threshold_classes: int = Field(default=2, ge=2, description="least number of test classes of a threshold")
    threshold_frr: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="of a threshold for a FAR: most that its FRR on test classes may be; 1 switches it off",
    )
    threshold_far: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="of a threshold for a FRR: most that its FAR on test classes may be; 1 switches it off",
    )
    threshold_recall_at_1: float = Field(
        default=0.0, ge=0, le=1, description="least share of test embeddings whose nearest other one is of their class"
    )
    threshold_missed: Literal["fail", "note"] = Field(
        default="fail",
        description="what a run does whose threshold misses a gate: fail, or note it, leave what is live and go on",
    )
    sample_threshold_missed: Literal["fail", "note"] = Field(
        default="note",
        description="the same for the built-in sample, whose packages are classes that lie close together",
    )


class ScheduleSettings(Section):
    """When the flows run by themselves, and by when their day must be there."""

    lag_days: int = Field(
        default=0, ge=0, le=31, description="days from the day that a run is for to the day it is scheduled on"
    )
    deadline: str = Field(
        default="08:00",
        pattern=r"^([01]\d|2[0-3]):[0-5]\d$",
        description="local time on the scheduled day after which a missing day is late",
    )
    catch_up: str = Field(
        default="latest",
        pattern="^(latest|all|skip)$",
        description="which of the days missed while the server was down are run: the latest, all up to the cap, none",
    )
    catch_up_cap: int = Field(default=7, ge=1, le=366, description="at most so many missed days, the newest")


class ReplaySettings(Section):
    """Real queries that a candidate answers beside the live index before it replaces it."""

    queries: str = Field(
        default="", description="file of queries (query, and if there are any: id, grade); empty is off"
    )
    k: int = Field(default=10, ge=1, le=1000, description="answers compared for each query")
    overlap: float = Field(default=0.5, ge=0, le=1, description="least mean share of the live answers that stay")
    judged_drop: float = Field(default=0.02, ge=0, le=1, description="most that nDCG over judged answers may fall")


class Settings(Section):
    """Everything a run uses."""

    profile: str = "quick"
    store: str = ""
    day: str = Field(default="", description="the calendar day the run is for; empty is today")
    force: tuple[str, ...] = Field(default=(), description="stages to run again, with what follows from them")
    run: RunSettings = RunSettings()
    input: InputSettings = InputSettings()
    corpus: CorpusSettings = CorpusSettings()
    ann: AnnSettings = AnnSettings()
    xmr: XmrSettings = XmrSettings()
    metric: MetricSettings = MetricSettings()
    gates: GateSettings = GateSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    replay: ReplaySettings = ReplaySettings()

    @field_validator("day")
    @classmethod
    def _calendar(cls, value: str) -> str:
        return checked_day(value) if value else value

    @property
    def threads(self) -> int:
        """The threads of kernels whose results do not depend on them."""
        return self.run.threads or os.cpu_count() or 1


def profile_names() -> list[str]:
    """The profiles that come with the package."""
    return sorted(
        file.name.removesuffix(".toml")
        for file in resources.files("infra.profiles").iterdir()
        if file.name.endswith(".toml")
    )


def load_settings(profile: str, *, overrides: dict[str, Any] | None = None) -> tuple[Settings, dict[str, str]]:
    """The settings in force and, by dotted key, where each that is not a default came from.

    ``profile`` is a name or a TOML file. ``overrides`` are dotted keys with values from the command line. Environment
    variables ``FINGERPOST_SET_<SECTION>__<KEY>`` come between. SettingsError names the key and what is allowed.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, layer in (
        (f"profile {profile}", _flat(_read_profile(profile))),
        ("environment", _environment()),
        ("command line", overrides or {}),
    ):
        for key, value in layer.items():
            _put(values, key, _listed(value))
            origins[key] = origin
    try:
        return Settings(**{"profile": profile if profile in profile_names() else Path(profile).stem, **values}), origins
    except ValidationError as problem:
        raise SettingsError(_explain(problem, origins)) from problem


def _read_profile(profile: str) -> dict[str, Any]:
    folder: Path | None = None
    if profile in profile_names():
        text = resources.files("infra.profiles").joinpath(f"{profile}.toml").read_text()
    elif profile.endswith(".toml") and Path(profile).is_file():
        text, folder = Path(profile).read_text(), Path(profile).absolute().parent
    else:
        raise SettingsError(
            f"profile: expected one of {', '.join(profile_names())} or a TOML file, got {profile!r}; choose one of them"
        )
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise SettingsError(f"profile {profile}: expected TOML, found {problem}; mend that line") from problem
    return _beside(folder, found) if folder else found


#: Settings that name files.
_PATHS = (
    ("store",),
    ("input", "source"),
    ("xmr", "input"),
    ("xmr", "labels"),
    ("xmr", "negatives"),
    ("metric", "input"),
    ("replay", "queries"),
)
#: What may stand there that is no file.
_NAMED = {"", SAMPLE, *SAMPLE_INTERACTIONS, *OWN_EMBEDDINGS}


def _beside(folder: Path, tree: dict[str, Any]) -> dict[str, Any]:
    """The settings of a user's profile, whose paths are relative to its folder: a scheduled run starts in another one."""
    for *sections, key in _PATHS:
        node: Any = tree
        for section in sections:
            node = node.get(section) if isinstance(node, dict) else None
        value = node.get(key) if isinstance(node, dict) else None
        if isinstance(node, dict) and isinstance(value, str) and value not in _NAMED and "://" not in value:
            node[key] = str(folder / value)
    return tree


#: Settings that are mappings themselves.
_MAPPINGS = {
    "input.columns",
    "xmr.columns",
    "metric.columns",
    "metric.training.backbone.arguments",
    "run.cluster_options",
}


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and f"{prefix}{key}" not in _MAPPINGS:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _listed(value: Any) -> Any:
    """The list that a text from command line or environment writes as TOML does; what is none stays as it is."""
    if not (isinstance(value, str) and value.startswith("[") and value.endswith("]")):
        return value
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


def _environment() -> dict[str, Any]:
    prefix = "FINGERPOST_SET_"
    return {
        key.removeprefix(prefix).lower().replace("__", "."): value
        for key, value in os.environ.items()
        if key.startswith(prefix)
    }


def _put(tree: dict[str, Any], dotted: str, value: Any) -> None:
    *path, last = dotted.split(".")
    for key in path:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise SettingsError(f"{dotted}: expected {key} to be a section, found a value; mend the key")
    tree[last] = value


def _explain(problem: ValidationError, origins: dict[str, str]) -> str:
    first = problem.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    where = f" (from {origins[key]})" if key in origins else ""
    if first["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
        return (
            f"{key}{where}: expected a known key, one of {', '.join(_allowed(first['loc'][:-1]))}; correct or remove it"
        )
    return f"{key}{where}: {first['msg']}, got {first.get('input')!r}; see `fingerpost config`"


def _allowed(path: tuple[Any, ...]) -> list[str]:
    node: Any = Settings()
    for part in path:
        node = getattr(node, str(part))
    return sorted(vars(node)) if is_dataclass(node) else sorted(type(node).model_fields)


def in_force(settings: Settings) -> dict[str, Any]:
    """Every setting by dotted key."""
    return _flat(_plain(settings))


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {key: _plain(getattr(value, key)) for key in type(value).model_fields}
    if is_dataclass(value) and not isinstance(value, type):
        return {key: _plain(item) for key, item in vars(value).items()}
    return value
