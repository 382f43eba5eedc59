"""Files of indexes that other libraries wrote."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.files import check_regular, readable


@dataclass(frozen=True)
class IndexFile:
    """A file of an HNSW index that faiss or hnswlib wrote; its content is read, never mapped."""

    path: str

    def __str__(self) -> str:
        return self.path

    def check(self) -> None:
        """InputError if there is no readable file."""
        file = Path(self.path)
        with readable(file):
            if not file.is_file():
                if file.exists():
                    check_regular(file)
                raise InputError(f"{self.path}: expected a file of an index, found none there; check the path")

    def identity(self) -> str:
        """sha256 of the content; InputError if it cannot be read."""
        self.check()
        with readable(Path(self.path)), open(self.path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def content(self) -> np.ndarray:
        """The content, uint8 (bytes,); InputError if it cannot be read."""
        self.check()
        with readable(Path(self.path)):
            return np.fromfile(self.path, dtype=np.uint8)
