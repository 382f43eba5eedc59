"""The built-in graphs and links: the objects of numpy (left) and of dask.array (right), and what dask says that it mirrors.

Nothing on the right tells what it mirrors but what dask wrote for itself: the text of an object that is documented by that
of another one is not its own, and calls of the other package are no relations.
"""

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import pyarrow as pa

from fingerpost.schemas.inputs import OBJECTS_SAMPLE
from fingerpost.schemas.inputs.forms import Quarantine
from fingerpost.schemas.inputs.graph_links import GIVEN, LINK_SCHEMA, LinkBatch
from fingerpost.schemas.inputs.graphs import Attribute, GraphBatch, GraphRows
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import digest_of

if TYPE_CHECKING:
    from fingerpost.schemas.inputs.python_docs.mirrors import Mirror
    from fingerpost.schemas.inputs.python_docs.objects import CodeGraph

#: The distributions, their packages, and the parts of these that are no interface.
_SIDES = {"left": ("numpy", "numpy"), "right": ("dask", "dask.array")}
_LEFT_OUT = (
    *("numpy." + name for name in ("distutils", "f2py", "testing", "typing", "_typing", "ctypeslib", "matlib", "core")),
    "dask.array._array_expr",
)
#: The relations that lead to what is no object of the package, and the types of their ends.
_ENDS = {"takes": "parameter", "raises": "exception"}


@dataclass(frozen=True)
class ObjectGraph:
    """The graph of one package, left or right.

    Entities: modules, classes, functions, methods, parameters and exceptions. suppressed: ids that are left out.
    """

    side: str
    suppressed: Suppressed | None = None

    def __str__(self) -> str:
        return f"{OBJECTS_SAMPLE} ({_SIDES[self.side][1]})"

    def identity(self) -> str:
        """A digest of versions, recorded hashes, and of all suppressed keys; reads no source."""
        return _identity([self.side], self.suppressed)

    def check(self) -> None:
        """InputError where the distribution is not installed."""
        self.identity()

    def read(self) -> GraphBatch:
        """The graph."""
        graph, mirrors = _code(self.side)
        # What is documented by another object has no text of its own.
        derived = {graph.places.get(place) for place, _ in mirrors}
        rows = GraphRows(suppressed=self.suppressed)
        for one in graph.objects:
            rows.entity(one.id, kind=one.kind, name=one.name)
            rows.rows += 1
            texts = {"signature": one.signature, "summary": "" if one.id in derived else one.summary}
            for key, text in texts.items():
                if text:
                    rows.attribute(one.id, Attribute(key, text))
        for head, relation, tail in graph.relations:
            kind = _ENDS.get(relation)
            end = f"{kind}={tail}" if kind else tail
            if kind:
                rows.entity(end, kind=kind, name=tail)
            rows.relation(head, relation, end)
        return rows.batch()


@dataclass(frozen=True)
class ObjectLinks:
    """The objects of dask.array with those of numpy that they say to mirror, and, as pairs that are two objects, with others
    of the same name and type. suppressed: ids that are left out.
    """

    suppressed: Suppressed | None = None

    def __str__(self) -> str:
        return f"{OBJECTS_SAMPLE} (links)"

    def identity(self) -> str:
        """A digest of versions, recorded hashes, and of all suppressed keys; reads no source."""
        return _identity(list(_SIDES), self.suppressed)

    def check(self) -> None:
        """InputError where a distribution is not installed."""
        self.identity()

    def read(self) -> LinkBatch:
        """The links, without splits."""
        (left, _), (right, mirrors) = (_code(side) for side in _SIDES)
        pairs = _mirrors(left, right, mirrors)
        rows = [(one, other, 1) for one, other in pairs.items()] + [
            (*pair, 0) for pair in _namesakes(left, right, pairs)
        ]
        kept = sorted(row for row in rows if not self._leaves_out(*row[:2]))
        columns = list(zip(*kept, strict=True)) or [(), (), ()]
        more = [[""] * len(kept), [GIVEN] * len(kept)]
        arrays = [
            pa.array(column, kind)
            for column, kind in zip([range(len(kept)), *columns, *more], LINK_SCHEMA.types, strict=True)
        ]
        return LinkBatch(pa.Table.from_arrays(arrays, schema=LINK_SCHEMA), Quarantine())

    def _leaves_out(self, *keys: str) -> bool:
        return self.suppressed is not None and any(self.suppressed.match(key) for key in keys)


@lru_cache(maxsize=2)
def _code(side: str) -> "tuple[CodeGraph, tuple[Mirror, ...]]":
    """The graph of a package, and what its objects say to mirror; parsed once a process."""
    from fingerpost.schemas.inputs.python_docs.mirrors import mirrored
    from fingerpost.schemas.inputs.python_docs.objects import code_graph, package_of

    package = package_of(*_SIDES[side], left_out=_LEFT_OUT)
    return code_graph(package), tuple(mirrored(package))


def _identity(sides: list[str], suppressed: Suppressed | None) -> str:
    from fingerpost.schemas.inputs.python_docs import python_docs_fingerprint

    digests = sorted(digest for digest, _ in suppressed.entries) if suppressed is not None else []
    return digest_of([OBJECTS_SAMPLE, sides, python_docs_fingerprint(_SIDES[side][0] for side in sides), digests])


def _mirrors(left: "CodeGraph", right: "CodeGraph", said: "tuple[Mirror, ...]") -> dict[str, str]:
    """Left to right ids of pairs of one type; of several objects that mirror one, the one of its name, or none of them."""
    by_name = left.by_name()
    kinds = {one.id: (one.kind, one.name) for one in (*left.objects, *right.objects)}
    found: dict[str, list[str]] = {}
    for place, target in said:
        one, other = by_name.get(target), right.places.get(place)
        if one is not None and other is not None and kinds[one][0] == kinds[other][0]:
            found.setdefault(one, []).append(other)
    chosen = {}
    for one, others in found.items():
        same = [other for other in dict.fromkeys(others) if len(set(others)) == 1 or kinds[other] == kinds[one]]
        if len(same) == 1:
            chosen[one] = same[0]
    counts = Counter(chosen.values())
    return {one: other for one, other in chosen.items() if counts[other] == 1}


def _namesakes(left: "CodeGraph", right: "CodeGraph", pairs: dict[str, str]) -> list[tuple[str, str]]:
    """Pairs of another object of the same name and type with one that is known to mirror something else."""
    mirrors = {other: one for one, other in pairs.items()}
    named: dict[tuple[str, str], list[str]] = {}
    for one in left.objects:
        named.setdefault((one.kind, one.name), []).append(one.id)
    return [
        (one, other.id)
        for other in right.objects
        if other.id in mirrors
        for one in named.get((other.kind, other.name), [])
        if one != mirrors[other.id]
    ]
