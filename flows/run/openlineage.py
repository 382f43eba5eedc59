"""The events of a run by the OpenLineage specification (2-0-2), as JSON Lines. Imports no Prefect.

https://openlineage.io/spec/2-0-2/OpenLineage.json. A run gives START and COMPLETE or FAIL, and so does each of its
stages as a run with the flow's as parent. Data sets are named by collection and artifact, versions by reference.
"""

import json
import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

from fingerpost.flows.run.lineage import built_in, ends_of, run_with, source_name, source_path
from fingerpost.flows.run.loggers import warn
from fingerpost.schemas.errors import CorruptArtifactError, ForeignArtifactError, MissingArtifactError
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.schemas.urls import public_url, without_credentials
from fingerpost.tasks.ledger import stages_by_name

_log = logging.getLogger("fingerpost.openlineage")
_SPEC = "https://openlineage.io/spec"
_EVENT = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_PRODUCER = "https://pypi.org/project/fingerpost/"
_NAMESPACE = "fingerpost"
_FOLDER = "exports/openlineage"
#: The schema versions of the facets in use.
_FACETS = {
    "nominalTime": "facets/1-0-1/NominalTimeRunFacet.json#/$defs/NominalTimeRunFacet",
    "parent": "facets/1-2-0/ParentRunFacet.json#/$defs/ParentRunFacet",
    "errorMessage": "facets/1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet",
    "jobType": "facets/2-0-4/JobTypeJobFacet.json#/$defs/JobTypeJobFacet",
    "schema": "facets/1-2-0/SchemaDatasetFacet.json#/$defs/SchemaDatasetFacet",
    "dataSource": "facets/1-0-1/DatasourceDatasetFacet.json#/$defs/DatasourceDatasetFacet",
    "version": "facets/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet",
    "outputStatistics": (
        "facets/1-0-2/OutputStatisticsOutputDatasetFacet.json#/$defs/OutputStatisticsOutputDatasetFacet"
    ),
}


def export(store: Store, record: Mapping[str, Any]) -> str:
    """Writes a run's events to ``exports/openlineage/<run id>.jsonl`` in the store; returns that path."""
    path = f"{_FOLDER}/{record['id']}.jsonl"
    store.files.write(path, "".join(f"{json.dumps(event)}\n" for event in events(store, record)).encode())
    return path


def keep(store: Store, record: Mapping[str, Any]) -> None:
    """Exports the events at the end of a run; an error is logged and never fails the run."""
    try:
        export(store, record)
    except Exception as problem:
        warn(_log, f"the events of run {record['id']} could not be exported", problem)


def lines_of(store: Store, ref: Ref) -> str:
    """The events of the newest run that made or reused an artifact, as JSON Lines; MissingArtifactError without one."""
    record = run_with(store, ref)
    if record is None:
        raise MissingArtifactError(
            f"artifact {ref}: expected a run that made or reused it, found none among the newest; run the flow again"
        )
    return "\n".join(json.dumps(event) for event in events(store, record))


