"""Sources of graphs: which reader a user's file or folder needs, by its form or by what it looks like."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.files import input_files, readable
from fingerpost.schemas.inputs.forms import ROW_NUMBER, Form
from fingerpost.schemas.inputs.graphs import GraphSource
from fingerpost.schemas.inputs.graphs_rdf import NTriples
from fingerpost.schemas.inputs.graphs_tables import SharedColumn, TableGraph, columns_of
from fingerpost.schemas.inputs.graphs_triples import SIDES, TRIPLES, Dbp15k, Dbp15kLinks, TripleFile
from fingerpost.schemas.inputs.suppression import Suppressed

#: The forms of a graph's file or folder.
GraphForm = Literal["table", "triples", "n-triples", "dbp15k"]
FORMS: tuple[GraphForm, ...] = ("table", "triples", "n-triples", "dbp15k")
AUTO = "auto"
_N_TRIPLES = (".nt", ".ntriples")
#: Endings of other notations of RDF and of graphs.
_OTHERS = (".ttl", ".n3", ".nq", ".trig", ".rdf", ".owl", ".xml", ".jsonld", ".hdt", ".graphml", ".gexf", ".gml")


@dataclass(frozen=True)
class GraphChoice:
    """How a graph's file is read.

    form: one of ``FORMS``, or auto. columns: pairs (our column, the file's), for triples. Of tables: id, the column of the
    keys, by default "id" where there is one, else the number of the row; name, the column of names; kind, the type of the
    rows; shared: columns that become entities, "authors:," where a comma is between several; attributes: the columns of
    attributes, all others by default. language: of the labels that names are taken from, in N-Triples.
    """

    form: str = AUTO
    columns: tuple[tuple[str, str], ...] = ()
    id: str = ""
    name: str = ""
    kind: str = "row"
    shared: tuple[str, ...] = ()
    attributes: tuple[str, ...] | None = None
    language: str = ""


def graph_source(
    path: str, choice: GraphChoice, *, side: int = SIDES[0], suppressed: Suppressed | None = None
) -> GraphSource:
    """The source of a file or folder; side: 1 or 2, which of the graphs of a folder in the layout of DBP15K.

    InputError for a path whose form cannot be told.
    """
    form = form_of(path, choice)
    if form == "dbp15k":
        return Dbp15k(path, suppressed).side(side)
    if form == "n-triples":
        return NTriples(path, choice.language, suppressed)
    if form == "triples":
        return TripleFile(path, part_of(choice.columns, TRIPLES), suppressed)
    return TableGraph(
        path,
        choice.kind,
        id_column(path, choice.id),
        choice.name,
        tuple(map(shared_column, choice.shared)),
        choice.attributes,
        suppressed,
    )


def own_links(path: str, choice: GraphChoice, *, suppressed: Suppressed | None = None) -> Dbp15kLinks | None:
    """The links that a folder in the layout of DBP15K brings along; None for any other form."""
    return Dbp15k(path, suppressed).links() if form_of(path, choice) == "dbp15k" else None


def form_of(path: str, choice: GraphChoice) -> GraphForm:
    """The form of a file or folder: the chosen one, or what it looks like; reads no more than the columns' names.

    A folder with ``ent_ids_1`` is one of DBP15K, a name ending in .nt or .nt.gz N-Triples; a table with the columns of
    triples has triples.
    """
    for known in FORMS:
        if choice.form == known:
            return known
    if choice.form != AUTO:
        raise InputError(f"kg.form: expected {AUTO} or one of {', '.join(FORMS)}, got {choice.form!r}; use one of them")
    root, name = Path(path), Path(path).name.lower().removesuffix(".gz")
    with readable(root):
        if root.is_dir() and (root / f"ent_ids_{SIDES[0]}").is_file():
            return "dbp15k"
    if name.endswith(_N_TRIPLES):
        return "n-triples"
    if other := next((ending for ending in _OTHERS if name.endswith(ending)), ""):
        raise InputError(
            f"{path}: expected a table, triples, N-Triples (.nt) or a folder of DBP15K, found a name that ends in {other};"
            " convert it to N-Triples, for example with pyoxigraph or riot, or to a table of head, relation and tail"
        )
    names = set(columns_of(input_files(path)[0]))
    mapped = dict(part_of(choice.columns, TRIPLES))
    return "triples" if {mapped.get(ours, ours) for ours in TRIPLES.needed} <= names else "table"


def id_column(path: str, chosen: str) -> str:
    """The column of a table's keys: the chosen one, else "id" where there is one, else the number of the row."""
    if chosen:
        return chosen
    return "id" if "id" in columns_of(input_files(path)[0]) else ROW_NUMBER


def shared_column(text: str) -> SharedColumn:
    """The shared column of "authors:," (with what is between several values) or "venue"."""
    column, colon, separator = text.rpartition(":")
    return SharedColumn(column, separator) if colon and column else SharedColumn(text)


def part_of(columns: "tuple[tuple[str, str], ...] | Mapping[str, str]", form: Form) -> tuple[tuple[str, str], ...]:
    """The pairs of a mapping whose columns a form has, sorted."""
    return tuple(sorted((ours, theirs) for ours, theirs in dict(columns).items() if ours in form.names))
