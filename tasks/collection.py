"""A collection as callers use it: its published products, opened when they are first used, and batches of questions.

import fingerpost

products = fingerpost.open("products")
products.query(["red shoes", "blue shirt"], k=5).to_pandas()
"""

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from threading import RLock
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from fingerpost.schemas.errors import FingerpostError, MissingArtifactError
from fingerpost.schemas.publish import Pointer, only_collection, products
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store, find_store
from fingerpost.tasks.results import Batch, Opened, Rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from fingerpost.tasks.ann.answers import Answer, Answers
    from fingerpost.tasks.ann.matches import Matches
    from fingerpost.tasks.ann.open import LiveIndex
    from fingerpost.tasks.autocomplete.completer import Suggestion
    from fingerpost.tasks.autocomplete.open import LiveCompleter
    from fingerpost.tasks.autocomplete.request import Request
    from fingerpost.tasks.kg.open import LiveAlignment
    from fingerpost.tasks.metric.open import LiveThreshold
    from fingerpost.tasks.nas.open import LiveNetwork
    from fingerpost.tasks.xmr.open import LiveRanker, RankedLabel

Product = TypeVar("Product", bound=Opened)
Question = TypeVar("Question")


class Published(Generic[Product]):
    """A product of a collection, as an attribute of it: opened when it is first used, and kept.

    product: its name in the store. opened: ``module:class`` of what it is opened as.
    """

    def __init__(self, product: str, opened: str, doc: str) -> None:
        self.product, self.opened, self.__doc__ = product, opened, doc

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, collection: None, owner: type) -> "Published[Product]": ...
    @overload
    def __get__(self, collection: "Collection", owner: type) -> Product: ...
    def __get__(self, collection: "Collection | None", owner: type) -> "Published[Product] | Product":
        return self if collection is None else collection._opened(self)

    def __set__(self, collection: "Collection", value: object) -> None:
        raise AttributeError(f"{self.name}: expected to be read, not set; promote another version of {self.product}")

    def open(self, store: Store, ref: Ref, collection: str) -> Product:
        """The product of a release."""
        module, name = self.opened.split(":")
        made: Product = getattr(import_module(module), name).of(store, ref, collection)
        return made


