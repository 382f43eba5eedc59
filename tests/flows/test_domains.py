"""Every domain is in every shared room: what a new one lacks fails here by name, as in `metric has no deployment`."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from importlib import resources
from inspect import unwrap
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from fingerpost.flows import domains
from fingerpost.flows.cli import application
from fingerpost.flows.domains.domain import Domain, InputFile, Product, Section, named
from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.ops.backfill.record import BackfillRequest
from fingerpost.flows.ops.erase.inputs import input_sources, inputs_with
from fingerpost.flows.ops.serve.routes import routes
from fingerpost.flows.ops.stack.deployments import read_file
from fingerpost.flows.run import section
from fingerpost.flows.run.catalog import stage_names, stages
from fingerpost.flows.run.flow_names import flow_names
from fingerpost.flows.run.lineage import ends_of, source_path
from fingerpost.flows.run.openlineage import events
from fingerpost.flows.run.profiles import file_settings, in_force, load_settings, with_values
from fingerpost.flows.run.questions import Question
from fingerpost.flows.run.request import RunRequest
from fingerpost.schemas.inputs.forms import Form
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store

ROOT = Path(__file__).resolve().parents[2]
#: Domains without a section of the report, and why.
NO_REPORT: dict[str, str] = {}
#: Domains without a command of their own, and why.
NO_COMMAND = {"corpus": "what it makes is asked through an index"}
#: Artifacts of imported files without keys of their own, and why.
NO_KEYS = {
    "kg.links": "rows of graphs, which hold the keys; a key that no graph has is quarantined",
    "nas.measurements": "latencies of operators on a device, in which no image has a part",
}
#: Products that are not served over HTTP, and why.
NOT_SERVED = {"nas.network": "its ONNX file classifies images where these are"}
#: A domain that is declared and of which nothing else was written.
BARE = Domain(
    word="bare",
    flow="flows.train_nothing:train_nothing",
    needs=("later",),
    products=(
        Product(
            name="bare.thing",
            contract="schemas.bare:THING",
            title="thing",
            role="thing",
            gates="fingerpost.flows.domains.bare.gates:thing_gates",
            open="tasks.bare.open:live",
        ),
    ),
    inputs=(InputFile(title="documents", setting="bare.input", artifact="bare.rows", stage="import_rows"),),
)
Check = Callable[[Domain], Iterator[str]]


def has_settings(domain: Domain) -> Iterator[str]:
    field = Settings.model_fields.get(domain.word)
    if field is None or not isinstance(field.default, section.Section):
        yield "field of Settings with a section"
        return
    marks = {".".join(path): mark for path, mark in file_settings().items()}
    for file in domain.inputs:
        if file.setting not in marks:
            yield f"setting {file.setting} that is marked as naming a file"
        elif set(marks[file.setting].builtin) != file.builtin:
            yield f"the same values that name no file in {file.setting} and in its input"
    known = in_force(Settings())
    further = {keys[0] for keys in domain.files_of.values()}
    kept = {key for file in domain.inputs for key in (file.setting, file.columns, *file.beside) if key} | further
    yield from (
        f"setting {key} that a collection remembers"
        for key in kept
        if not any(f"{k}.".startswith(f"{key}.") for k in known)
    )
    # A file that is not remembered with the others is missing when the collection runs again.
    files = {".".join(path) for path in file_settings() if path[0] == domain.word}
    yield from (f"place among what a collection remembers for {name}" for name in sorted(files - kept))
    own = {path: f"/in/{path[-1]}.csv" for path in file_settings() if path[0] == domain.word}
    uses = named(domain.files)(with_values(Settings(), own), "nightly") if domain.files else ()
    read = {use.setting for use in uses}
    # A file that no domain declares is looked through by neither forget nor the checks before a run.
    yield from (f"use of the file that {'.'.join(path)} names" for path in own if ".".join(path) not in read | further)


def has_stages(domain: Domain) -> Iterator[str]:
    """As they stand in the sources, wherever these are: to --force, to accept and in the form of the user interface."""
    folder = ROOT / "tasks" / domain.word
    sources = "".join(path.read_text() for path in sorted(folder.rglob("*.py")))
    known, offered = stages(), RunRequest.model_json_schema()["properties"]["force"]["items"]["enum"]
    written = re.findall(r"^@stage\b(?:.*\n)+?def (\w+)", sources, re.MULTILINE)
    if not written:
        yield f"stage in {folder.name}"
    yield from (f"stage {name} in the catalog" for name in written if name not in known)
    yield from (f"stage {name} to force" for name in written if name not in offered or name not in stage_names())
    yield from (f"stage {file.stage} for its input" for file in domain.inputs if file.stage not in known)
    contracts = {known[name].contract.name for name in written if name in known}
    yield from (
        f"contract {name}, which a stage writes, in its CONTRACTS"
        for name in sorted(contracts - set(domains.contracts()))
    )


def has_flow(domain: Domain) -> Iterator[str]:
    if flow_names().get(domain.flow_name) != domain.flow:
        yield "flow among those that can be run by name"
    elif named(domain.flow).name != domain.flow_name:
        yield f"flow called {domain.flow_name}"
    order = [other.word for other in domains.DOMAINS]
    place = order.index(domain.word) if domain.word in order else -1
    yield from (f"place after {need}, which it needs" for need in domain.needs if need not in order[: max(place, 0)])
    if any(other.word in domain.needs for other in domains.DOMAINS[place:]):
        yield "place after what it needs"


def has_gates(domain: Domain) -> Iterator[str]:
    own = getattr(Settings(), domain.word, None)
    for product in domain.products:
        if not hasattr(own, "gates"):
            yield f"gates in its settings for {product.name}"
        elif product.name not in domains.products() or not callable(named(product.gates)):
            yield f"gates of {product.name}"
        elif not product.compared or not callable(named(product.compared)):
            yield f"comparison of {product.name} with what is live"
        elif named(product.contract).name != product.name:
            yield f"contract of {product.name}"
        elif "members" not in {table.name for table in named(product.contract).tables}:
            yield f"table of members of {product.name}"


def has_report(domain: Domain) -> Iterator[str]:
    if domain.report is None:
        if domain.word not in NO_REPORT:
            yield "section of the report, nor a reason for none"
        return
    package, _, template = domain.report.template.partition(":")
    if template and not resources.files(package).joinpath(template).is_file():
        yield f"template {domain.report.template}"


def has_diff(domain: Domain) -> Iterator[str]:
    own = contracts_of(domain)
    if not own:
        yield "contract to compare"
    yield from (
        f"comparison of {name}, nor one that is said to need none" for name in own if name not in domain.changes
    )
    yield from (f"contract {name}, which it compares" for name in domain.changes if name not in own)


def has_lineage(domain: Domain) -> Iterator[str]:
    for file in domain.inputs:
        record = record_of(domain, file)
        if source_path(record, record["stages"][0]) != f"/in/{file.title}.csv":
            yield f"lineage that names the file of {file.title}"
    for product in domain.products:
        record = record_of(domain)
        if product.name not in [ref.name for ref in ends_of(record)]:
            yield f"lineage that ends in {product.name}"


def has_openlineage(domain: Domain) -> Iterator[str]:
    last = list(events(Store("memory://domains"), record_of(domain)))[-1] if domain.products else {"outputs": ()}
    outputs = {output["name"].rpartition("/")[2] for output in last["outputs"]}
    yield from (f"event with {product.name}" for product in domain.products if product.name not in outputs)
    for file in domain.inputs:
        last = list(events(Store("memory://domains"), record_of(domain, file)))[-1]
        if [given["name"] for given in last["inputs"]] != [f"/in/{file.title}.csv"]:
            yield f"event with {file.title}"


def has_quarantine(domain: Domain) -> Iterator[str]:
    titles = Counter(file.title for other in {*domains.DOMAINS, domain} for file in other.inputs)
    for file in domain.inputs:
        if domains.imported_by(file.stage, file.part) is not file:
            yield f"quarantine of {file.title} that is its own"
        if titles[file.title] > 1:
            yield f"title of an input that no other has: {file.title}"


def has_keys(domain: Domain) -> Iterator[str]:
    for file in domain.inputs:
        if not (domain.source and domain.stored and domain.files):
            yield f"way to forget what is in {file.title}"
            continue
        record = record_of(domain, file)
        uses = [use for use in input_sources([record]) if use.path == f"/in/{file.title}.csv"]
        if not uses:
            yield f"file of {file.title} that is looked through"
        for use in uses:
            if use.form not in domain.forms or not isinstance(domains.form_of(use.form), Form):
                yield f"form {use.form} of the rows of {file.title}"
        contract = domains.contracts().get(file.artifact)
        holds = contract is not None and any(table.key_columns for table in contract.tables)
        if not holds and file.artifact not in NO_KEYS:
            yield f"table of {file.artifact} that holds keys"


def has_commands(domain: Domain) -> Iterator[str]:
    groups = {group.name: group.typer_instance for group in application().registered_groups}
    where = groups.get(domain.word) if domain.command_group else application()
    known = {unwrap(command.callback) for command in where.registered_commands if command.callback} if where else set()
    own = [named(command) for command in domain.commands]
    yield from (f"command {one.__name__}" for one in own if one not in known)
    if not own and domain.word not in NO_COMMAND:
        yield "command, nor a reason for none"


def has_serving(domain: Domain) -> Iterator[str]:
    """Models whose fields are described, and functions that answer; see tests/ops/test_serve.py for the answers."""
    paths = Counter(route.path for route in routes())
    for product in domain.products:
        if product.served is None:
            if product.name not in NOT_SERVED:
                yield f"endpoint of {product.name}, nor a reason for none"
            continue
        for endpoint in product.served.endpoints:
            if paths[endpoint.path] != 1:
                yield f"path {endpoint.path} of its own"
            question, reply = named(endpoint.question), named(endpoint.reply)
            if (
                not issubclass(question, Question)
                or not issubclass(reply, BaseModel)
                or not callable(named(endpoint.answer))
            ):
                yield f"models and an answer of {endpoint.path}"
            for name, field in question.model_fields.items():
                if not field.description:
                    yield f"description of {name} of {endpoint.path}"


def has_deployment(domain: Domain) -> Iterator[str]:
    entries = {entry["name"]: entry for entry in read_file()["deployments"]}
    entry = entries.get(domain.flow_name)
    if entry is None:
        yield "deployment"
    elif entry["entrypoint"] != domain.flow.replace(":", "."):
        yield f"deployment of {domain.flow}"


def has_freshness(domain: Domain) -> Iterator[str]:
    """A flow that a schedule can run leaves a deadline with each day."""
    entries = {entry["name"]: entry for entry in read_file()["deployments"]}
    if not entries.get(domain.flow_name, {}).get("schedules"):
        yield "schedule, and so no deadline of its days"


def has_backfill(domain: Domain) -> Iterator[str]:
    try:
        BackfillRequest.of(flow=domain.flow_name, first_day="2026-01-05", last_day="2026-01-06")
    except section.SettingsError:
        yield "days that can be backfilled"


def has_profiles(domain: Domain) -> Iterator[str]:
    """Those that people begin with run it over the built-in sample, if there is one of it."""
    for profile in ("quick", "nightly", "full"):
        settings, _ = load_settings(profile)
        if not hasattr(settings, domain.word):
            yield f"section that profile {profile} could have"
        elif domain.skipped and any(file.builtin for file in domain.inputs) and named(domain.skipped)(settings):
            yield f"part of a nightly by profile {profile}"


def has_names(domain: Domain) -> Iterator[str]:
    """Whatever the declaration names is there."""
    for reference in references(domain):
        try:
            named(reference)
        except (ImportError, AttributeError) as problem:
            yield f"{reference} ({problem})"


ROOMS: Mapping[str, Check] = {
    "settings": has_settings,
    "stages": has_stages,
    "flow": has_flow,
    "gates": has_gates,
    "report": has_report,
    "diff": has_diff,
    "lineage": has_lineage,
    "openlineage": has_openlineage,
    "quarantine": has_quarantine,
    "keys": has_keys,
    "commands": has_commands,
    "serving": has_serving,
    "deployment": has_deployment,
    "freshness": has_freshness,
    "backfill": has_backfill,
    "profiles": has_profiles,
    "names": has_names,
}


def contracts_of(domain: Domain) -> list[str]:
    try:
        return [contract.name for contract in named(domain.contracts or f"fingerpost.schemas.{domain.word}:CONTRACTS")]
    except ImportError:
        return []


def references(value: Any) -> Iterator[str]:
    """The ``"module:function"`` that a declaration has, wherever in it; templates are files, and contracts may be named so."""
    if isinstance(value, str) and re.fullmatch(r"[a-z_][\w.]*:\w+", value):
        yield value
    elif isinstance(value, Section):
        yield from (found for name in ("gather", "plots", "cards") for found in references(getattr(value, name)))
    elif is_dataclass(value):
        yield from (found for field in fields(value) for found in references(getattr(value, field.name)))
    elif isinstance(value, Mapping):
        yield from (found for item in value.values() for found in references(item))
    elif isinstance(value, tuple):
        yield from (found for item in value for found in references(item))


def record_of(domain: Domain, *read: InputFile) -> dict[str, Any]:
    """The record of a nightly as it would be with all products of a domain, and with some of its files."""
    ends = [
        (product.role, str(Ref(product.name, "2026-01-05", f"{number:032x}")))
        for number, product in enumerate(domain.products)
    ]
    imports = [
        stage_of(file.stage, file.part, str(Ref(file.artifact, "2026-01-05", "f" * 32)), f"digest of {file.title}")
        for file in read
    ]
    return {
        "id": "20260105T030000000-aaaaaa",
        "flow": "nightly",
        "collection": "toys",
        "day": "2026-01-05",
        "state": "completed",
        "error": "",
        "at": "2026-01-05T03:00:00+00:00",
        "seconds": 1.0,
        "settings": {"input.source": "/in/others.csv", **{file.setting: f"/in/{file.title}.csv" for file in read}},
        "refs": dict(ends),
        "stages": [*imports, *(stage_of("release", role, ref, "") for role, ref in ends)],
    }


def stage_of(stage: str, part: str, ref: str, source: str) -> dict[str, Any]:
    return {
        "stage": stage,
        "part": part,
        "ref": ref,
        "computed": True,
        "reason": "first run",
        "seconds": 0.1,
        "peak_mb": 1.0,
        "rows": {},
        "bytes": 0,
        "quality": {},
        "inputs": {"source": source} if source else {},
    }


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("domain", domains.DOMAINS, ids=lambda domain: domain.word)
def test_every_domain_is_everywhere(domain: Domain, room: str) -> None:
    missing = [f"{domain.word} has no {what}" for what in ROOMS[room](domain)]
    assert not missing, "; ".join(missing)


@pytest.mark.parametrize("room", ROOMS)
def test_a_domain_that_is_declared_alone_is_missed_everywhere(room: str) -> None:
    assert list(ROOMS[room](BARE))


def test_a_file_that_two_settings_name_is_looked_through_in_either_form(tmp_path: Path) -> None:
    """A label of interactions is no id of an embedding; as documents the file cannot be read, which hides nothing."""
    path = tmp_path / "both.csv"
    path.write_text("id,label,vector,query\na,pike,[1],what bites\nb,carp,[2],what swims\n")
    settings = {"input.source": str(path), "xmr.input": str(path), "metric.input": str(path)}
    record = {"flow": "nightly", "settings": settings}
    assert sorted(use.form for use in input_sources([record])) == ["documents", "embeddings", "interactions"]
    [found] = inputs_with([record], Suppressed.of(["carp"], b"salt"), [])
    assert (found.form, found.rows, found.problem) == ("interactions", 1, "")
    assert inputs_with([record], Suppressed.of(["nobody"], b"salt"), []) == []
    alone = {"flow": "train_ranker", "settings": {"input.source": str(path)}}
    assert [use.form for use in input_sources([alone])] == ["interactions"]
