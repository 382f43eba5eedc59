"""What graphs and links will bring, told from the numbers of their lines and from the first ones: for plans of runs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from fingerpost.schemas.inputs.files import input_files
from fingerpost.schemas.inputs.formats import Reading, read_file
from fingerpost.schemas.inputs.forms import Form, checked_mapping
from fingerpost.schemas.inputs.graph_cells import cells_of
from fingerpost.schemas.inputs.graph_lines import opened_lines
from fingerpost.schemas.inputs.graph_links import DECISIONS, LINKS, REVIEWED_LINKS, LinkFile, LinkSource, ReviewedLinks
from fingerpost.schemas.inputs.graph_sources import GraphSource
from fingerpost.schemas.inputs.graphs_rdf import NTriples
from fingerpost.schemas.inputs.graphs_tables import SharedColumn, TableGraph
from fingerpost.schemas.inputs.graphs_triples import TRIPLES, Dbp15kLinks, Dbp15kSide, TripleFile
from fingerpost.schemas.inputs.outlook import expected_distinct, row_count

#: Lines of a graph whose entities are counted, beyond which their number is expected to go on as it did.
_LINES = 50_000


@dataclass(frozen=True)
class GraphOutlook:
    """What a graph is expected to bring.

    entities: of all types. rows: those that are the rows of a table, else all. relations: between entities.
    """

    entities: float
    rows: float
    relations: float


def graph_outlook(source: GraphSource) -> GraphOutlook | None:
    """The outlook of a user's graph; None for one that is no file. InputError if its first lines cannot be read."""
    if isinstance(source, Dbp15kSide):
        entities = _lines(Path(source.path) / f"ent_ids_{source.number}")
        return GraphOutlook(entities, entities, _lines(Path(source.path) / f"triples_{source.number}"))
    if isinstance(source, NTriples):
        return _of_pairs(list(_first(source.path)), _lines(Path(source.path)))
    if isinstance(source, TripleFile):
        return _of_triples(source)
    return _of_table(source) if isinstance(source, TableGraph) else None


def links_outlook(source: LinkSource) -> tuple[float, float]:
    """The expected pairs of the same entity, and of two; InputError if the first links cannot be read."""
    if isinstance(source, Dbp15kLinks):
        files = [Path(source.path) / name for name in ("ref_ent_ids", "sup_ent_ids")]
        return sum(_lines(file) for file in files if file.is_file()), 0.0
    if not isinstance(source, LinkFile | ReviewedLinks):
        return 0.0, 0.0
    form, mapping = REVIEWED_LINKS, dict[str, str]()
    if isinstance(source, LinkFile):
        form, mapping = LINKS, checked_mapping(dict(source.mapping), LINKS)
    files = input_files(source.path)
    batch = next(read_file(files[0], Reading(mapping, form=form)))
    labels = cells_of(batch.columns["label"]).texts.to_pylist() if "label" in batch.columns else []
    known = [DECISIONS.get(str(label).lower()) for label in labels if label is not None]
    rows = float(sum(map(row_count, files)))
    if not known:
        return (rows, 0.0) if isinstance(source, LinkFile) else (0.0, 0.0)
    return rows * known.count(1) / len(labels), rows * known.count(0) / len(labels)


def _lines(file: Path) -> float:
    with opened_lines(file) as lines:
        return float(sum(1 for _ in lines))


def _first(path: str) -> Iterator[tuple[str, str]]:
    """Head and tail of the first lines of N-Triples; an empty tail where that is no entity."""
    with opened_lines(Path(path)) as lines:
        for line in islice(lines, _LINES):
            parts = line.split(None, 2)
            if len(parts) == 3:
                yield parts[0], parts[2].rpartition(".")[0].strip() if parts[2][0] in "<_" else ""


def _of_pairs(pairs: Sequence[tuple[str, str]], lines: float) -> GraphOutlook:
    """Of the heads and tails of the first lines, and the number of all; an empty tail is no entity."""
    heads = [head for head, _ in pairs]
    both = [key for head, tail in pairs for key in (head, tail or head)]
    entities = max(expected_distinct(both, 2 * lines), expected_distinct(heads, lines))
    return GraphOutlook(entities, entities, sum(bool(tail) for _, tail in pairs) * lines / max(len(pairs), 1))


def _of_triples(source: TripleFile) -> GraphOutlook:
    files = input_files(source.path)
    batch = next(read_file(files[0], Reading(checked_mapping(dict(source.mapping), TRIPLES), form=TRIPLES)))
    heads, tails = (cells_of(batch.columns[name]).texts.fill_null("").to_pylist()[:_LINES] for name in ("head", "tail"))
    return _of_pairs(list(zip(heads, tails, strict=True)), float(sum(map(row_count, files))))


def _of_table(source: TableGraph) -> GraphOutlook:
    files = input_files(source.path)
    rows = float(sum(map(row_count, files)))
    shared = [_shared(source, one, files[0], rows) for one in source.shared]
    return GraphOutlook(rows + sum(one for one, _ in shared), rows, sum(relations for _, relations in shared))


def _shared(source: TableGraph, shared: SharedColumn, file: Path, rows: float) -> tuple[float, float]:
    """The expected entities of a shared column, and the relations to them."""
    name = dict(source.renamed).get(shared.column, shared.column)
    form = Form((shared.column,), needed=(shared.column,), vectors=(), numbers=())
    cells = cells_of(next(read_file(file, Reading({shared.column: name}, form=form))).columns[shared.column]).texts
    keys = [key for text in cells.drop_null().to_pylist() for key, _ in shared.keys(text)]
    relations = len(keys) * rows / max(len(cells), 1)
    return expected_distinct(keys, relations), relations
