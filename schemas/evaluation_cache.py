"""The cache of evaluated candidates, which searches share: one small record per candidate and way of evaluation.

A record counts only if it is intact; anything else is recomputed. What it holds can be computed again from the images at any
time, so it may be removed at any time.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from fingerpost.schemas.errors import CorruptArtifactError, ForeignArtifactError
from fingerpost.schemas.manifests import STORE_FORMAT, decode_checked
from fingerpost.schemas.records import NUMBER, Each, Maybe
from fingerpost.schemas.refs import digest_of
from fingerpost.schemas.store import Store

#: Its folder in a store, and the form of the paths in it.
FOLDER = ".evaluations"
PATH = re.compile(rf"{re.escape(FOLDER)}/[0-9a-f]{{2}}/[0-9a-f]{{64}}\.json")

_SHAPE = {"key": dict, "accuracy": Maybe(NUMBER), "scores": Each(NUMBER)}


class EvaluationCache:
    """The evaluations of a store by key.

    A key says everything that an evaluation depends on: candidate, images, protocol, code and versions.
    """

    def __init__(self, store: Store) -> None:
        self._files = store.files

    def get(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """``accuracy`` (None where it was not measured) and ``scores`` (a number by name); None for an unknown key.

        A damaged record, and one whose key is not this one, is unknown too.
        """
        path = _path(key)
        try:
            body = decode_checked(self._files.read(path), where=path, shape=_SHAPE)
        except (FileNotFoundError, CorruptArtifactError, ForeignArtifactError):
            return None
        if body["key"] != dict(key):
            return None
        return {"accuracy": body["accuracy"], "scores": dict(body["scores"])}

    def put(self, key: Mapping[str, Any], *, accuracy: float | None, scores: Mapping[str, float]) -> None:
        """Keeps an evaluation; a kill while it is written leaves none, or the earlier one."""
        body = {"format": STORE_FORMAT, "key": dict(key), "accuracy": accuracy, "scores": dict(scores)}
        content = json.dumps({**body, "sha256": digest_of(body)}).encode()
        self._files.write(_path(key), content, durable=False)


def _path(key: Mapping[str, Any]) -> str:
    digest = digest_of(dict(key))
    return f"{FOLDER}/{digest[:2]}/{digest}.json"
