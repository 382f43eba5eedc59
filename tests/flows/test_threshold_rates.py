"""The rates that `threshold` tells are those of the file's pairs, one by one, for inputs that bins are bad at."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from fingerpost.flows.cli import app
from tests.support.embedding_files import write

#: The first row of b is that of a.
IN_TWO_CLASSES = np.array([[1, 0], [0.99, 0.1], [1, 0], [0, 1], [-1, 0.1], [-1, 0]], np.float32)
ALL_ALIKE = np.tile(np.array([[0.3, 0.4]], np.float32), (6, 1))
SIX = ["a", "a", "b", "b", "c", "c"]


def spread(measure: str) -> tuple[np.ndarray, list[str]]:
    """Twelve classes of ten rows, one of which is 10,000 times as long."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(12), 10)
    vectors = random.standard_normal((12, 8))[labels] + 0.2 * random.standard_normal((120, 8))
    if measure == "euclidean":
        vectors[7] *= 10_000
    return vectors.astype(np.float32), [f"class {label}" for label in labels]


def rates_of(vectors: np.ndarray, labels: list[str], threshold: float, measure: str) -> tuple[float, float]:
    """FAR and FRR, pair by pair, in double precision."""
    rows = vectors.astype(np.float64)
    first, second = np.triu_indices(len(rows), 1)
    if measure == "cosine":
        rows /= np.linalg.norm(rows, axis=1)[:, None]
        passes = (rows[first] * rows[second]).sum(axis=1) >= threshold
    else:
        passes = np.linalg.norm(rows[first] - rows[second], axis=1) <= threshold
    same = np.array(labels)[first] == np.array(labels)[second]
    return float(passes[~same].mean()), float(1 - passes[same].mean())


def asked(*arguments: str) -> str:
    """What the command prints."""
    done = CliRunner().invoke(app, ["threshold", *arguments])
    assert done.exit_code == 0, done.exception
    return done.stdout


CASES = {
    "a row in two classes": (IN_TWO_CLASSES, SIX),
    "all rows alike": (ALL_ALIKE, SIX),
    "one row far out": spread("euclidean"),
    "plain": spread("cosine"),
}


@pytest.mark.parametrize("measure", ["cosine", "euclidean"])
@pytest.mark.parametrize("target", [("--far", 0.0), ("--far", 0.01), ("--frr", 0.0)])
@pytest.mark.parametrize("case", CASES)
def test_the_command_tells_what_is_true_of_the_file(
    case: str, target: tuple[str, float], measure: str, tmp_path: Path
) -> None:
    vectors, labels = CASES[case]
    path = write(tmp_path / "rows.parquet", vectors, [f"row {i}" for i in range(len(labels))], labels)
    given = ("--input", str(path), target[0], str(target[1]), "--measure", measure, "--same-classes")
    found: dict[str, Any] = json.loads(asked(*given, "--group", "label", "--json"))
    far, frr = rates_of(vectors, labels, found["threshold"], measure)
    for told in (found["chosen_on"], found["tested_on"]):
        assert (told["far"], told["frr"]) == pytest.approx((far, frr), abs=1e-12)
    rate = far if target[0] == "--far" else frr
    assert found["kept"] == (rate <= target[1] + 1e-12)
    assert any(words.startswith("no threshold keeps FAR") for words in found["cautions"]) != found["kept"]
    if target == ("--far", 0.0):
        assert ("which no threshold keeps" in asked(*given)) != found["kept"]
    assert found["kept"] == (case not in ("a row in two classes", "all rows alike") or target[0] == "--frr")
    if case in ("one row far out", "plain") and target == ("--far", 0.01):
        assert far > 0.008, "a target that can be kept is used, with one row in the way or without"
        assert frr < (0.2 if case == "plain" else 0.25)


@pytest.mark.parametrize("measure", ["cosine", "euclidean"])
def test_a_migrated_threshold_is_told_the_rates_of_both_files(measure: str, tmp_path: Path) -> None:
    vectors, labels = spread(measure)
    ids = [f"row {i}" for i in range(len(labels))]
    other = vectors + 0.1 * np.random.default_rng(1).standard_normal(vectors.shape).astype(np.float32)
    old, new = (
        write(tmp_path / "old.parquet", vectors, ids, labels),
        write(tmp_path / "new.parquet", other, ids, labels),
    )
    start = 0.7123456 if measure == "cosine" else 1.2345678
    given = ("--input", str(old), "--migrate", str(new), "--from", str(start), "--measure", measure)
    moved = json.loads(asked(*given, "--json"))
    before, after = moved["before"], moved["after"]
    assert (before["far"], before["frr"]) == pytest.approx(rates_of(vectors, labels, start, measure), abs=1e-12)
    told = rates_of(other, labels, after["threshold"], measure)
    assert (after["far"], after["frr"]) == pytest.approx(told, abs=1e-12)
    assert after["far"] <= before["far"]
