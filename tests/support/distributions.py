"""A made-up Python distribution that is installed nowhere but for a test."""

from pathlib import Path

import pytest


def install(root: Path, name: str, files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    lines = []
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        indent = len(text.lstrip("\n")) - len(text.lstrip("\n").lstrip(" "))
        text = "\n".join(line[indent:] if line.startswith(" " * indent) else line for line in text.split("\n"))
        (root / path).write_bytes(text.encode(errors="surrogateescape"))
        lines.append(f"{path},sha256=of-{path},{len(text)}")
    info = root / f"{name}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (info / "RECORD").write_text("\n".join([*lines, f"../../bin/{name},sha256=of-script,3", ""]))
    monkeypatch.syspath_prepend(str(root))
    return root
