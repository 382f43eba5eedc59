"""Files of a store, local or on any fsspec file system: whole or not at all, and created by one writer only.

On a local disk a file is written beside its place, flushed and renamed, and an exclusive file appears by hard link, so a
reader never sees a part of it. On an object store a put is whole by itself, and `schemas.objects` creates exclusively.
"""

import contextlib
import errno
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from fsspec.implementations.local import LocalFileSystem

from schemas.errors import FingerpostError, StoreUnreachableError, UnsafeNameError
from schemas.objects import Objects, file_system, without_secrets

#: Called with the name of each point that a crash may fall on; the fault tests replace it.
reached: Callable[[str], None] = lambda point: None  # noqa: E731


@dataclass(frozen=True)
class Listed:
    """A file as a listing shows it: bytes, and when it was last written (seconds since 1970)."""

    size: int
    modified: float


class Files:
    """The files below one root, which may be a local path or any fsspec URL.

    Paths are relative, with forward slashes, and cannot leave the root (UnsafeNameError). What the storage
    refuses is StoreUnreachableError, naming the path and the reason.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self.fs, root = file_system(url)
        except (ImportError, ValueError) as problem:
            raise StoreUnreachableError(
                f"store {url}: expected a folder or an fsspec URL, got one that cannot be opened ({problem}); "
                "install its driver (s3:// needs the extra `s3`) or mend the URL"
            ) from problem
        self.local = isinstance(self.fs, LocalFileSystem)
        self.root = str(Path(root).absolute()) if self.local else root.rstrip("/")
        self._objects = Objects(self.fs, self.root)

    def __reduce__(self) -> tuple[type["Files"], tuple[str]]:
        return Files, (self.root if self.local else self.url,)

    def path(self, relative: str) -> str:
        """The full path of a relative one."""
        parts = relative.split("/")
        if relative.startswith("/") or any(part in {"", ".", ".."} or "\\" in part or "\0" in part for part in parts):
            raise UnsafeNameError(
                f"path: expected one below the store's root, got {relative!r}; mend the name it was made of"
            )
        return f"{self.root}/{relative}"

    @contextlib.contextmanager
    def _guard(self, relative: str, doing: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, FileExistsError):
            raise
        except FingerpostError:
            raise
        except Exception as problem:
            # Clients of object stores raise more than OSError when they reach nothing.
            if self.local and not isinstance(problem, OSError):
                raise
            found = str(getattr(problem, "strerror", None) or problem)
            shown = without_secrets(found)
            raise StoreUnreachableError(
                f"store {self.url}: expected to {doing} {relative or 'its files'}, got {shown}; {_advice(problem)}"
            ) from (problem if shown == found else None)

    def read(self, relative: str) -> bytes:
        """The bytes of a file; FileNotFoundError if there is none."""
        with self._guard(relative, "read"):
            if self.local:
                return Path(self.path(relative)).read_bytes()
            return self._objects.read(self.path(relative))

    def size(self, relative: str) -> int | None:
        """The size of a file in bytes; None if there is none."""
        with self._guard(relative, "look at"), contextlib.suppress(FileNotFoundError):
            if self.local:
                return os.stat(self.path(relative)).st_size
            return self._objects.size(self.path(relative))
        return None

    def write(self, relative: str, data: bytes, *, durable: bool = True) -> None:
        """Puts a file in its place, replacing what was there, whole or not at all.

        ``durable=False`` leaves it to the system when the disk has it, for files that their reader verifies and can do without.
        """
        target = self.path(relative)
        with self._guard(relative, "write"):
            if not self.local:
                with _no_bucket():
                    self._objects.write(target, data)
                return
            for attempt in range(3):
                temporary = self._write_beside(target, data, durable=durable)
                reached("before-rename")
                try:
                    os.replace(temporary, target)
                    break
                except FileNotFoundError:  # another run of the same stage cleared the folder of their working state
                    if attempt == 2:
                        raise
            if durable:
                _flush_folder(os.path.dirname(target))

    def create(self, relative: str, data: bytes) -> bool:
        """Puts a file in its place if there is none yet; False if another writer was first."""
        target = self.path(relative)
        with self._guard(relative, "create"):
            if not self.local:
                with _no_bucket():
                    return self._objects.create(target, data)
            temporary = self._write_beside(target, data)
            try:
                os.link(temporary, target)
            except FileExistsError:
                return False
            finally:
                os.unlink(temporary)
            _flush_folder(os.path.dirname(target))
            return True

    @property
    def exclusive(self) -> str:
        """What decides between two that create one file: "link" on a disk, "conditional" puts, or "claims" where there are none."""
        if self.local:
            return "link"
        with self._guard(".probe", "probe"), _no_bucket():
            return "conditional" if self._objects.refuses_second() else "claims"

    def _write_beside(self, target: str, data: bytes, *, durable: bool = True) -> str:
        temporary = f"{target}.{uuid.uuid4().hex}.tmp"
        try:
            with self._opened_beside(temporary) as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        return temporary

    def _opened_beside(self, temporary: str) -> BinaryIO:
        """A new file, its folder made first; made again where another run removes it meanwhile."""
        folder = os.path.dirname(temporary)
        for _ in range(3):
            with contextlib.suppress(FileNotFoundError):
                try:
                    os.makedirs(folder, exist_ok=True)
                except FileExistsError as problem:
                    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder) from problem
                return open(temporary, "xb")
        raise OSError(errno.ENOTDIR, "a folder that vanishes as soon as it is made", folder)

    def names(self, folder: str) -> list[str]:
        """The names of the files and folders in a folder, sorted; none if it does not exist."""
        with self._guard(folder, "list"), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            where = self.path(folder) if folder else self.root
            names = os.listdir(where) if self.local else self._objects.names(where)
            return sorted(name for name in names if not name.endswith(".tmp"))
        return []

    def listing(self) -> dict[str, Listed]:
        """Every file of the store by path, the hidden and the unfinished ones too."""
        with self._guard("", "list"):
            return dict(sorted(self._walk() if self.local else self._find()))

    def _walk(self) -> Iterator[tuple[str, Listed]]:
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = os.path.join(folder, name)
                with contextlib.suppress(FileNotFoundError):
                    found = os.stat(path, follow_symlinks=False)
                    yield os.path.relpath(path, self.root).replace(os.sep, "/"), Listed(found.st_size, found.st_mtime)

    def _find(self) -> Iterator[tuple[str, Listed]]:
        with contextlib.suppress(FileNotFoundError):
            for path, info in self._objects.find(self.root).items():
                if not path.endswith("/"):  # a directory marker
                    relative = path[path.index(self.root) + len(self.root) :].lstrip("/")
                    yield relative, Listed(int(info["size"] or 0), _written(info))

    def remove_file(self, relative: str) -> None:
        """Removes one file; nothing happens if it is not there."""
        with self._guard(relative, "remove"), contextlib.suppress(FileNotFoundError):
            if self.local:
                os.unlink(self.path(relative))
            else:
                self._objects.remove_one(self.path(relative))

    def prune(self, folder: str) -> None:
        """Removes a folder and those above it as far as they are empty; object stores have none."""
        if not self.local:
            return
        parts = folder.split("/")
        with contextlib.suppress(OSError):
            for length in range(len(parts), 0, -1):
                os.rmdir(self.path("/".join(parts[:length])))

    def remove(self, relative: str) -> None:
        """Removes a file or folder; nothing happens if it is not there."""
        with self._guard(relative, "remove"), contextlib.suppress(FileNotFoundError):
            if self.local:
                self.fs.rm(self.path(relative), recursive=True)
            else:
                self._objects.remove(self.path(relative))


def _written(info: Mapping[str, Any]) -> float:
    """When a file was written, as its file system tells it; now, if it does not, since nothing old is meant then."""
    for key in ("mtime", "LastModified", "last_modified", "updated", "modified", "created"):
        found = info.get(key)
        if isinstance(found, datetime):
            return found.timestamp()
        if isinstance(found, int | float):
            return float(found)
        if isinstance(found, str):
            with contextlib.suppress(ValueError):
                return datetime.fromisoformat(found).timestamp()
    return time.time()


def _flush_folder(folder: str) -> None:
    """Makes a rename durable; folders cannot be flushed on every system."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _no_bucket() -> Iterator[None]:
    """On object storage only a missing bucket can keep a file from being put in its place."""
    try:
        yield
    except FileNotFoundError as problem:
        raise OSError(errno.ENXIO, f"no bucket there ({problem})") from problem


def _advice(problem: Exception) -> str:
    if getattr(problem, "errno", None) in {errno.ENOSPC, errno.EDQUOT}:
        return "free some space and run again; what is committed stays"
    return "check that it is reachable and writable"
