"""The lineage of an artifact, back to its inputs. Imports no Prefect."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Any

from fingerpost.flows import domains
from fingerpost.flows.domains.domain import Domain, InputFile, named
from fingerpost.flows.run.profiles import settings_read, value_at
from fingerpost.schemas.errors import CorruptArtifactError, FingerpostError, ForeignArtifactError, MissingArtifactError
from fingerpost.schemas.figures import significant
from fingerpost.schemas.inputs.days import DAY
from fingerpost.schemas.publish import Pointer, products, published_collection
from fingerpost.schemas.records import leave_out
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.schemas.urls import public_url
from fingerpost.tasks.ledger import input_texts, runs

#: The number of newest runs that are searched for the one that made an artifact.
_RUNS = 200


@dataclass(frozen=True)
class Node:
    """An artifact, or an input from outside the store (``day`` and ``rows`` empty); ``inputs``: keys of nodes by role.

    ``state`` is computed or reused in the run of this lineage, or empty where no run is known.
    """

    key: str
    title: str
    day: str = ""
    state: str = ""
    stage: str = ""
    at: str = ""
    rows: dict[str, int] = field(default_factory=dict)
    quality: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Lineage:
    """An artifact with everything that it was made from, inputs first."""

    target: str
    run: str
    live: tuple[str, ...]
    nodes: tuple[Node, ...]

    def node(self, key: str) -> Node:
        """The node of a key."""
        return next(node for node in self.nodes if node.key == key)


def lineage_of(store: Store, ref: Ref, record: Mapping[str, Any] | None = None) -> Lineage:
    """The lineage of a committed artifact, by the given run or the newest one that made or reused it."""
    record = record if record is not None else run_with(store, ref) or {}
    stages = {stage["ref"]: stage for stage in record.get("stages", ())}
    nodes: dict[str, Node] = {}
    _walk(store, ref, stages, record, nodes)
    return Lineage(str(ref), str(record.get("id", "")), tuple(_live_as(store, ref)), tuple(nodes.values()))


def _live_as(store: Store, ref: Ref) -> Iterator[str]:
    """The pointers at which an artifact is live; one that cannot be read is left out and named."""
    for collection, product in products(store):
        try:
            move = Pointer(store, collection, product).live()
        except FingerpostError as problem:
            leave_out(problem)
            continue
        if move is not None and move.ref == str(ref):
            yield f"{collection}/{product}, generation {move.generation}"


def run_with(store: Store, ref: Ref) -> dict[str, Any] | None:
    """The newest run whose stages made or reused an artifact; None if none of the newest runs did."""
    return next(
        (record for record in runs(store, newest=_RUNS) if any(s["ref"] == str(ref) for s in record["stages"])), None
    )


def ends_of(record: Mapping[str, Any]) -> list[Ref]:
    """The products among a run's references, or the artifact of its last stage where there are none."""
    refs = record.get("refs", {})
    published = [ref for product in domains.products().values() if (ref := refs.get(product.role))]
    return [Ref.parse(ref) for ref in published or [stage["ref"] for stage in record["stages"][-1:]]]


def built_in() -> set[str]:
    """The names of inputs that are built in, not files."""
    return {name for _, file in domains.inputs() for name in file.builtin}


def source_path(record: Mapping[str, Any], stage: Mapping[str, Any]) -> str:
    """The input from outside the store that a stage of a run read: a path, or the name of a built-in input.

    ``stage`` is its record, or the ``ref`` alone where no record has it. Empty if the record does not name one.
    """
    if not record.get("settings"):
        return ""
    settings = settings_read(record["settings"])
    further = {name: keys[0] for domain in domains.DOMAINS for name, keys in domain.files_of.items()}
    if setting := further.get(stage.get("stage", "")):
        return str(value_at(settings, setting.split(".")))
    domain, file = _input_of(stage)
    uses = named(domain.files)(settings, record["flow"]) if domain.files else []
    if stage.get("stage") and stage["stage"] == file.merge_stage:
        # What is merged was imported by day; from outside come only the files beside it.
        return next((use.path for use in uses[1:]), "")
    use = next((use for use in uses if use.setting == file.setting), None)
    own = value_at(settings, file.setting.split("."))
    # A flow that runs alone may read the file of another setting than in a nightly; what is built in is no file.
    if use is None and (own not in file.builtin or file.setting == domain.inputs[0].setting):
        use = next(iter(uses), None)
    path = use.path if use else str(own)
    # Where several days are read, a day's import is of that day's file.
    return path.replace(DAY, Ref.parse(stage["ref"]).day)


def source_name(record: Mapping[str, Any], stage: Mapping[str, Any]) -> str:
    """An input for display: without its folder and without credentials."""
    source = source_path(record, stage) or "input"
    return f"{source}, built in" if source in built_in() else public_url(source).rsplit("/", 1)[-1]


def _input_of(stage: Mapping[str, Any]) -> tuple[Domain, InputFile]:
    """The kind of file that a stage reads.

    As declared for the stage, else for its artifact, else the first of the artifact's domain, else the first of all.
    """
    known, artifact = domains.inputs(), Ref.parse(stage["ref"]).name
    own = [(domain, file) for domain, file in known if domain.word == artifact.partition(".")[0]]
    imported = domains.imported_by(stage.get("stage", ""), stage.get("part", ""))
    return next(
        chain(
            (pair for pair in known if pair[1] is imported),
            (pair for pair in known if artifact in (pair[1].artifact, pair[1].day_artifact)),
            own,
            known,
        )
    )


