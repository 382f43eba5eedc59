"""The door from Python: what is published, opened to answer.

``open()`` is all that is published of a collection; each product is opened when it is first used::

    import fingerpost

    docs = fingerpost.open("python-docs")
    docs.query(["sort an array", "shortest path"], k=5).to_pandas()
    docs.rank("indices that would sort an array"), docs.complete("num", previous=["numpy.zeros"])

One product alone: ``live()`` is the index, ``ranker()`` the ranker, ``completer()`` the completer, ``alignment()`` the alignment,
``threshold()`` the threshold, ``network()`` the searched network of a collection::

    answers = fingerpost.live().query("return a sorted copy of an array").answers

The other packages here are links to the folders of the repository's root.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fingerpost.tasks.ann.open import LiveIndex
    from fingerpost.tasks.autocomplete.open import LiveCompleter
    from fingerpost.tasks.collection import Collection
    from fingerpost.tasks.kg.open import LiveAlignment
    from fingerpost.tasks.metric.open import LiveThreshold
    from fingerpost.tasks.nas.open import LiveNetwork
    from fingerpost.tasks.xmr.open import LiveRanker

__all__ = ["__version__", "alignment", "completer", "live", "network", "open", "ranker", "threshold"]

__version__: str


def __getattr__(name: str) -> str:
    # Looked up when asked for: every process of a run imports this package.
    if name == "__version__":
        from importlib.metadata import version

        return version("fingerpost")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# Imported when called: every process of a run imports this package, and few open a published artifact.


def open(collection: str | None = None, *, store: str | None = None) -> "Collection":  # noqa: A001
    """What is published of a collection; see :class:`fingerpost.tasks.collection.Collection`.

    collection: by default the built-in sample, or the only one with anything published. store: folder or URL; by default
    ``FINGERPOST_STORE``, else the nearest ``.fingerpost`` in this folder or above.
    """
    from fingerpost.tasks.collection import open_collection

    return open_collection(collection, store=store)


def live(
    collection: str | None = None, *, store: str | None = None, method: str = "auto", mapped: bool = True
) -> "LiveIndex":
    """The published index of a collection; see :func:`fingerpost.tasks.ann.open.live`."""
    from fingerpost.tasks.ann.open import live as opened

    return opened(collection, store=store, method=method, mapped=mapped)


def ranker(
    collection: str | None = None, *, store: str | None = None, mapped: str | Path | None = None
) -> "LiveRanker":
    """The published ranker of a collection; see :func:`fingerpost.tasks.xmr.open.live`."""
    from fingerpost.tasks.xmr.open import live as opened

    return opened(collection, store=store, mapped=mapped)


def completer(collection: str | None = None, *, store: str | None = None) -> "LiveCompleter":
    """The published completer of a collection; see :func:`fingerpost.tasks.autocomplete.open.live`."""
    from fingerpost.tasks.autocomplete.open import live as opened

    return opened(collection, store=store)


def alignment(collection: str | None = None, *, store: str | None = None) -> "LiveAlignment":
    """The published alignment of a collection; see :func:`fingerpost.tasks.kg.open.live`."""
    from fingerpost.tasks.kg.open import live as opened

    return opened(collection, store=store)


def threshold(collection: str | None = None, *, store: str | None = None) -> "LiveThreshold":
    """The published threshold of a collection; see :func:`fingerpost.tasks.metric.open.live`."""
    from fingerpost.tasks.metric.open import live as opened

    return opened(collection, store=store)


def network(collection: str | None = None, *, store: str | None = None) -> "LiveNetwork":
    """The published network of a collection; see :func:`fingerpost.tasks.nas.open.live`."""
    from fingerpost.tasks.nas.open import live as opened

    return opened(collection, store=store)
