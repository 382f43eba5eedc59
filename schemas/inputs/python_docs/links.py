"""References in the "See Also" sections of installed packages' documented objects, and their first sentences."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from fingerpost.schemas.inputs.python_docs.documents import (
    ParsedDistribution,
    document,
    documents_of,
    parse_distribution,
)
from fingerpost.schemas.inputs.python_docs.modules import Definition
from fingerpost.schemas.inputs.python_docs.names import PublicObject
from fingerpost.schemas.inputs.python_docs.namespaces import ModuleName
from fingerpost.schemas.inputs.python_docs.sections import split_see_also, split_sentence

#: Pages but for their texts, which are among the documents: the columns of :class:`Page`.
LINK_SCHEMA = pa.schema(
    [("id", pa.string()), *((name, pa.list_(pa.string())) for name in ("names", "targets", "elsewhere"))]
)


@dataclass(frozen=True)
class Page:
    """A public object: its id among the sample's documents, its names (the preferred one first) and its docstring.

    text: the docstring without "See Also"; empty without a docstring. targets: ids of the same distribution that "See
    Also" lists. elsewhere: listed names that the distribution does not have.
    """

    id: str
    names: tuple[str, ...]
    text: str
    targets: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()


@dataclass(frozen=True)
class DistributionPages:
    """The public objects of a distribution, sorted by name, and its number of unparsed sources."""

    distribution: str
    pages: tuple[Page, ...]
    unparsed: int


@dataclass(frozen=True)
class Links:
    """Ids to the ids in their "See Also", and the numbers of names listed, resolved, and of the object itself.

    Several names of one object on one page count once.
    """

    targets: dict[str, tuple[str, ...]]
    listed: int
    resolved: int
    own: int


def pages_of(distribution: str) -> DistributionPages:
    """The pages of an installed distribution; nothing is imported. Raises InputError if it is missing."""
    parsed = parse_distribution(distribution)
    return DistributionPages(distribution, _pages(parsed), parsed.unparsed)


def extract_with_links(distribution: str) -> tuple[pa.Table, pa.Table, int]:
    """The documents of an installed distribution, and its pages as rows of `LINK_SCHEMA`.

    The third value is the number of sources that could not be parsed. Each source is parsed once. Raises InputError if
    the distribution is missing.
    """
    parsed = parse_distribution(distribution)
    pages = _pages(parsed)
    columns = [[getattr(page, name) for page in pages] for name in LINK_SCHEMA.names]
    links = pa.table(
        [
            pa.array(map(list, c) if n else c, t)
            for n, (c, t) in enumerate(zip(columns, LINK_SCHEMA.types, strict=True))
        ],
        schema=LINK_SCHEMA,
    )
    return documents_of(parsed).rows, links, parsed.unparsed


def pages_from(documents: pa.Table, links: pa.Table) -> tuple[Page, ...]:
    """The pages of a distribution from what `extract_with_links` gave."""
    texts = dict(zip(documents["id"].to_pylist(), documents["text"].to_pylist(), strict=True))
    rows = zip(*(links[name].to_pylist() for name in LINK_SCHEMA.names), strict=True)
    return tuple(
        Page(key, tuple(names), split_see_also(texts.get(key, ""))[0], tuple(targets), tuple(elsewhere))
        for key, names, targets, elsewhere in rows
    )


def _pages(parsed: ParsedDistribution) -> tuple[Page, ...]:
    ids = _ids(parsed)
    names = _Names(parsed, ids)
    pages = []
    for found in parsed.objects:
        if id(found) not in ids:
            continue
        row = document(found, package=parsed.distribution)
        text, listed = split_see_also(row["text"]) if row else ("", ())
        targets: dict[str, None] = {}
        elsewhere = []
        for name in listed:
            target = names.resolved(name, found)
            if target is None:
                elsewhere.append(name)
            else:
                targets[target] = None
        pages.append(Page(ids[id(found)], (found.name, *found.aliases), text, tuple(targets), tuple(elsewhere)))
    return tuple(pages)


def links_of(found: Sequence[DistributionPages]) -> Links:
    """The links between the pages of distributions: what one does not know by name may be a full name of another."""
    known: dict[str, str] = {}
    for part in found:
        for page in part.pages:
            for name in page.names:
                known.setdefault(name, page.id)
    targets: dict[str, tuple[str, ...]] = {}
    listed = resolved = own = 0
    for page in (page for part in found for page in part.pages):
        others = [known[name] for name in page.elsewhere if "." in name and name in known]
        every = dict.fromkeys([*page.targets, *others])
        listed += len(page.targets) + len(page.elsewhere)
        resolved += len(page.targets) + len(others)
        own += page.id in every
        every.pop(page.id, None)
        if every and page.id not in targets:
            targets[page.id] = tuple(every)
    return Links(targets, listed, resolved, own)


def sentence_of(page: Page) -> tuple[str, str]:
    """The first sentence of a page, and the rest of its text."""
    return split_sentence(page.text)


def _ids(parsed: ParsedDistribution) -> dict[int, str]:
    """Objects (by ``id()``) to their ids: first documented objects as in the sample, then others if an id is free."""
    taken: set[str] = set()
    ids: dict[int, str] = {}
    documented = {id(found): document(found, package=parsed.distribution) is not None for found in parsed.objects}
    for wanted in (True, False):
        for found in parsed.objects:
            key = found.name if found.name not in taken else f"{found.name}:{found.kind}"
            if documented[id(found)] == wanted and key not in taken:
                taken.add(key)
                ids[id(found)] = key
    return ids


class _Names:
    """The objects of a distribution by all their names."""

    def __init__(self, parsed: ParsedDistribution, ids: dict[int, str]) -> None:
        self.spaces, self.ids = parsed.spaces, ids
        self.by_name: dict[str, PublicObject] = {}
        self.by_definition: dict[int, PublicObject] = {}
        self.ends: dict[str, dict[int, PublicObject]] = {}
        for found in parsed.objects:
            if id(found) not in ids:
                continue
            if found.definition is not None:
                self.by_definition.setdefault(id(found.definition), found)
            for name in (found.name, *found.aliases):
                self.by_name.setdefault(name, found)
                parts = name.split(".")
                for start in range(1, len(parts)):
                    self.ends.setdefault(".".join(parts[start:]), {})[id(found)] = found

    def resolved(self, written: str, origin: PublicObject) -> str | None:
        """The id of the object that a name in the docstring of ``origin`` refers to; None if that is ambiguous.

        Tried in this order: relative to its class and the enclosing modules, under any of its names; as a full name; as
        resolved in its source; a name with a leading dot or a private first part as the end of exactly one full name.
        """
        is_end, name = written.startswith("."), written.lstrip(".")
        found = next((o for path in self._paths(name, origin) if (o := self._at(path)) is not None), None)
        found = found or self._in_source(name, origin)
        if found is None and name.startswith("_") and "." in name:  # SQLAlchemy's shortcuts: _orm.Session
            is_end, name = True, name.partition(".")[2]
        if found is None and is_end and len(ends := self.ends.get(name, {})) == 1:
            (found,) = ends.values()
        return None if found is None else self.ids[id(found)]

    def _paths(self, name: str, origin: PublicObject) -> Iterator[str]:
        top = origin.name.partition(".")[0]
        if name.startswith(top + "."):
            yield name
        for known in (origin.name, *origin.aliases):
            around = known if origin.kind in ("class", "module") else known.rpartition(".")[0]
            while around:
                yield f"{around}.{name}"
                around = around.rpartition(".")[0]
        yield name

    def _at(self, path: str) -> PublicObject | None:
        """The object with a name; a member that its class has from a base, too."""
        if path in self.by_name:
            return self.by_name[path]
        owner, _, member = path.rpartition(".")
        holder = self.by_name.get(owner)
        definition = holder.definition if holder is not None else None
        if definition is None or definition.kind != "class":
            return None
        bases = self.spaces.bases(definition)
        inherited = next((base.members[member] for base in bases if member in base.members), None)
        return None if inherited is None else self.by_definition.get(id(inherited))

    def _in_source(self, name: str, origin: PublicObject) -> PublicObject | None:
        if origin.module not in self.spaces.modules:
            return None
        target = self.spaces.expression(origin.module, name)
        if isinstance(target, ModuleName):
            return self.by_name.get(target.name)
        return self.by_definition.get(id(target)) if isinstance(target, Definition) else None
