"""Proof that a key is nowhere in a store: every file is read, Parquet decoded, and its bytes searched."""

import hashlib
import html
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.flows import domains
from fingerpost.schemas.contract import Table
from fingerpost.schemas.decoding import columns_of, decoded_texts, equals, held
from fingerpost.schemas.errors import CorruptArtifactError
from fingerpost.schemas.forgotten import FOLDER as FORGOTTEN
from fingerpost.schemas.inputs.forms import ID_SHOWN
from fingerpost.schemas.inputs.stored import holding
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.store import Store
from fingerpost.schemas.wording import shown

#: Shorter texts occur at random in compressed bytes; they are searched only as whole cells.
_LEAST_BYTES = 6
#: The columns with text of rows; columns with ids are searched for the key itself.
#: Ends of the names of files with stored tables.
_TABLES = (".parquet", ".arrow")
_SAID = ["id", "title", "name", "text", "query", "kind", "package", "label", "group", "signature", "names", "elsewhere"]
#: Maximum number of texts, and of their words, that are searched.
_TEXTS, _WORDS = 200, 50


@dataclass(frozen=True)
class Needles:
    """What is searched: the key as a whole cell, and, as bytes, texts that nothing else in the collection contains."""

    key: str
    distinct: tuple[str, ...]
    shared: int = 0
    #: What nothing else in the collection contains, of any length, in the spelling in which parts of texts are stored.
    parts: tuple[str, ...] = ()
    #: What was made of its texts, such as stems, and of no others in the store.
    terms: tuple[str, ...] = ()
    #: The key in the forms in which the store has it.
    wanted: Suppressed | None = None

    @property
    def hashes(self) -> list[bytes]:
        """The hashes that stand for the key."""
        return [cell.encode() for cell in self.wanted.hashes] if self.wanted is not None else []

    @property
    def form(self) -> list[bytes]:
        """The form in which texts that may be spelled in several ways are compared, if there is one."""
        form = self.wanted.spelled(self.key) if self.wanted is not None and self.wanted.spelled is not None else ""
        return _bytes([form]) if form else []

    @property
    def cells(self) -> list[bytes]:
        """The ids of the key: the key, and the forms in which domains store it among other ids."""
        written = [form.format(key=self.key) for domain in domains.DOMAINS for form in domain.written_keys]
        return [cell.encode("utf-8", "backslashreplace") for cell in (self.key, *written)]

    @property
    def forms(self) -> list[bytes]:
        """The bytes as files may contain them: unchanged, in lower case, escaped for JSON and for HTML."""
        found: dict[bytes, None] = {}
        for text in self.distinct:
            for form in (text, text.lower()):
                found |= dict.fromkeys(one.encode("utf-8", "backslashreplace") for one in _written(form))
        return list(found)

    @property
    def without_words(self) -> "Needles":
        """What is searched where the program's own words are: the key, and texts of more than one word."""
        return replace(self, distinct=tuple(text for text in self.distinct if text == self.key or " " in text))

    @property
    def quoted(self) -> list[str]:
        """The key as messages about rows quote it: however short it is, and cut where it is long."""
        texts = [cell.decode() for cell in self.cells] + [text for text in self.distinct if len(text) > ID_SHOWN - 2]
        return list(dict.fromkeys(f" ({shown(text, ID_SHOWN)})" for text in texts))

    @cached_property
    def _quoted(self) -> re.Pattern[bytes]:
        written = {one.encode("utf-8", "backslashreplace") for text in self.quoted for one in _written(text)}
        return re.compile(rb"row \d+(?:" + b"|".join(map(re.escape, sorted(written))) + b")")

    def said_in(self, content: bytes) -> bool:
        """Whether a file's content contains one of the texts, or a message about a row of the key."""
        return any(form in content for form in self.forms) or self._quoted.search(content) is not None


def _written(text: str) -> tuple[str, ...]:
    """A text as files may contain it: unchanged, and escaped for HTML and for JSON."""
    return text, html.escape(text), json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]


