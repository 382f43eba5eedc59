"""The stage that puts what answers texts into the form that is searched."""

from fingerpost.schemas import ann as contracts
from fingerpost.schemas.mapped_arrays import arrays_to_arrow
from fingerpost.schemas.packed_texts import packed_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.ann.open import EngineParts
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.PACKED_TEXTS)
def pack_texts(run: StageRun, *parts: Ref, roles: tuple[str, ...], metric: str) -> None:
    """Puts the terms, the inverted index, the projection and the neighbours into the form that is searched."""
    packed = EngineParts(run.store, dict(zip(roles, parts, strict=True)), metric).packed_texts()
    run.write("terms", packed_to_arrow(packed.lexicon.offsets, packed.lexicon.letters))
    run.write("texts", arrays_to_arrow(packed.arrays()))
    run.quality = {
        "documents": packed.lexicon.documents,
        "terms": packed.lexicon.size,
        "postings": len(packed.postings.documents),
        "embedded": packed.embedded is not None,
    }
