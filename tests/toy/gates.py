"""The gates of a glossary."""

from fingerpost.schemas.comparison import Comparison, fallen
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.publish import Gate
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from tests.toy.settings import GlossaryGates


def glossary_gates(manifest: Manifest, settings: GlossaryGates) -> list[Gate]:
    """A glossary must have enough words."""
    return [Gate("glossary_words", float(manifest.quality["words"]), float(settings.words))]


def glossary_compared(store: Store, live: Ref, ref: Ref, settings: GlossaryGates) -> list[Comparison]:
    """A glossary may lose some of its words from one night to the next."""
    old, new = (store.manifest(version).quality.get("words") for version in (live, ref))
    return [fallen("words_against_live", old, new, settings.fall)]
