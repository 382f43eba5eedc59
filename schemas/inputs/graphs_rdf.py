"""Graphs of RDF: N-Triples in, by pyoxigraph's parser, which keeps every value as it is written.

A literal is an attribute, a resource a related entity, rdf:type the type. Blank nodes keep their labels. Language tags are
in lower case and an explicit xsd:string is left out, as RDF 1.1 has them; all else comes back as it was.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import pyoxigraph as ox

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.files import check_regular
from fingerpost.schemas.inputs.graph_lines import opened_lines
from fingerpost.schemas.inputs.graphs import Attribute, GraphBatch, GraphRows
from fingerpost.schemas.inputs.graphs_triples import local_name
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import digest_of

TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
LABEL = "http://www.w3.org/2000/01/rdf-schema#label"
TEXT = "http://www.w3.org/2001/XMLSchema#string"
TAGGED = "http://www.w3.org/1999/02/22-rdf-syntax-ns#langString"
_Node: TypeAlias = ox.NamedNode | ox.BlankNode
_Triple: TypeAlias = tuple[_Node, ox.NamedNode, _Node | ox.Literal]
#: Lines that are parsed together; where one is refused, these are parsed one by one.
_TOGETHER = 4096


@dataclass(frozen=True)
class NTriples:
    """A file in N-Triples, or N-Triples with gzip.

    language: the tag of labels that names are taken from, "en" for example; "" for those without a tag. An entity without
    such a label has the last part of its IRI as its name. suppressed: ids to leave out, with all that is said of them.
    """

    path: str
    language: str = ""
    suppressed: Suppressed | None = None

    def __str__(self) -> str:
        return self.path

    def identity(self) -> str:
        """sha256 over the contents, the language and the digests of suppressed ids; InputError if it cannot be read."""
        dropped: set[str] = set()
        if self.suppressed is not None:
            rows = GraphRows(suppressed=self.suppressed)
            self._gather(rows)
            dropped = rows.dropped
        contents = hashlib.sha256(self._file().read_bytes()).hexdigest()
        return digest_of(["n-triples", contents, self.language, sorted(dropped)])

    def check(self) -> None:
        """InputError for a file that is missing; reads none of it."""
        self._file()

    def read(self) -> GraphBatch:
        """The graph; lines that are no triple are quarantined. InputError if it cannot be read."""
        rows = GraphRows(suppressed=self.suppressed)
        self._gather(rows)
        return rows.batch()

    def _gather(self, rows: GraphRows) -> None:
        with opened_lines(self._file()) as lines:
            for triple in _triples(lines, rows):
                self._add(triple, rows)
                rows.rows += 1

    def _add(self, triple: _Triple, rows: GraphRows) -> None:
        head, relation, tail = _key(triple[0]), triple[1].value, triple[2]
        _meet(head, rows)
        if not isinstance(tail, ox.Literal):
            other = _key(tail)
            if relation == TYPE:
                rows.entity(head, kind=other)
            _meet(other, rows)
            rows.relation(head, relation, other)
            return
        language, datatype = tail.language or "", tail.datatype.value
        rows.attribute(head, Attribute(relation, tail.value, "" if datatype in (TEXT, TAGGED) else datatype, language))
        if relation == LABEL and language == self.language.lower():
            rows.entity(head, label=tail.value)

    def _file(self) -> Path:
        file = Path(self.path)
        if not file.is_file():
            raise InputError(f"{file}: expected a file in N-Triples, found none; check the path")
        check_regular(file)
        return file


def _key(node: _Node) -> str:
    return f"_:{node.value}" if isinstance(node, ox.BlankNode) else node.value


def _meet(key: str, rows: GraphRows) -> None:
    """Adds an entity under the name that its key says, unless it was met."""
    if not rows.has(key):
        rows.entity(key, name=_own_name(key))


def _own_name(key: str) -> str:
    return "" if key.startswith("_:") else local_name(key)


def says(line: str, suppressed: Suppressed) -> bool:
    """Whether a line is about a suppressed entity or says its key; one that cannot be read, whether it mentions the key."""
    try:
        triples = list(_parsed(line))
    except (SyntaxError, UnicodeEncodeError):
        return bool(suppressed.mentioned(line))
    found = GraphRows(suppressed=suppressed)
    return any(found.names_suppressed(_key(head), _end(tail)) for head, _, tail in triples)


def _end(tail: _Node | ox.Literal) -> str:
    return tail.value if isinstance(tail, ox.Literal) else _key(tail)


def _triples(lines: Iterator[str], rows: GraphRows) -> Iterator[_Triple]:
    """The triples of lines; those that the parser refuses are quarantined, unless they mention a suppressed key."""
    met = 0
    while some := list(islice(lines, _TOGETHER)):
        try:
            yield from list(_parsed("".join(some)))
        except SyntaxError:
            for place, line in enumerate(some):
                try:
                    yield from list(_parsed(line))
                except SyntaxError as problem:
                    if not rows.mentions_suppressed(line):
                        rows.quarantine.add(met + place, None, "invalid line", str(problem))
        met += len(some)


def _parsed(text: str) -> Iterator[_Triple]:
    """The subject, predicate and object of triples; SyntaxError as well for terms that only RDF 1.2 has."""
    for quad in ox.parse(input=text, format=ox.RdfFormat.N_TRIPLES):
        head, tail = quad.subject, quad.object
        if isinstance(head, ox.Triple) or isinstance(tail, ox.Triple):
            raise SyntaxError("a triple as a term, which RDF 1.1 does not have")
        if isinstance(tail, ox.Literal) and tail.direction is not None:
            raise SyntaxError("a text with a direction, which RDF 1.1 does not have")
        yield head, quad.predicate, tail