def _walk(
    store: Store, ref: Ref, stages: Mapping[str, Mapping[str, Any]], record: Mapping[str, Any], nodes: dict[str, Node]
) -> None:
    if str(ref) in nodes:
        return
    stage = stages.get(str(ref), {})
    try:
        manifest = store.manifest(ref)
    except MissingArtifactError:
        nodes[str(ref)] = Node(str(ref), f"{ref.name} (gone)", ref.day)
        return
    except (CorruptArtifactError, ForeignArtifactError) as problem:
        leave_out(problem)
        nodes[str(ref)] = Node(str(ref), f"{ref.name} (cannot be read)", ref.day)
        return
    inputs = input_texts(manifest.identity["inputs"])
    for role, text in inputs.items():
        if "ref" in manifest.identity["inputs"][role]:
            _walk(store, Ref.parse(text), stages, record, nodes)
        else:
            title = source_name(record, stage or {"ref": str(ref)})
            nodes.setdefault(text, Node(text, title, quality={"digest": text[:12]}))
    state = ("computed" if stage["computed"] else "reused") if stage else ""
    nodes[str(ref)] = Node(
        str(ref),
        ref.name,
        ref.day,
        state,
        str(stage.get("stage", "")),
        str(manifest.run.get("at", "")),
        dict(manifest.identity["rows"]),
        dict(manifest.quality),
        inputs,
    )


def committed(store: Store, reference: str, *, collection: str | None, product: str) -> Ref:
    """The artifact of a reference or, where that is empty, the live version of a product of the collection.

    Without a collection, that of the only one with a live version. MissingArtifactError if it is not in the store.
    """
    if reference:
        ref = Ref.parse(reference)
    else:
        name = published_collection(store, collection, product=product)
        ref = Pointer(store, name, product).required().artifact
    store.manifest(ref)
    return ref


def as_json(lineage: Lineage) -> str:
    """The lineage as JSON."""
    return json.dumps(asdict(lineage), indent=1)


def as_mermaid(lineage: Lineage) -> str:
    """The lineage as a Mermaid flow chart, from the input to what is live.

    Arrows that follow from others are left out, so that the chart stays readable.
    """
    names = {node.key: f"n{number}" for number, node in enumerate(lineage.nodes)}
    lines = ["flowchart TB"]
    for node in lineage.nodes:
        words = [node.title] if node.day else [node.title, node.quality.get("digest", "")]
        rows = sum(node.rows.values())
        words += [f"{rows:,} rows"] if node.day else []
        words += [node.state] if node.state else []
        label = "<br/>".join(_label(word) for word in words if word)
        name, shape = names[node.key], '["{}"]' if node.day else '(["{}"])'
        lines.append(f"  {name}{shape.format(label)}{f':::{node.state}' if node.state else ''}")
    for key, source_key in direct_inputs(lineage.nodes):
        lines.append(f"  {names[source_key]} --> {names[key]}")
    for number, live in enumerate(lineage.live):
        lines += [f'  live{number}(["live: {_label(live)}"])', f"  {names[lineage.target]} --> live{number}"]
    lines += ["  classDef computed stroke-width:3px", "  classDef reused stroke-dasharray:4 3"]
    return "\n".join(lines)


def direct_inputs(nodes: Sequence[Node]) -> Iterator[tuple[str, str]]:
    """The (node, input) pairs of nodes, inputs first, without those that follow from others (transitive reduction)."""
    above: dict[str, set[str]] = {}
    for node in nodes:
        inputs = dict.fromkeys(node.inputs.values())
        above[node.key] = {*inputs, *(key for source_key in inputs for key in above.get(source_key, ()))}
        for source_key in inputs:
            if not any(source_key in above.get(other, ()) for other in inputs):
                yield node.key, source_key


def as_tree(lineage: Lineage) -> str:
    """The lineage as indented text, from the artifact back to the inputs; nodes shown above are not repeated."""
    lines = [f"live as {live}" for live in lineage.live]
    shown: set[str] = set()

    def show(key: str, role: str, depth: int) -> None:
        node = lineage.node(key)
        again = key in shown and bool(node.inputs)
        lines.append(f"{'  ' * depth}{_words(node, role, again=again)}")
        shown.add(key)
        if not again:
            for name, source_key in node.inputs.items():
                show(source_key, name, depth + 1)

    show(lineage.target, "", 0)
    return "\n".join(lines)


def table_rows(lineage: Lineage) -> Iterator[tuple[str, str, str, str, str]]:
    """The rows of a table: node, day, rows, state and inputs; inputs first."""
    titles = {node.key: node.title for node in lineage.nodes}
    for node in lineage.nodes:
        made_of = ", ".join(titles[source_key] for source_key in dict.fromkeys(node.inputs.values()))
        rows = f"{sum(node.rows.values()):,}" if node.day else ""
        yield node.title, node.day, rows, node.state or ("" if node.day else "input"), made_of


def _words(node: Node, role: str, *, again: bool) -> str:
    if not node.day:
        return f"{node.title} (input, {node.quality.get('digest', '')})"
    name = f"{role}: {node.title}" if role and not role.startswith("members_") else node.title
    if again:
        return f"{name} (see above)"
    figures = [
        f"{key} {significant(value, 6)}" for key, value in node.quality.items() if isinstance(value, int | float)
    ][:3]
    return (
        f"{name} {node.day}"
        f" ({', '.join([f'{sum(node.rows.values()):,} rows', *([node.state] if node.state else []), *figures])})"
    )


def _label(text: str) -> str:
    """A text escaped for a Mermaid label."""
    return re.sub(r"[^\w .,:/@+=()-]", "_", text)
