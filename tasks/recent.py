"""What a process read last, kept because the next shard or stage often asks for the same."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Values by key, the latest only.

    Without ``bytes_of`` one value, which is dropped before another is made, so that there are never two in memory; with
    it, values that together have at most ``limit`` bytes, the least recently used dropped first.
    """

    def __init__(self, limit: int = 0, bytes_of: Callable[[V], int] | None = None) -> None:
        self.limit = limit
        self._bytes_of = bytes_of
        self._values: dict[K, V] = {}

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The value of a key, made where it is not there."""
        if key in self._values:
            value = self._values.pop(key)
        else:
            if self._bytes_of is None:
                self.clear()
            value = make()
        self._values[key] = value
        while self._bytes_of is not None and sum(map(self._bytes_of, self._values.values())) > self.limit:
            del self._values[next(iter(self._values))]
        return value

    def clear(self) -> None:
        """Drops all values."""
        self._values.clear()

    def __len__(self) -> int:
        return len(self._values)
