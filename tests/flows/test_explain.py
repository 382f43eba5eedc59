"""A published alignment as people use it: why a pair is a match, the pairs to review, and the joined graph as files."""

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pytest

from fingerpost.flows.domains.kg.align import figures, nameless
from fingerpost.schemas import kg
from fingerpost.schemas.inputs.graph_links import ReviewedLinks
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.kg import open as opening
from tests.support.alignments import HandAttention, HandScorer, alignment_of, review_artifact
from tests.support.commands import fingerpost_here, refused
from tests.unit.autocomplete.logs import world

QUEUE = (
    ("l1", "r2", "red kettle 1.5 l", "Blue kettle by Acme", 0.62, False, "contradicts a match"),
    ("l2", "r2", "blue kettle", "Blue kettle by Acme", 0.82, True, "near the threshold"),
)


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A store with a published alignment and its queue."""
    made = world(tmp_path_factory.mktemp("published"))
    ref = alignment_of(made)
    review_artifact(made.store, QUEUE, read_members(made.store, ref)["matches"])
    Pointer(made.store, "shop", kg.ALIGNMENT.name).promote(ref, gates=[])
    return made


@pytest.fixture(autouse=True)
def _hands() -> Iterator[None]:
    """The model made by hand."""
    with (
        mock.patch.object(opening, "read_pair_scorer", return_value=HandScorer()),
        mock.patch.object(opening.LiveAlignment, "attention", HandAttention()),
    ):
        yield


def done(env: Environment, *arguments: str) -> str:
    result = fingerpost_here(*arguments, "--store", env.store.url, cwd=Path(env.store.url).parent)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_match_is_explained_in_words_and_as_json(env: Environment) -> None:
    shown = done(env, "explain", "l1", "r1")
    for part in (
        "l1 (red kettle 1.5 l) and r1 (Kettle, red, Acme): match",
        "at least the threshold 0.5000",
        "by structure alone 0.7000",
        "proposed by vectors, neighbours; cosine of their vectors 0.800",
        "+1.000",
        "equal 0.8, number 0.2",
        "neighbours of r1",
        "made by",
    ):
        assert part in shown
    found = json.loads(done(env, "explain", "l1", "r1", "--json"))
    assert (found["decision"], found["accepted"], found["left"]["joined"]) == ("match", True, "k3")
    assert found["inputs"][0]["name"] == "price"
    assert found["neighbors"][0]["same"] == "c1"


def test_a_pair_that_is_none_says_what_stands_against_it(env: Environment) -> None:
    shown = done(env, "explain", "l1", "r2")
    assert "l1 = r1; l2 = r2" in shown
    assert "match" in shown.splitlines()[-3]
    assert "no part of blocking" in done(env, "explain", "l3", "r1")


def test_an_unknown_id_is_refused_in_one_line_with_near_ones(env: Environment) -> None:
    line = refused("explain", "kettle", "r1", "--store", env.store.url, cwd=Path(env.store.url).parent)
    assert "an entity of the left graph, got 'kettle'; near it: l" in line


def test_a_queue_is_written_labelled_and_read_back(env: Environment, tmp_path: Path) -> None:
    file = tmp_path / "queue.csv"
    assert "2 pairs" in done(env, "review", "--output", str(file))
    with file.open() as opened:
        rows = list(csv.DictReader(opened))
    assert [(row["left"], row["right"], row["label"], row["reason"]) for row in rows] == [
        ("l1", "r2", "", "contradicts a match"),
        ("l2", "r2", "", "near the threshold"),
    ]
    assert ReviewedLinks(str(file)).read().links.num_rows == 0
    rows[1]["label"] = "1"
    with file.open("w", newline="") as opened:
        written = csv.DictWriter(opened, list(rows[0]))
        written.writeheader()
        written.writerows(rows)
    found = ReviewedLinks(str(file)).read().links.to_pylist()
    assert [(row["left"], row["right"], row["label"], row["source"]) for row in found] == [("l2", "r2", 1, "reviewed")]
    told = refused("review", "-o", str(file), "--store", env.store.url, cwd=tmp_path)
    assert "expected a new file" in told


def test_a_queue_is_shown_and_cut(env: Environment, tmp_path: Path) -> None:
    shown = done(env, "review")
    assert "2 doubtful pairs, 1 of them matches now" in shown
    assert "contradicts a match" in shown
    found = json.loads(done(env, "review", "-k", "1", "--json"))["pairs"]
    assert [pair["reason"] for pair in found] == ["contradicts a match"]
    assert "label" not in found[0]


def test_long_texts_of_a_queue_are_cut_where_it_is_shown_and_whole_in_the_file(
    env: Environment, tmp_path: Path
) -> None:
    words = "a kettle of many words " * 10
    queue = opening.live("shop", store=env.store.url).review()
    queue = queue.set_column(queue.column_names.index("left_name"), "left_name", pa.array([words] * len(queue)))
    with mock.patch.object(opening.LiveAlignment, "review", return_value=queue):
        shown = done(env, "review")
        done(env, "review", "--output", str(tmp_path / "queue.csv"))
    assert words[:50] in shown
    assert words[:70] not in shown
    assert words in (tmp_path / "queue.csv").read_text()


def test_matches_without_names_are_told_how_to_get_them() -> None:
    def matches(*names: str) -> pa.Table:
        return pa.table({"left_name": list(names), "right_name": [""] * len(names)})

    assert "--name COLUMN" in nameless(matches("", ""), {})
    assert not nameless(matches("", "kettle"), {})
    assert not nameless(matches("", ""), {"name": "title"})
    assert not nameless(matches().cast(pa.schema([("left_name", pa.string()), ("right_name", pa.string())])), {})


def test_figures_of_few_test_pairs_are_said_to_be_of_few() -> None:
    few = figures({"threshold": 0.5, "matches_precision": 1.0, "tested": 1})
    assert few == "threshold 0.500, matches: precision 1.000 on 1 test pair; too few to rely on, label more"
    many = figures({"threshold": 0.5, "matches_f1": 0.9, "tested": 1234})
    assert many == "threshold 0.500, F1 0.900 on 1,234 test pairs"
    assert figures({"threshold": 0.5, "tested": 0}) == "threshold 0.500"


def test_the_joined_graph_is_written_as_lines_and_as_tables(env: Environment, tmp_path: Path) -> None:
    shown = done(env, "join", "--output", str(tmp_path / "joined.nt"))
    assert "3 of them of several; 4 relations and 9 values of attributes; 2 conflicts, 0 values dropped" in shown
    lines = (tmp_path / "joined.nt").read_text().splitlines()
    assert "<urn:fingerpost:k3> <http://www.w3.org/ns/prov#wasDerivedFrom> <urn:fingerpost:left/l1> ." in lines
    found = json.loads(done(env, "join", "--output", str(tmp_path / "folder"), "--json"))
    assert found["figures"]["entities"] == 5
    assert (tmp_path / "folder" / "sources.parquet").is_file()
    told = refused("join", "-o", "x.ttl", "--store", env.store.url, cwd=tmp_path)
    assert "expected a name that ends in .nt or .nq" in told


def test_an_alignment_is_opened_and_looked_up_without_prefect(env: Environment) -> None:
    script = (
        "import sys, fingerpost\n"
        f"live = fingerpost.alignment('shop', store={env.store.url!r})\n"
        "print(live.match('l1').right, live.cluster_of('r1'), live.joined().entities.num_rows, len(live.review()))\n"
        "assert not {'prefect', 'dask', 'distributed', 'torch', 'sklearn'} & set(sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert (found.returncode, found.stdout) == (0, "r1 k3 5 2\n"), found.stderr


def test_without_a_queue_and_without_an_alignment_the_cure_is_told(tmp_path: Path) -> None:
    made = world(tmp_path)
    told = refused("explain", "a", "b", "--store", made.store.url, cwd=tmp_path)
    assert "kg.alignment" in told or "alignment" in told
    Pointer(made.store, "shop", kg.ALIGNMENT.name).promote(alignment_of(made), gates=[])
    told = refused("review", "--store", made.store.url, cwd=tmp_path)
    assert "expected a queue of doubtful pairs" in told
    assert isinstance(Pointer(made.store, "shop", kg.ALIGNMENT.name).required().artifact, Ref)
