"""Files of a store, local or on any fsspec file system: whole or not at all, and created by one writer only.

On a local disk a file is written beside its place, flushed and renamed, and an exclusive file appears by hard link, so a
reader never sees a part of it. On an object store a put is whole by itself and an exclusive one is a conditional put.
"""

import contextlib
import errno
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import fsspec
from fsspec.implementations.local import LocalFileSystem

from schemas.errors import FingerpostError, StoreUnreachableError, UnsafeNameError

#: Called with the name of each point that a crash may fall on; the fault tests replace it.
reached: Callable[[str], None] = lambda point: None  # noqa: E731


class Files:
    """The files below one root, which may be a local path or any fsspec URL.

    Paths are relative, with forward slashes, and cannot leave the root (UnsafeNameError). What the storage
    refuses is StoreUnreachableError, naming the path and the reason.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self.fs, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as problem:
            raise StoreUnreachableError(
                f"store {url}: expected a folder or an fsspec URL, got one that cannot be opened ({problem}); install its driver or mend the URL"
            ) from problem
        self.local = isinstance(self.fs, LocalFileSystem)
        self.root = str(Path(root).absolute()) if self.local else root.rstrip("/")

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
    def _guard(self, relative: str, doing: str):  # type: ignore[no-untyped-def]
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
            advice = (
                "free some space and run again; what is committed stays"
                if getattr(problem, "errno", None) in {errno.ENOSPC, errno.EDQUOT}
                else "check that it is reachable and writable"
            )
            raise StoreUnreachableError(
                f"store {self.url}: expected to {doing} {relative}, got {getattr(problem, 'strerror', None) or problem}; {advice}"
            ) from problem

    def read(self, relative: str) -> bytes:
        """The bytes of a file; FileNotFoundError if there is none."""
        with self._guard(relative, "read"):
            if self.local:
                return Path(self.path(relative)).read_bytes()
            return bytes(self.fs.cat_file(self.path(relative)))

    def size(self, relative: str) -> int | None:
        """The size of a file in bytes; None if there is none."""
        with self._guard(relative, "look at"), contextlib.suppress(FileNotFoundError):
            return int(self.fs.info(self.path(relative))["size"])
        return None

    def write(self, relative: str, data: bytes, *, durable: bool = True) -> None:
        """Puts a file in its place, replacing what was there, whole or not at all.

        ``durable=False`` leaves it to the system when the disk has it, for files that their reader verifies and can do without.
        """
        target = self.path(relative)
        with self._guard(relative, "write"):
            if not self.local:
                self.fs.pipe_file(target, data)
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
                return self._create_remote(target, data)
            temporary = self._write_beside(target, data)
            try:
                os.link(temporary, target)
            except FileExistsError:
                return False
            finally:
                os.unlink(temporary)
            _flush_folder(os.path.dirname(target))
            return True

    def _create_remote(self, target: str, data: bytes) -> bool:
        if self.fs.exists(target):
            return False
        try:
            self.fs.pipe_file(target, data, mode="create")
        except FileExistsError:
            return False
        except OSError as problem:
            if "PreconditionFailed" in str(problem) or problem.errno == errno.EEXIST:
                return False
            raise
        return True

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
            listing = (
                self.fs.ls(self.path(folder) if folder else self.root, detail=False, refresh=True)
                if not self.local
                else os.listdir(self.path(folder) if folder else self.root)
            )
            names = {str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in listing}
            return sorted(name for name in names if not name.endswith(".tmp"))
        return []

    def remove(self, relative: str) -> None:
        """Removes a file or folder; nothing happens if it is not there."""
        with self._guard(relative, "remove"), contextlib.suppress(FileNotFoundError):
            self.fs.rm(self.path(relative), recursive=True)


def _flush_folder(folder: str) -> None:
    """Makes a rename durable; folders cannot be flushed on every system."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
