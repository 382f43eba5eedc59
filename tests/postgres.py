"""A PostgreSQL server in a folder of its own, run by an unprivileged user (it refuses root)."""

import glob
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _program(name: str) -> str:
    found = shutil.which(name) or next(iter(sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), reverse=True)), "")
    if not found:
        pytest.skip(f"PostgreSQL's {name} is not installed")
    return found


def _unprivileged() -> str:
    if os.getuid():
        return ""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    return pytest.skip("PostgreSQL refuses root, and there is no other user")


@contextmanager
def postgres() -> Iterator[str]:
    """The URL (with its password) of a fresh database, for as long as the block lasts."""
    initdb, server = _program("initdb"), _program("postgres")
    user = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="fingerpost-pg-"))
    password = secrets.token_hex(12)
    (folder / "password").write_text(password)
    for path in (folder, folder / "password"):
        if user:
            shutil.chown(path, user)
    process = None
    try:
        identity = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}
        made = subprocess.run(
            [
                initdb,
                "-D",
                folder / "data",
                "-U",
                "prefect",
                "-A",
                "scram-sha-256",
                f"--pwfile={folder / 'password'}",
                "--no-sync",
                "-E",
                "UTF8",
                "--locale=C",
            ],
            capture_output=True,
            text=True,
            cwd=folder,
            check=False,
            **identity,  # type: ignore[call-overload]
        )
        assert made.returncode == 0, made.stderr
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with open(folder / "log", "wb") as log:
            process = subprocess.Popen(
                [server, "-D", folder / "data", "-p", str(port), "-h", "127.0.0.1", "-k", folder, "-F"],
                stdout=log,
                stderr=log,
                cwd=folder,
                start_new_session=True,
                **identity,
            )
        end = time.monotonic() + 60
        while "ready to accept connections" not in (folder / "log").read_text():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < end, (folder / "log").read_text()
            time.sleep(0.05)
        yield f"postgresql+asyncpg://prefect:{password}@127.0.0.1:{port}/postgres"
    finally:
        if process is not None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(folder, ignore_errors=True)