class Collection:
    """What is published of a collection. Its products are opened when they are first used, and kept.

    All answers are those of the versions that were live when the collection was opened, until `refresh`. Any number of
    threads may use it. FingerpostError (MissingArtifactError for what is not published) in one line for what cannot be done.
    """

    index: "Published[LiveIndex]" = Published(
        "ann.index", "fingerpost.tasks.ann.open:LiveIndex", "The index of documents: by words, by vectors, by example."
    )
    ranker: "Published[LiveRanker]" = Published(
        "xmr.ranker", "fingerpost.tasks.xmr.open:LiveRanker", "The ranker: from a text to labels."
    )
    completer: "Published[LiveCompleter]" = Published(
        "autocomplete.completer",
        "fingerpost.tasks.autocomplete.open:LiveCompleter",
        "The completer: from what is typed, and what was asked before, to queries.",
    )
    alignment: "Published[LiveAlignment]" = Published(
        "kg.alignment", "fingerpost.tasks.kg.open:LiveAlignment", "The alignment: which entities are the same."
    )
    threshold: "Published[LiveThreshold]" = Published(
        "metric.threshold",
        "fingerpost.tasks.metric.open:LiveThreshold",
        "The threshold: from which similarity two vectors stand for the same.",
    )
    network: "Published[LiveNetwork]" = Published(
        "nas.network", "fingerpost.tasks.nas.open:LiveNetwork", "The network: from images to their classes."
    )

    def __init__(self, store: Store, name: str) -> None:
        self.store, self.name = store, name
        self._lock, self._kept = RLock(), dict[str, Any]()
        self._pinned = self._live()

    @property
    def versions(self) -> Mapping[str, Ref]:
        """The versions that answer, by product: ``index``, ``ranker`` and so on."""
        return dict(self._pinned)

    def moved(self) -> list[str]:
        """The products whose live version is another one now, after a promotion or a rollback; reads pointers alone."""
        return self._moved(self._live())

    def refresh(self) -> list[str]:
        """Answers with the live versions from now on, and returns the products that moved.

        What was opened of the others stays open; a question that is being answered is answered by the version before.
        """
        with self._lock:
            live = self._live()
            moved = self._moved(live)
            self._pinned = live
            self._kept = {name: kept for name, kept in self._kept.items() if name not in moved}
            return moved

    @overload
    def query(self, texts: str, **options: Any) -> "Answers": ...
    @overload
    def query(self, texts: Sequence[str], **options: Any) -> "Batch[Answer]": ...
    def query(
        self, texts: str | Sequence[str], *, within: "float | Literal['threshold'] | None" = None, **options: Any
    ) -> "Answers | Batch[Answer]":
        """The documents that answer a text best, or those for each of many texts.

        within: only documents of at least this similarity (l2: at most this distance), or ``"threshold"``, the live
        threshold. options: ``k=10``, ``filters='kind == "function"'``, ``distinct=True``, ``explain=True``, as
        :meth:`fingerpost.tasks.ann.open.LiveIndex.query` has them; of many ``filters`` may be a list, one for each text.
        """
        index, radius = self.index, self._radius(within)
        if isinstance(texts, str):
            return index.query(texts, within=radius, **options)
        return index.query_batch(_texts("texts", texts), within=radius, **options)

    @overload
    def similar(self, ids: str, **options: Any) -> "Answers": ...
    @overload
    def similar(self, ids: Sequence[str], **options: Any) -> "Batch[Answer]": ...
    def similar(
        self, ids: str | Sequence[str], *, within: "float | Literal['threshold'] | None" = None, **options: Any
    ) -> "Answers | Batch[Answer]":
        """The documents most like the one with an id, or those for each of many ids; options as of `query`, and ``ef``."""
        from fingerpost.tasks.ann.answers import Answer

        index, radius = self.index, self._radius(within)
        if isinstance(ids, str):
            return index.similar(ids, within=radius, **options)
        asked = _texts("ids", ids)
        return Batch(asked, [index.similar(key, within=radius, **options) for key in asked], Answer)

    def search(
        self, vectors: Any, *, within: "float | Literal['threshold'] | None" = None, **options: Any
    ) -> "Answers | Matches":
        """The documents nearest to a vector (d,), or to each of many: an array (q, d), a column of vectors, or a table
        with a column ``vector``.

        Those of many are arrays, too: ``ids``, ``scores`` and ``rows``, (q, k). within: as of `query`. options: ``k=10``,
        ``ef`` (the width of the search; by default as certified), ``filters``; of many also ``keep`` and ``threads``, as
        :meth:`fingerpost.tasks.ann.open.LiveIndex.search_batch` has them.
        """
        import numpy as np

        radius = self._radius(within)
        tabular = not isinstance(vectors, np.ndarray) and (
            hasattr(vectors, "columns") or hasattr(vectors, "column_names")
        )
        try:
            given = vectors if tabular or isinstance(vectors, np.ndarray) else np.asarray(vectors)
        except ValueError as problem:
            raise FingerpostError(
                "vectors: expected numbers (d,) or (q, d), got rows of several lengths; compute them with one model"
            ) from problem
        _check_threads(options.get("threads", 1))
        if not tabular and given.ndim == 1 and given.dtype == object and len(given) and np.ndim(given[0]):
            given = list(given)  # a column of vectors
        elif not tabular and given.ndim == 1:
            return self.index.search(given, within=radius, **options)
        return self.index.search_batch(given, within=radius, **options)

    @overload
    def rank(  # type: ignore[overload-overlap]
        self, texts: str, *, k: int = ..., threads: int = ...
    ) -> "Rows[RankedLabel]": ...
    @overload
    def rank(self, texts: Sequence[str], *, k: int = ..., threads: int = ...) -> "Batch[RankedLabel]": ...
    def rank(
        self, texts: str | Sequence[str], *, k: int = 10, threads: int = 1
    ) -> "Rows[RankedLabel] | Batch[RankedLabel]":
        """The k best labels of a text, or of each of many: id, name, score, and the probability that it is right."""
        from fingerpost.tasks.xmr.open import RankedLabel

        asked = [texts] if isinstance(texts, str) else _texts("texts", texts)
        _check_threads(threads)
        found = [Rows(labels, RankedLabel) for labels in self.ranker.rank_many(asked, k, threads=threads)]
        return found[0] if isinstance(texts, str) else Batch(asked, found, RankedLabel)

    @overload
    def complete(  # type: ignore[overload-overlap]
        self,
        prefixes: str = "",
        *,
        previous: Sequence[str] = ...,
        k: int = ...,
        typos: bool | None = ...,
        threads: int = ...,
    ) -> "Rows[Suggestion]": ...
    @overload
    def complete(
        self,
        prefixes: "Sequence[str | Request]",
        *,
        previous: Sequence[str] = ...,
        k: int = ...,
        typos: bool | None = ...,
        threads: int = ...,
    ) -> "Batch[Suggestion]": ...
    def complete(
        self,
        prefixes: "str | Sequence[str | Request]" = "",
        *,
        previous: Sequence[str] = (),
        k: int = 10,
        typos: bool | None = None,
        threads: int = 1,
    ) -> "Rows[Suggestion] | Batch[Suggestion]":
        """The k best completions of what is typed, or of each of many; of nothing typed: the queries that come next.

        previous: the queries before, in their order; of many, `Request` has each one's own
        (:class:`fingerpost.tasks.autocomplete.request.Request`). typos: whether one typing error is allowed.
        """
        from fingerpost.tasks.autocomplete.completer import Suggestion
        from fingerpost.tasks.autocomplete.request import Request

        before = (previous,) if isinstance(previous, str) else tuple(previous)
        given = [prefixes] if isinstance(prefixes, str) else _listed("prefixes", prefixes)
        asked = [one if isinstance(one, Request) else Request(before, one) for one in given]
        _check_threads(threads)
        made = self.completer.complete_many(asked, k, typos=typos, threads=threads)
        found = [Rows(suggestions, Suggestion) for suggestions in made]
        return found[0] if isinstance(prefixes, str) else Batch(list(map(str, asked)), found, Suggestion)

    def same(self, left: "ArrayLike", right: "ArrayLike", *, group: str = "") -> "NDArray[np.bool_]":
        """Whether vectors (n, d) and others (n, d) stand for the same, bool (n,), by the live threshold.

        group: that of the classes that are compared, which may have a threshold of its own.
        """
        return self.threshold.same(left, right, group=group)

    def to_pandas(self) -> Any:
        """The versions that answer as a ``pandas.DataFrame``: product, day and version."""
        import pandas as pd

        lines = [(name, ref.day, str(ref)) for name, ref in self._pinned.items()]
        return pd.DataFrame(lines, columns=["product", "day", "version"])

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs to open the same versions: nothing that is open goes there."""
        return {"store": self.store, "name": self.name, "_pinned": self._pinned}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock, self._kept = RLock(), dict[str, Any]()

    def __repr__(self) -> str:
        lines = [f"  {name:<10} {ref}" for name, ref in self._pinned.items()]
        return "\n".join([f"Collection {self.name} in {self.store.url}", *lines])

    def _live(self) -> dict[str, Ref]:
        """The live versions by product; MissingArtifactError where the store is gone, which says nothing of them."""
        self.store.checked()
        moves = {name: Pointer(self.store, self.name, one.product).live() for name, one in _published().items()}
        return {name: move.artifact for name, move in moves.items() if move is not None}

    def _moved(self, live: Mapping[str, Ref]) -> list[str]:
        return [name for name in published_names() if live.get(name) != self._pinned.get(name)]

    def _opened(self, product: Published[Product]) -> Product:
        kept: Product | None = self._kept.get(product.name)
        if kept is not None:
            return kept
        with self._lock:
            if product.name not in self._kept:
                if product.name not in self._pinned:
                    Pointer(self.store, self.name, product.product).required()
                    raise MissingArtifactError(
                        f"{self.name}/{product.product}: expected a version when the collection was opened, found none,"
                        " but there is one now; refresh() it"
                    )
                self._kept[product.name] = product.open(self.store, self._pinned[product.name], self.name)
            opened: Product = self._kept[product.name]
            return opened

    def _radius(self, within: "float | Literal['threshold'] | None") -> float | None:
        if within == "threshold":
            from fingerpost.tasks.metric.open import threshold_for

            return threshold_for(self.index).threshold
        if isinstance(within, str):
            raise FingerpostError(f"within: expected a number or 'threshold', got {within!r}; correct it")
        return within


def _published() -> dict[str, Published[Any]]:
    return {name: value for name, value in vars(Collection).items() if isinstance(value, Published)}


def published_names() -> list[str]:
    """The products that a collection may have, by the attribute that each is."""
    return list(_published())


def _listed(name: str, given: Iterable[Question]) -> list[Question]:
    """The questions of a sequence; FingerpostError for a table, whose columns would be asked, and for what is no sequence."""
    if isinstance(given, bytes | Mapping) or hasattr(given, "columns") or not isinstance(given, Iterable):
        raise FingerpostError(
            f"{name}: expected a text or a sequence of texts, got a value of type {type(given).__name__};"
            " of a table give one column"
        )
    return list(given)


def _texts(name: str, given: Sequence[str]) -> list[str]:
    """A list of texts; FingerpostError for another value in it."""
    texts = _listed(name, given)
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise FingerpostError(
                f"{name}, number {place}: expected a text, got a value of type {type(text).__name__}; convert it"
            )
    return texts


def _check_threads(threads: int) -> None:
    if threads < 1:
        raise FingerpostError(f"threads: expected at least 1, got {threads}; raise it")


def open_collection(collection: str | None = None, *, store: str | None = None) -> Collection:
    """What is published of a collection, ready for questions.

    collection: by default the built-in sample, or the only one with anything published. store: folder or URL; by default
    ``FINGERPOST_STORE``, else the nearest ``.fingerpost`` in this folder or above. MissingArtifactError where nothing of it is
    published.
    """
    opened = Store(store or find_store()).checked()
    found = Collection(opened, collection or only_collection({name for name, _ in products(opened)}))
    if not found.versions:
        known = sorted({name for name, _ in products(opened)})
        raise MissingArtifactError(
            f"{found.name}: expected a collection with something published, found none in store {opened.url}; "
            + (f"choose from {', '.join(known)}" if known else "run `fingerpost run nightly`")
        )
    return found
