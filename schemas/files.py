"""Files of a store, local or on any fsspec file system: atomic writes and exclusive creation.

On a local disk a file is written under a temporary name, flushed and renamed, and an exclusive file is created by hard
link, so a reader never sees a partial file. On object storage a put is atomic, and `fingerpost.schemas.objects` creates
exclusively.
"""

import contextlib
import errno
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import pyarrow as pa

from fingerpost.schemas.arrow_files import new_file, owned, read_file
from fingerpost.schemas.errors import FingerpostError, StoreUnreachableError, UnsafeNameError
from fingerpost.schemas.objects import Objects, file_system, is_local, without_secrets

#: Called with the name of each point at which a crash may occur; the fault tests replace it.
reached: Callable[[str], None] = lambda point: None  # noqa: E731
T = TypeVar("T")
#: Times that a file is written whose folder another run removes meanwhile.
_ATTEMPTS = 3


@dataclass(frozen=True)
class Listed:
    """A file in a listing: size in bytes, and time of the last write (seconds since 1970)."""

    size: int
    modified: float


@dataclass(frozen=True)
class Written:
    """A file that was written: its path, the checksum of its content, and its size in bytes."""

    path: str
    sha256: str
    bytes: int


class Files:
    """The files below one root, which may be a local path or any fsspec URL.

    Paths are relative, with forward slashes, and cannot leave the root (UnsafeNameError). Failures of the storage raise
    StoreUnreachableError, naming the path and the reason.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        # A folder needs no fsspec, which readers of an index may not have.
        self.local, root = "://" not in url and "::" not in url, os.path.expanduser(url)
        if not self.local:
            self.fs, root = self._opened()
            self.local = is_local(self.fs)
        self.root = str(Path(root).absolute()) if self.local else root.rstrip("/")

    def _opened(self) -> tuple[Any, str]:
        """The file system of the URL, and the path in it."""
        try:
            return file_system(self.url)
        except (ImportError, ValueError) as problem:
            raise StoreUnreachableError(
                f"store {self.url}: expected a folder or an fsspec URL, got one that cannot be opened ({problem}); "
                "install its driver (s3:// needs the extra `s3`) or fix the URL"
            ) from problem

    @cached_property
    def fs(self) -> Any:
        """The file system of fsspec."""
        return self._opened()[0]

    @cached_property
    def _objects(self) -> Objects:
        return Objects(self.fs, self.root)

    def __reduce__(self) -> tuple[type["Files"], tuple[str]]:
        return Files, (self.root if self.local else self.url,)

    def path(self, relative: str) -> str:
        """The full path of a relative one."""
        parts = relative.split("/")
        if relative.startswith("/") or any(part in {"", ".", ".."} or "\\" in part or "\0" in part for part in parts):
            raise UnsafeNameError(
                f"path: expected one below the store's root, got {relative!r}; fix the name that it was built from"
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
            # Clients of object stores raise more than OSError when the storage is unreachable.
            if self.local and not isinstance(problem, OSError):
                raise
            message = str(getattr(problem, "strerror", None) or problem)
            shown = without_secrets(message)
            raise StoreUnreachableError(
                f"store {self.url}: expected to {doing} {relative or 'its files'}, got {shown}; {_advice(problem)}"
            ) from (problem if shown == message else None)

    def read(self, relative: str) -> bytes:
        """The bytes of a file; FileNotFoundError if there is none, as where a folder has its name."""
        with self._guard(relative, "read"):
            if self.local:
                try:
                    return Path(self.path(relative)).read_bytes()
                except IsADirectoryError as problem:
                    raise FileNotFoundError(*problem.args) from None
            return self._objects.read(self.path(relative))

    def buffer(self, relative: str) -> pa.Buffer:
        """The bytes of a file in Arrow's memory, for `fingerpost.schemas.arrow_files`."""
        with self._guard(relative, "read"):
            if self.local:
                return read_file(self.path(relative))
            return owned(self._objects.read(self.path(relative)))

    def size(self, relative: str) -> int | None:
        """The size of a file in bytes; None if there is none."""
        with self._guard(relative, "look at"), contextlib.suppress(FileNotFoundError):
            if self.local:
                return os.stat(self.path(relative)).st_size
            return self._objects.size(self.path(relative))
        return None

    def modified(self, relative: str) -> float | None:
        """The time of the last write of a file by the storage's clock, in seconds since 1970; None if there is none."""
        with self._guard(relative, "look at"), contextlib.suppress(FileNotFoundError):
            if self.local:
                return os.stat(self.path(relative)).st_mtime
            return _written(self._objects.info(self.path(relative)))
        return None

    def write(self, relative: str, data: bytes, *, durable: bool = True) -> None:
        """Writes a file atomically, replacing an existing one.

        ``durable=False`` does not flush it to the disk, for files whose readers verify them and can do without them.
        """
        target = self.path(relative)
        with self._guard(relative, "write"):
            if not self.local:
                with _no_bucket():
                    self._objects.write(target, data)
                return

            def replace() -> None:
                temporary = self._write_temporary(target, data, durable=durable)
                reached("before-rename")
                os.replace(temporary, target)

            _while_cleared(replace)
            if durable:
                _flush_folder(os.path.dirname(target))

    def write_named(
        self, named: Callable[[str], str], produce: Callable[[pa.NativeFile], None], *, durable: bool = True
    ) -> Written:
        """Writes what ``produce`` writes as a file whose path ``named`` makes of its checksum, atomically.

        On a disk the content goes through no memory of this process but Arrow's writes, and its checksum is that of the
        bytes that were read back from the file. ``durable`` as of :meth:`write`; ``produce`` may be called again.
        """
        if not self.local:
            sink = pa.BufferOutputStream()
            produce(sink)
            content = sink.getvalue().to_pybytes()
            checksum = hashlib.sha256(content).hexdigest()
            self.write(named(checksum), content, durable=durable)
            return Written(named(checksum), checksum, len(content))
        with self._guard(named("0" * 64), "write"):
            return _while_cleared(lambda: self._written_named(named, produce, durable=durable))

    def _written_named(
        self, named: Callable[[str], str], produce: Callable[[pa.NativeFile], None], *, durable: bool
    ) -> Written:
        temporary = f"{self.path(named('0' * 64))}.{uuid.uuid4().hex}.tmp"
        try:
            self._opened_temporary(temporary).close()
            with new_file(temporary) as sink:
                produce(sink)
            with open(temporary, "rb+") as file:
                if durable:
                    os.fsync(file.fileno())
                checksum, size = hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
            target = self.path(named(checksum))
            reached("before-rename")
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        if durable:
            _flush_folder(os.path.dirname(target))
        return Written(named(checksum), checksum, size)

    def digest(self, relative: str) -> str:
        """The SHA-256 of a file's content; FileNotFoundError if there is none."""
        with self._guard(relative, "read"):
            if not self.local:
                return hashlib.sha256(self._objects.read(self.path(relative))).hexdigest()
            with open(self.path(relative), "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()

    def create(self, relative: str, data: bytes) -> bool:
        """Creates a file atomically if there is none yet; False if another writer was first."""
        target = self.path(relative)
        with self._guard(relative, "create"):
            if not self.local:
                with _no_bucket():
                    return self._objects.create(target, data)
            temporary = self._write_temporary(target, data)
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
        """The mechanism of exclusive creation: "link" on a disk, "conditional" puts, or else "claims"."""
        if self.local:
            return "link"
        with self._guard(".probe", "probe"), _no_bucket():
            return "conditional" if self._objects.refuses_second() else "claims"

    def _write_temporary(self, target: str, data: bytes, *, durable: bool = True) -> str:
        temporary = f"{target}.{uuid.uuid4().hex}.tmp"
        try:
            with self._opened_temporary(temporary) as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        return temporary

    def _opened_temporary(self, temporary: str) -> BinaryIO:
        """A new file; its folder is created first, again if another run removes it concurrently."""
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
        """The names of the files and folders in a folder, sorted; empty if it does not exist."""
        with self._guard(folder, "list"), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            where = self.path(folder) if folder else self.root
            names = os.listdir(where) if self.local else self._objects.names(where)
            return sorted(name for name in names if not name.endswith(".tmp"))
        return []

    def listing(self, below: str = "") -> dict[str, Listed]:
        """All files of the store, or of a folder in it, by path, including hidden and unfinished ones."""
        with self._guard(below, "list"):
            where = self.path(below) if below else self.root
            return dict(sorted(self._walk(where) if self.local else self._find(where)))

    def _walk(self, where: str) -> Iterator[tuple[str, Listed]]:
        for folder, _, names in os.walk(where):
            for name in names:
                path = os.path.join(folder, name)
                with contextlib.suppress(FileNotFoundError):
                    status = os.stat(path, follow_symlinks=False)
                    relative = os.path.relpath(path, self.root).replace(os.sep, "/")
                    yield relative, Listed(status.st_size, status.st_mtime)

    def _find(self, where: str) -> Iterator[tuple[str, Listed]]:
        with contextlib.suppress(FileNotFoundError):
            for path, info in self._objects.find(where).items():
                if not path.endswith("/"):  # a directory marker
                    relative = path[path.index(self.root) + len(self.root) :].lstrip("/")
                    yield relative, Listed(int(info["size"] or 0), _written(info))

    def remove_file(self, relative: str) -> None:
        """Removes one file; does nothing if it does not exist."""
        with self._guard(relative, "remove"), contextlib.suppress(FileNotFoundError):
            if self.local:
                os.unlink(self.path(relative))
            else:
                self._objects.remove_one(self.path(relative))

    def prune(self, folder: str) -> None:
        """Removes a folder and its parents as far as they are empty; object stores have no folders."""
        if not self.local:
            return
        parts = folder.split("/")
        with contextlib.suppress(OSError):
            for length in range(len(parts), 0, -1):
                os.rmdir(self.path("/".join(parts[:length])))

    def remove(self, relative: str) -> None:
        """Removes a file or folder; does nothing if it does not exist."""
        with self._guard(relative, "remove"), contextlib.suppress(FileNotFoundError):
            if self.local:
                target = self.path(relative)
                shutil.rmtree(target) if os.path.isdir(target) else os.unlink(target)
            else:
                self._objects.remove(self.path(relative))


def _written(info: Mapping[str, Any]) -> float:
    """The time of the last write of a file; now if its file system does not report one, so it never counts as old."""
    for key in ("mtime", "LastModified", "last_modified", "updated", "modified", "created"):
        moment = info.get(key)
        if isinstance(moment, datetime):
            return moment.timestamp()
        if isinstance(moment, int | float):
            return float(moment)
        if isinstance(moment, str):
            with contextlib.suppress(ValueError):
                return datetime.fromisoformat(moment).timestamp()
    return time.time()


def _while_cleared(write: Callable[[], T]) -> T:
    """What ``write`` returns; tried again where another run of the same stage clears the folder of their working state."""
    for _ in range(_ATTEMPTS - 1):
        with contextlib.suppress(FileNotFoundError):
            return write()
    return write()


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
    """Reports a missing bucket, the only cause of FileNotFoundError when writing to object storage."""
    try:
        yield
    except FileNotFoundError as problem:
        raise OSError(errno.ENXIO, f"no bucket there ({problem})") from problem


def _advice(problem: Exception) -> str:
    if getattr(problem, "errno", None) in {errno.ENOSPC, errno.EDQUOT}:
        return "free some disk space and run again; committed artifacts are kept"
    return "check that it is reachable and writable"
