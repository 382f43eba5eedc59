"""A table of strings in one buffer of UTF-8, of which single rows are decoded when they are shown."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


class Texts:
    """Strings as UTF-8 bytes one after the other: row i is ``data[offsets[i]:offsets[i + 1]]``.

    data: uint8 (bytes,). offsets: int32 or int64 (rows + 1,). Holds references to both, which must not be modified.
    """

    def __init__(self, data: NDArray[np.uint8], offsets: NDArray[np.int32] | NDArray[np.int64]) -> None:
        # Slices of memory views cost a fraction of those of arrays, and their entries are plain integers.
        self._data, self._offsets = data.data, offsets.data
        self.nbytes = data.nbytes + offsets.nbytes

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Texts":
        """The table of some strings."""
        encoded = [text.encode() for text in texts]
        offsets = np.concatenate(([0], np.cumsum([len(text) for text in encoded], dtype=np.int64))).astype(np.int64)
        return cls(np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, row: int) -> str:
        """The text of a row; IndexError beyond the last one."""
        return str(self._data[self._offsets[row] : self._offsets[row + 1]], "utf-8")
