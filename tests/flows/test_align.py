"""The command `align`: matches written and shown, and one line for each mistake."""

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.commands import fingerpost_here, refused
from tests.support.matched_tables import COMMON, Shops, write, write_people, write_shops

pytestmark = pytest.mark.usefixtures("plain_runs")

DAY = ("--day", "2026-03-01", "--profile", "tiny", "--quiet")
MAPPED = ("--id", "sku", "--name", "title", "--map", "sku=number", "--map", "title=name", "--map", "maker=brand")


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory, plain_runs: None) -> Shops:
    """Two tables, links between them, and a table with duplicates."""
    made = write_shops(tmp_path_factory.mktemp("shops"))
    write_people(made)
    return made


def aligned(shops: Shops, *arguments: str) -> str:
    """What the command prints."""
    done = fingerpost_here("align", *arguments, *DAY, "--store", shops.store.url, cwd=shops.folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def wrong(shops: Shops, *arguments: str) -> str:
    """The line that a mistake gives; nothing was run."""
    return refused("align", *arguments, *DAY, "--store", shops.store.url, cwd=shops.folder)


def test_two_tables_are_aligned_and_the_matches_written(shops: Shops) -> None:
    both = ("--left", "left.csv", "--right", "right.csv", "--links", "links.csv", *MAPPED)
    said = aligned(shops, *both, "--precision", "0.95", "--output", "matches.csv")
    assert "threshold" in said
    assert "matches.csv" in said
    with Path(shops.path("matches.csv")).open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 0.8 * COMMON
    assert set(rows[0]) == {"left", "right", "left_name", "right_name", "probability", "joined"}
    assert sum(row["left"][1:] == row["right"][1:] for row in rows) / len(rows) >= 0.95
    assert [float(row["probability"]) for row in rows] == sorted(
        (float(row["probability"]) for row in rows), reverse=True
    )

    body = json.loads(aligned(shops, *both, "--precision", "0.95", "--output", "matches.parquet", "--json"))
    table = pq.read_table(shops.path("matches.parquet"))
    assert body["matches"] == table.num_rows == len(rows)
    assert table["left"].to_pylist() == [row["left"] for row in rows]
    assert body["collection"] == "left"
    assert body["quality"]["tested"] > 0


def test_duplicates_within_a_table(shops: Shops) -> None:
    said = aligned(
        shops,
        "--within",
        "people.csv",
        "--links",
        "people-links.csv",
        "--id",
        "number",
        "--name",
        "name",
        "-o",
        "d.jsonl",
    )
    assert "matches" in said
    rows = [json.loads(line) for line in Path(shops.path("d.jsonl")).read_text().splitlines()]
    assert sum(row["left"][1:] == row["right"][1:] for row in rows) / len(rows) >= 0.9


def test_without_links_it_says_that_nothing_is_measured(shops: Shops) -> None:
    said = aligned(shops, "--left", "left.csv", "--right", "right.csv", *MAPPED, "--collection", "estimated")
    assert "is not measured: no pairs are known" in " ".join(said.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "expected --left with --right, or --within, got neither"),
        (("--left", "left.csv", "--within", "people.csv"), "or --within, got both"),
        (("--within", "people.csv", "--right", "right.csv"), "expected --within alone"),
        (("--left", "left.csv"), "expected --right beside --left left.csv, found none"),
        (("--left", "no.csv", "--right", "right.csv"), "no.csv: expected a file"),
        (("--left", "left.csv", "--right", "no.csv"), "no.csv: expected a file"),
        (("--left", "left.csv", "--right", "right.csv", "--links", "no.csv", *MAPPED), "no.csv: expected a file"),
        (("--left", "left.csv", "--right", "right.csv", "--id", "nr"), "expected a column 'nr'"),
        (("--left", "left.csv", "--right", "right.csv", "--name", "nom"), "expected a column 'nom'"),
        (("--left", "left.csv", "--right", "left.csv", "--map", "title"), "--map: expected left=right, got 'title'"),
        (
            ("--left", "left.csv", "--right", "odd.csv", "--id", "sku", "--map", "sku=key"),
            "expected a column of attributes",
        ),
        (("--left", "left.csv", "--right", "right.csv", "--far", "0.1", "--precision", "0.9"), "expected one target"),
        (("--left", "left.csv", "--right", "right.csv", "-o", "m.xlsx"), "ends in .parquet, .jsonl or .csv"),
        (("--left", "left.csv", "--right", "right.csv", "-o", "none/m.csv"), "expected a folder to write to"),
        (("--left", "left.csv", "--right", "right.csv", "--set", "kg.nothing=1"), "kg.nothing"),
        (("--left", "empty.csv", "--right", "right.csv", *MAPPED), "empty.csv"),
        (("--left", "twice.csv", "--right", "right.csv", *MAPPED), "duplicate id"),
        (("--left", "left.csv", "--right", "right.csv", "--links", "strange.csv", *MAPPED), "unknown entity"),
        (("--left", "left.csv", "--right", "right.csv", "--links", "left.csv", *MAPPED), "left"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(shops: Shops, arguments: tuple[str, ...], said: str) -> None:
    folder = shops.folder
    write(folder / "odd.csv", [{"key": "1", "colour": "blue"}, {"key": "2", "colour": "red"}])
    write(folder / "empty.csv", [], ["sku", "title", "maker", "price"])
    write(folder / "twice.csv", [{"sku": "1", "title": "a lamp", "maker": "x", "price": "1"}] * 9)
    write(folder / "strange.csv", [{"left": f"nobody {n}", "right": f"none {n}", "label": "1"} for n in range(9)])
    assert said in wrong(shops, *arguments)
