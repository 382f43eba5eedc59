"""Documents' words and vectors beside those of the live version, for the gates of what is made from them.

Imports no Prefect.
"""

from collections.abc import Mapping
from typing import Any

from fingerpost.schemas import corpus, metric
from fingerpost.schemas.comparison import Comparison, attempted, unmeasured
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.corpus.open import read_lexicon, read_vocabulary
from fingerpost.tasks.corpus.overlap import vocabulary_overlap
from fingerpost.tasks.corpus.vocabulary import FamilyVocabulary, Vocabulary

#: The artifacts that vectors are computed with.
_MADE_WITH = {corpus.PROJECTION.name, metric.EMBEDDERS.name}
#: What decides whether the terms of two vocabularies can be compared.
_COUNTED = ("kind", "ngram_min", "ngram_max", "buckets")


def vocabulary_compared(
    store: Store, live: Mapping[str, Ref], members: Mapping[str, Ref], *, least: float
) -> list[Comparison]:
    """The fraction of words that the live version and a candidate use equally often, by the members of both.

    Nothing where neither has words.
    """
    if not any(_words(side) for side in (live, members)):
        return []
    name = "vocabulary_against_live"
    return [attempted(name, lambda: _vocabulary(store, live, members, least, name))]


def _words(members: Mapping[str, Ref]) -> Ref | None:
    """The member that holds the words of a version: a lexicon, or a vocabulary of n-grams."""
    return members.get("lexicon", members.get("vocabulary"))


def _vocabulary(
    store: Store, live: Mapping[str, Ref], members: Mapping[str, Ref], least: float, name: str
) -> Comparison:
    before, now = _words(live), _words(members)
    if before is None:
        return unmeasured(name, "the live version has no vocabulary")
    if now is None:
        return Comparison(name, 0.0, least, live=1.0)
    if before.identity == now.identity:
        return Comparison(name, 1.0, least, live=1.0)
    if _counted(store, live) != _counted(store, members):
        return unmeasured(name, "the live version makes terms of texts otherwise")
    overlap = vocabulary_overlap(*(_terms(store, words) for words in (before, now)))
    if overlap is None:
        return unmeasured(name, "too few documents share a word")
    return Comparison(name, round(overlap, 4), least, live=1.0)


def _terms(store: Store, words: Ref) -> Vocabulary:
    """The terms of a lexicon or vocabulary."""
    opened = store.open(words, corpus.VOCABULARY, corpus.LEXICON)
    if words.name == corpus.VOCABULARY.name:
        return read_vocabulary(opened)
    lexicon = read_lexicon(opened)
    return Vocabulary(lexicon.documents, (FamilyVocabulary(lexicon.terms, lexicon.document_frequency),))


def _counted(store: Store, members: Mapping[str, Ref]) -> Any:
    """What decides whether the terms of two versions can be compared: settings, whatever language they found."""
    if "lexicon" in members:
        return store.manifest(members["analyzer"]).identity["parameters"]["params"]
    families = store.manifest(members["vocabulary"]).identity["parameters"]["params"]["families"]
    return [tuple(family.get(name) for name in _COUNTED) for family in families]


def dimension_compared(store: Store, live: Mapping[str, Ref], members: Mapping[str, Ref]) -> list[Comparison]:
    """The dimension of the vectors that the live version's input gave, which must stay; 0 is that of computed ones.

    Nothing where those of the live version are computed: their dimension follows from settings and documents.
    """
    name = "dimension_against_live"

    def compared() -> Comparison:
        old, new = (_given_dimension(store, side["vectors"]) for side in (live, members))
        return Comparison(name, new, old, "exactly", live=old)

    found = attempted(name, compared)
    return [found] if found.unmeasured or found.live else []


def _given_dimension(store: Store, vectors: Ref) -> float:
    """The dimension of vectors that were taken from an input; 0 for computed ones."""
    manifest = store.manifest(vectors)
    refs = [Ref.parse(given["ref"]) for given in manifest.identity["inputs"].values() if "ref" in given]
    return 0.0 if any(ref.name in _MADE_WITH for ref in refs) else float(manifest.quality["dimensions"])