@dataclass
class Absence:
    """The extent of a search, and the paths of its findings."""

    files: int = 0
    bytes: int = 0
    decoded: int = 0
    left_out: int = 0
    findings: list[str] = field(default_factory=list)


def needles_of(
    store: Store,
    wanted: Suppressed,
    key: str,
    texts: Iterable[str],
    tables: Mapping[str, Table],
    ours: Iterable[bytes],
    *,
    others: Iterable[pa.Array] = (),
    terms: Iterable[str] = (),
) -> Needles:
    """The key, the texts, their lines and words, without those that other rows of the tables contain too.

    ``tables``: by path. ``others``: further texts of other keys. ``terms``: those that no other has. A single word that is
    also in ``ours`` (manifests, settings) or a part of a path would be found everywhere, and is searched only in columns of
    ids; the key only if it is a part of a path.
    """
    chosen = list(dict.fromkeys(texts))[:_TEXTS]
    lines = [line.strip() for text in chosen for line in text.splitlines()]
    words = sorted(
        {word for text in chosen for word in re.findall(r"\w{5,}", text)}, key=lambda word: (-len(word), word)
    )
    pieces = [key, *chosen, *(line for line in lines if len(line) >= 2 * _LEAST_BYTES), *words[:_WORDS]]
    candidates = [text for text in dict.fromkeys(pieces) if len(text.encode("utf-8", "replace")) >= _LEAST_BYTES]
    paths = "\n".join(store.files.listing()).lower().encode()
    names = paths + b"\n".join(ours).lower()
    common = {
        text for text in candidates if len(text.split()) == 1 and _lower(text) in (paths if text == key else names)
    }
    spelled = wanted.spelled or str.lower
    parts = dict.fromkeys(part for text in (key, *chosen) for part in (spelled(text), *spelled(text).split()) if part)
    more: Iterator[tuple[Iterator[pa.Array], Iterator[pa.Array]]] = iter([(map(_lowered, others), iter(()))])
    for lowered, in_form in chain(_other_texts(store, wanted, tables), more):
        for said in lowered:
            found = held(said, {_lower(text) for text in candidates if text not in common})
            common |= {text for text in candidates if _lower(text) in found}
        for said in in_form:
            found = held(said, _bytes(parts))
            parts = {part: None for part in parts if part.encode("utf-8", "backslashreplace") not in found}
    kept = tuple(text for text in candidates if text not in common)
    return Needles(key, kept, len(candidates) - len(kept), tuple(parts), tuple(terms), wanted)


def _other_texts(
    store: Store, wanted: Suppressed, tables: Mapping[str, Table]
) -> Iterator[tuple[Iterator[pa.Array], Iterator[pa.Array]]]:
    """The texts of rows of other keys by file: in lower case, and those of spelled columns in the form compared."""
    for path, table in sorted(tables.items()):
        said = columns_of(store.files.read(path), [*dict.fromkeys((*table.key_columns, *_SAID))], where=path)
        hits = holding(said, wanted, table.key_columns, spelled=table.spelled)
        rows = said.filter(pa.array([not hit for hit in hits], pa.bool_()))
        texts = rows.select([name for name in _SAID if name in rows.column_names])
        yield map(_lowered, _flat(texts)), _in_form(rows.select(list(table.spelled)), wanted.spelled or str.lower)


def _flat(rows: pa.Table) -> Iterator[pa.Array]:
    for column in rows.columns:
        for chunk in column.chunks:
            yield (chunk.flatten() if pa.types.is_list(chunk.type) else chunk).unique()


def _lowered(texts: pa.Array) -> pa.Array:
    return pc.utf8_lower(texts.cast(pa.large_string())).cast(pa.large_binary())


def _in_form(rows: pa.Table, spelled: Callable[[str], str]) -> Iterator[pa.Array]:
    """The distinct texts of columns in the form in which they are compared."""
    for chunk in _flat(rows):
        forms = [spelled(text).encode("utf-8", "backslashreplace") for text in chunk.unique().to_pylist() if text]
        yield pa.array(forms, pa.large_binary())


