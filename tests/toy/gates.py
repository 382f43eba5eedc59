"""The gates of a glossary."""

from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.publish import Gate
from tests.toy.settings import GlossaryGates


def glossary_gates(manifest: Manifest, settings: GlossaryGates) -> list[Gate]:
    """A glossary must have enough words."""
    return [Gate("glossary_words", float(manifest.quality["words"]), float(settings.words))]
