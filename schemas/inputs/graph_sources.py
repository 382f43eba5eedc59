"""Sources of graphs and links: which reader a user's file or folder needs, by its form or by what it looks like."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from fingerpost.schemas.errors import FingerpostError, InputError
from fingerpost.schemas.inputs import OBJECTS_SAMPLE
from fingerpost.schemas.inputs.files import input_files
from fingerpost.schemas.inputs.forms import Form
from fingerpost.schemas.inputs.graph_links import LinkFile, LinkSource, ReviewedLinks
from fingerpost.schemas.inputs.graphs import GraphSource
from fingerpost.schemas.inputs.graphs_rdf import NTriples
from fingerpost.schemas.inputs.graphs_tables import TableGraph, shared_column
from fingerpost.schemas.inputs.graphs_triples import SIDES, TRIPLES, Dbp15k, TripleFile
from fingerpost.schemas.inputs.keyed_files import columns_of
from fingerpost.schemas.inputs.python_objects import ObjectGraph, ObjectLinks
from fingerpost.schemas.inputs.suppression import Suppressed

__all__ = [
    "GraphForm",
    "GraphSource",
    "LinkSource",
    "check_sides",
    "form_of",
    "graph_source",
    "link_source",
    "reviewed_source",
]

#: The forms of a graph: of its file or folder, and the built-in sample.
GraphForm = Literal["table", "triples", "n-triples", "dbp15k", "python-objects"]
FORMS: tuple[GraphForm, ...] = get_args(GraphForm)
AUTO = "auto"
_N_TRIPLES = (".nt", ".ntriples")
#: Endings of other notations of RDF and of graphs.
_OTHERS = (".ttl", ".n3", ".nq", ".trig", ".rdf", ".owl", ".xml", ".jsonld", ".hdt", ".graphml", ".gexf", ".gml")


def form_of(path: str, form: str, columns: Mapping[str, str] | None = None) -> GraphForm:
    """The form of a graph: the chosen one, or with "auto" what it looks like; reads no more than the names of columns.

    A folder with ``ent_ids_1`` is one of DBP15K, a name that ends in .nt or .nt.gz says N-Triples; a table with the columns
    of triples, as ``columns`` map them, has triples; any other, also one that cannot be read, is a table.
    """
    if path == OBJECTS_SAMPLE:
        return "python-objects"
    for known in FORMS:
        if form == known:
            return known
    if (Path(path) / f"ent_ids_{SIDES[0]}").is_file():
        return "dbp15k"
    if _plain_name(path).endswith(_N_TRIPLES):
        return "n-triples"
    try:
        names = set(columns_of(input_files(path)[0]))
    except FingerpostError:
        return "table"
    mapped = dict(part_of(columns or {}, TRIPLES))
    return "triples" if {mapped.get(ours, ours) for ours in TRIPLES.needed} <= names else "table"


def graph_source(
    path: str,
    *,
    form: str = AUTO,
    side: str = "left",
    kind: str = "row",
    id: str = "",  # noqa: A002 - as it is called in the settings
    name: str = "",
    shared: tuple[str, ...] = (),
    attributes: tuple[str, ...] = (),
    columns: Mapping[str, str] | None = None,
    renamed: Mapping[str, str] | None = None,
    language: str = "",
    suppressed: Suppressed | None = None,
) -> GraphSource:
    """The source of one graph.

    side: left or right, which of the two graphs of a folder of DBP15K and of the sample. columns: our columns of triples to
    the file's. language: of the labels that names are taken from, in N-Triples. Of tables: kind, the type of the rows; id,
    the column of the keys, by default "id" where there is one, else the number of the row; name, the column of names;
    shared: columns that become entities, see `shared_column`; attributes: the columns of attributes, by default all others;
    renamed: columns by the names that all of these have here to their names in the file. InputError for a notation of
    graphs that is not read.
    """
    found = form_of(path, form, columns)
    if found == OBJECTS_SAMPLE:
        return ObjectGraph(side, suppressed)
    if found == "dbp15k":
        return Dbp15k(path, suppressed).side(SIDES[side == "right"])
    if found == "n-triples":
        return NTriples(path, language, suppressed)
    if found == "triples":
        return TripleFile(path, part_of(columns or {}, TRIPLES), suppressed)
    _check_notation(path)
    return TableGraph(
        path,
        kind,
        id,
        name,
        tuple(map(shared_column, shared)),
        attributes or None,
        suppressed,
        tuple(sorted((renamed or {}).items())),
    )


def link_source(
    path: str, *, columns: Mapping[str, str] | None = None, suppressed: Suppressed | None = None
) -> LinkSource:
    """The source of known pairs: a file, a folder of DBP15K or the sample."""
    form = form_of(path, AUTO)
    if form == OBJECTS_SAMPLE:
        return ObjectLinks(suppressed)
    if form == "dbp15k":
        return Dbp15k(path, suppressed).links()
    return LinkFile(path, tuple(sorted((columns or {}).items())), suppressed)


def reviewed_source(path: str, *, suppressed: Suppressed | None = None) -> LinkSource:
    """The source of a reviewer's decisions."""
    return ReviewedLinks(path, suppressed)


def check_sides(left: GraphSource, right: GraphSource) -> None:
    """InputError where two tables have no column of attributes in common, by which their rows could be compared."""
    if not isinstance(left, TableGraph) or not isinstance(right, TableGraph):
        return
    sides = left.compared(), right.compared()
    if not set(sides[0]) & set(sides[1]):
        one, other = (", ".join(names[:8]) or "none" for names in sides)
        guess = f"{sides[0][0] if sides[0] else 'COLUMN'}={sides[1][0] if sides[1] else 'COLUMN'}"
        raise InputError(
            f"{right}: expected a column of attributes that {left} has too, found {other} where that has {one}; name those"
            f" of the same meaning, for example --map {guess}"
        )


def part_of(columns: Mapping[str, str], form: Form) -> tuple[tuple[str, str], ...]:
    """The pairs of a mapping whose columns a form has, sorted."""
    return tuple(sorted((ours, theirs) for ours, theirs in columns.items() if ours in form.names))


def _plain_name(path: str) -> str:
    return Path(path).name.lower().removesuffix(".gz")


def _check_notation(path: str) -> None:
    if ending := next((ending for ending in _OTHERS if _plain_name(path).endswith(ending)), ""):
        raise InputError(
            f"{path}: expected a table, triples, N-Triples (.nt) or a folder of DBP15K, found a name that ends in {ending};"
            " convert it to N-Triples, for example with pyoxigraph or riot, or to a table of head, relation and tail"
        )