def events(store: Store, record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The events of a run's record, in chronological order."""
    return _Events(store, record).all()


@dataclass(frozen=True)
class _Events:
    store: Store
    record: Mapping[str, Any]
    #: The path and name of the input of a stage, by its artifact, once they are known.
    sources: dict[str, tuple[str, str]] = field(default_factory=dict)
    #: The columns of the artifacts that were looked at.
    columns: dict[Ref, list[dict[str, Any]]] = field(default_factory=dict)

    def all(self) -> Iterator[dict[str, Any]]:
        """The start and end of each stage; stages run one after the other, so these follow from their durations."""
        record = self.record
        ended = datetime.fromisoformat(record["at"])
        clock = ended - timedelta(seconds=record["seconds"])
        yield self._event("START", clock)
        sources: list[dict[str, Any]] = []
        for name, stage in stages_by_name(record).items():
            given = list(dict.fromkeys(stage["inputs"].values()))
            inputs = [self._input(text, stage) for text in given]
            sources += [self._input(text, stage) for text in given if not _is_ref(text)]
            yield self._event("START", clock, name, inputs=inputs)
            clock = min(clock + timedelta(seconds=stage["seconds"]), ended)
            facets = {"fingerpost_stage": _stage_facet(stage)}
            yield self._event("COMPLETE", clock, name, facets, inputs=inputs, outputs=[self._output(stage)])
        if record["state"] == "completed":
            ends = [str(ref) for ref in ends_of(record)]
            made = [self._output(stage) for stage in record["stages"] if stage["ref"] in ends]
            yield self._event("COMPLETE", ended, inputs=sources, outputs=made)
            return
        message = without_credentials(str(record["error"]))
        failure = {"errorMessage": _facet("errorMessage", message=message, programmingLanguage="Python")}
        if record.get("failed_stage"):
            yield self._event("START", clock, record["failed_stage"])
            yield self._event("FAIL", ended, record["failed_stage"], failure)
        yield self._event("FAIL", ended, "", failure, inputs=sources)

    def _event(
        self,
        kind: str,
        at: datetime,
        stage: str = "",
        facets: Mapping[str, Any] | None = None,
        *,
        inputs: Sequence[Any] = (),
        outputs: Sequence[Any] = (),
    ) -> dict[str, Any]:
        flow = str(self.record["flow"])
        about = {"nominalTime": _facet("nominalTime", **self._nominal()), **(facets or {})}
        if stage:
            job = {"namespace": _NAMESPACE, "name": flow}
            about["parent"] = _facet("parent", run={"runId": self._run_id("")}, job=job)
        kinds = _facet("jobType", processingType="BATCH", integration="FINGERPOST", jobType="TASK" if stage else "FLOW")
        return {
            "eventType": kind,
            "eventTime": _moment(at),
            "producer": _PRODUCER,
            "schemaURL": _EVENT,
            "run": {"runId": self._run_id(stage), "facets": about},
            "job": {
                "namespace": _NAMESPACE,
                "name": f"{flow}.{stage}" if stage else flow,
                "facets": {"jobType": kinds},
            },
            "inputs": list(inputs),
            "outputs": list(outputs),
        }

    def _run_id(self, stage: str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"fingerpost:{self.record['id']}/{stage}"))

    def _nominal(self) -> dict[str, str]:
        """The logical day in the run's time zone."""
        zone = ZoneInfo(str(self.record["settings"].get("run.timezone", "UTC")))
        day = date.fromisoformat(self.record["day"])
        first, last = (datetime.combine(day + timedelta(days=more), time(), tzinfo=zone) for more in (0, 1))
        return {"nominalStartTime": _moment(first), "nominalEndTime": _moment(last)}

    def _input(self, text: str, stage: Mapping[str, Any]) -> dict[str, Any]:
        """An input of a stage (its record)."""
        if _is_ref(text):
            return self._dataset(Ref.parse(text))
        if stage["ref"] not in self.sources:
            self.sources[stage["ref"]] = source_path(self.record, stage) or "input", source_name(self.record, stage)
        source, name = self.sources[stage["ref"]]
        facets = {"version": _facet("version", datasetVersion=text)}
        if source in built_in():
            return {"namespace": _NAMESPACE, "name": source, "facets": facets}
        uri = urlsplit(_uri(source))
        facets["dataSource"] = _facet("dataSource", name=name, uri=uri.geturl())
        namespace = f"{uri.scheme}://{uri.netloc}" if uri.netloc else uri.scheme
        return {
            "namespace": namespace,
            "name": unquote(uri.path) if uri.scheme == "file" else uri.path.strip("/"),
            "facets": facets,
        }

    def _output(self, stage: Mapping[str, Any]) -> dict[str, Any]:
        made = self._dataset(Ref.parse(stage["ref"]))
        statistics = {"rowCount": sum(stage["rows"].values()), "size": stage["bytes"]}
        return {**made, "outputFacets": {"outputStatistics": _facet("outputStatistics", **statistics)}}

    def _dataset(self, ref: Ref) -> dict[str, Any]:
        uri = _uri(self.store.url)
        facets = {
            "version": _facet("version", datasetVersion=str(ref)),
            "dataSource": _facet("dataSource", name=uri, uri=uri),
        }
        if ref not in self.columns:
            self.columns[ref] = self._fields(ref)
        if fields := self.columns[ref]:
            facets["schema"] = _facet("schema", fields=fields)
        return {"namespace": uri, "name": f"{self.record['collection']}/{ref.name}", "facets": facets}

    def _fields(self, ref: Ref) -> list[dict[str, Any]]:
        try:
            tables = self.store.manifest(ref).identity["schema"]
        except (MissingArtifactError, CorruptArtifactError, ForeignArtifactError):
            return []
        return [
            {"name": f"{table}.{column}", "type": kind}
            for table, columns in tables.items()
            for column, kind in columns.items()
        ]


def _facet(facet: str, /, **fields: Any) -> dict[str, Any]:
    return {"_producer": _PRODUCER, "_schemaURL": f"{_SPEC}/{_FACETS[facet]}", **fields}


def _stage_facet(stage: Mapping[str, Any]) -> dict[str, Any]:
    """A facet of our own: whether a stage was reused, why, and its cost."""
    figures = {
        "computed": stage["computed"],
        "reason": stage["reason"],
        "seconds": stage["seconds"],
        "peakMegabytes": stage["peak_mb"],
    }
    return {"_producer": _PRODUCER, "_schemaURL": f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunFacet", **figures}


def _is_ref(text: str) -> bool:
    return "/day=" in text


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _uri(location: str) -> str:
    """A folder, file or URL as a URI without credentials."""
    return public_url(location) if "://" in location else Path(location).absolute().as_uri()