def _lower(text: str) -> bytes:
    return text.lower().encode("utf-8", "backslashreplace")


def search(store: Store, needles: Needles, *, leave_out: Collection[str] = ()) -> Absence:
    """Searches every file of a store except ``leave_out``, as bytes and, for stored tables, decoded.

    In tables of the program's own words, such as reasons and names of metrics, a single word is none of a text.
    """
    found, hashes, every, some = Absence(), needles.hashes, needles, needles.without_words
    written = {False: every.forms, True: some.forms}
    for path in store.files.listing():
        if path in leave_out:
            found.left_out += 1
            continue
        try:
            content = store.files.read(path)
        except FileNotFoundError:
            continue
        found.files += 1
        found.bytes += len(content)
        own = path.endswith(_TABLES) and _stored_table(path).own_words
        needles, forms = some if own else every, written[own]
        hit = any(form in path.encode() for form in forms) or needles.said_in(content)
        if not path.startswith(f"{FORGOTTEN}/"):  # which names what is forgotten by its hash
            hit = hit or any(one in path.encode() or one in content for one in hashes)
        if path.endswith(_TABLES):
            found.decoded += 1
            hit = hit or _in_table(content, _stored_table(path), [*forms, *hashes], needles)
        elif path.endswith(".json"):
            hit = hit or _in_json(content, needles.key)
        if hit:
            found.findings.append(path)
    return found


def _stored_table(path: str) -> Table:
    """The table of a stored file, by the contract and table in its path."""
    return domains.stored_table(path.split("/")[0], path.rsplit("/", 1)[-1].rsplit("-", 2)[0])


def _in_table(content: bytes, table: Table, forms: list[bytes], needles: Needles) -> bool:
    """Whether a decoded cell contains one of the forms, or is the key, in any spelling where that does not count, or is a
    part of it in a column of parts.
    """
    try:
        if _has_cell(content, table.key_columns, needles.cells):
            return True
        if _has_cell(content, table.forms, needles.form) or _has_cell(content, table.parts, _bytes(needles.parts)):
            return True
        if _has_cell(content, table.terms, _bytes(needles.terms)):
            return True
        if _has_spelling(content, table.spelled, needles):
            return True
        return any(held(texts, forms) for texts in decoded_texts(content))
    except (CorruptArtifactError, pa.ArrowException, OSError):
        return False  # its bytes were searched undecoded


def _has_spelling(content: bytes, columns: Sequence[str], needles: Needles) -> bool:
    """Whether a cell of one of the columns is a spelling of the key."""
    rows = columns_of(content, list(columns), where="a file")
    if needles.wanted is None or not rows.column_names:
        return False
    return any(holding(rows, needles.wanted, rows.column_names, spelled=columns))


def _has_cell(content: bytes, columns: Iterable[str], cells: Collection[bytes]) -> bool:
    """Whether a cell of one of the columns equals one of the cells."""
    for chunk in _flat(columns_of(content, list(columns), where="a file")):
        found = chunk.cast(pa.large_string()).cast(pa.large_binary())
        if any(equals(found, cell) for cell in cells):
            return True
    return False


def _bytes(texts: Iterable[str]) -> list[bytes]:
    return [text.encode("utf-8", "backslashreplace") for text in texts]


def _in_json(content: bytes, key: str) -> bool:
    """Whether an id in a JSON file is the key."""
    try:
        return key in set(_ids(json.loads(content)))
    except (ValueError, RecursionError):
        return False


def _ids(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            if name in {"id", "ids"}:
                yield from (one for one in (item if isinstance(item, list) else [item]) if isinstance(one, str))
            yield from _ids(item)
    elif isinstance(value, list):
        for item in value:
            yield from _ids(item)


def digest_of_texts(needles: Needles, salt: bytes) -> str:
    """A keyed digest of the searched key, which does not reveal it."""
    return hashlib.blake2b(
        "\0".join((needles.key, *needles.distinct)).encode("utf-8", "backslashreplace"), key=salt[:64]
    ).hexdigest()[:32]
