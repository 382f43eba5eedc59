"""A published glossary as a mapping."""

from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from tests.toy.contracts import GLOSSARY, LENGTHS


def live(collection: str, *, store: str) -> dict[str, int]:
    """The length of the meaning of each word of the live glossary."""
    opened = Store(store)
    members = opened.open(Pointer(opened, collection, GLOSSARY.name).required().artifact, GLOSSARY).read("members")
    refs = dict(zip(members["role"].to_pylist(), members["ref"].to_pylist(), strict=True))
    rows = opened.open(Ref.parse(refs["lengths"]), LENGTHS).read("lengths")
    return dict(zip(rows["id"].to_pylist(), rows["length"].to_pylist(), strict=True))
