"""What answers texts as arrays that are used where they lie: terms, inverted index, projection and neighbours."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.ann.dense_side import NeighborTable
from fingerpost.tasks.corpus.lexicon import Lexicon
from fingerpost.tasks.corpus.postings import Postings
from fingerpost.tasks.corpus.term_weights import TermWeights

#: Names of arrays of the lexicon, of the weights of terms in vectors, and of the neighbours.
_LEXICON = ("document_frequency", "occurrences", "stop")
_TERMS = ("feature_columns", "feature_factors")
_NEIGHBORS = ("neighbors", "neighbor_cosines")


@dataclass(frozen=True)
class EmbeddedTexts:
    """How texts get vectors: the weights of terms, the projection, float32 (columns, d), and the documents' neighbours."""

    terms: TermWeights
    components: NDArray[np.float32]
    neighbors: NeighborTable


@dataclass(frozen=True)
class PackedTexts:
    """The parts that answer texts; embedded: None where texts have no vectors in the space of the documents'."""

    lexicon: Lexicon
    postings: Postings
    embedded: EmbeddedTexts | None = None

    def arrays(self) -> dict[str, NDArray]:
        """All arrays by name, without the terms' letters and offsets, which are stored as texts."""
        own = {name: getattr(self.lexicon, name) for name in _LEXICON}
        own |= self.postings.arrays() | self.postings.forward_arrays()
        if self.embedded is not None:
            terms, near = self.embedded.terms, self.embedded.neighbors
            own |= dict(zip(_TERMS, (terms.columns, terms.factors), strict=True))
            own |= {"components": self.embedded.components}
            own |= dict(zip(_NEIGHBORS, (near.ids, near.cosines), strict=True))
        return own

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray], *, documents: int, offsets: NDArray[np.int64], letters: NDArray[np.uint8]
    ) -> "PackedTexts":
        """The parts over these arrays, which are not copied, and the UTF-8 of the terms.

        KeyError for an array that is missing, ValueError for arrays that do not fit each other.
        """
        lexicon = Lexicon(documents, offsets, letters, **{name: arrays[name] for name in _LEXICON})
        postings, embedded = Postings.from_arrays(arrays), None
        if "components" in arrays:
            terms, near = ([arrays[name] for name in names] for names in (_TERMS, _NEIGHBORS))
            embedded = EmbeddedTexts(TermWeights(*terms), arrays["components"], NeighborTable(*near))
        made = cls(lexicon, postings, embedded)
        made._check()
        return made

    def _check(self) -> None:
        own, terms, documents = self.lexicon, self.lexicon.size, self.postings.size
        fits = len(own.offsets) == terms + 1 and own.occurrences.shape == (3, terms) and len(own.stop) == terms
        if not (fits and len(self.postings.maxima) == terms and (own.offsets[1:] >= own.offsets[:-1]).all()):
            raise ValueError(f"texts: expected arrays of {terms} terms, got others; take them from one collection")
        self.postings.check()
        if self.embedded is None:
            return
        columns, near = self.embedded.terms.columns, self.embedded.neighbors
        inside = len(columns) == 0 or (int(columns.min()) >= 0 and int(columns.max()) < terms)
        if not (inside and len(columns) == len(self.embedded.terms.factors) == len(self.embedded.components)):
            raise ValueError(f"texts: expected columns of {terms} terms with a row of the projection each, got others")
        if near.ids.shape != near.cosines.shape or len(near.ids) != documents:
            raise ValueError(f"texts: expected neighbours of {documents} documents, got {near.ids.shape}")
