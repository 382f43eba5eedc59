"""Explanations of what a run published: exact scores, attention, decisions, and what moved since the day before."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from fingerpost.flows.ops.compare.versions import find_product
from fingerpost.flows.ops.compare.why import why
from fingerpost.flows.run.replay import replay
from fingerpost.flows.run.start import run_flow
from fingerpost.tasks.kg.open import PRODUCT, LiveAlignment, live
from fingerpost.tasks.ledger import runs
from tests.support.commands import fingerpost_here
from tests.support.matched_tables import DAYS, Shops, write_shops

pytestmark = pytest.mark.usefixtures("plain_runs")


def run(shops: Shops, day: str, **settings: Any) -> dict[str, Any]:
    """The record of a run whose rows share their makers."""
    run_flow("align_graphs", shops.request(day, **{"kg.shared": ("maker",), **settings}), quiet=True)
    return runs(shops.store, newest=1)[0]


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory, plain_runs: None) -> Shops:
    """Alignments of two days; on the second, a title of the right shop is another and a match was refused by a reviewer."""
    made = write_shops(tmp_path_factory.mktemp("explained"))
    run(made, DAYS[0])
    done = fingerpost_here("review", "--output", "queue.csv", "--store", made.store.url, cwd=made.folder)
    assert done.returncode == 0, done.stderr
    refused = live(store=made.store.url).match("L003")
    assert refused is not None
    lines = [f"L003,{refused.right},0"]
    Path(made.path("reviewed.csv")).write_text("\n".join(["left,right,label", *lines]) + "\n")
    rows = Path(made.path("right.csv")).read_text().splitlines()
    other = [
        f"R005,{row.split(',')[1]},entirely another thing,1.00" if row.startswith("R005,") else row for row in rows
    ]
    Path(made.path("right.csv")).write_text("\n".join(other) + "\n")
    run(made, DAYS[1], **{"kg.reviewed": made.path("reviewed.csv"), "kg.gates.precision": 0.0})
    return made


@pytest.fixture(scope="module")
def versions(shops: Shops) -> tuple[LiveAlignment, LiveAlignment]:
    """Both versions, the earlier one first."""
    where = {"collection": "shop", "product": PRODUCT}
    refs = [find_product(shops.store, f"live~{back}", **where) for back in (1, 0)]
    before, after = (LiveAlignment(shops.store, ref) for ref in refs)
    return before, after


def test_the_scorer_gives_the_scores_that_were_stored(versions: tuple[LiveAlignment, LiveAlignment]) -> None:
    for opened in versions:
        pairs = np.stack([opened.compared.left, opened.compared.right], axis=1).astype(np.int64)
        some = np.arange(0, len(pairs), 37)
        assert np.array_equal(
            opened.scorer.log_odds(opened.scorer.features(pairs)).astype(np.float32), opened.compared.scores
        )
        alone = [opened.scorer.log_odds(opened.scorer.features(pairs[[row]]))[0] for row in some]
        assert np.array_equal(np.array(alone, np.float32), opened.compared.scores[some])


def test_every_match_is_explained_as_one(versions: tuple[LiveAlignment, LiveAlignment]) -> None:
    opened = versions[0]
    for row in opened.matches().slice(0, 20).to_pylist():
        found = opened.explain(row["left"], row["right"])
        assert found.accepted
        assert found.left.joined == found.right.joined == row["joined"]
        assert {one.name for one in found.inputs} >= {"title", "price", "(name)", "(all)"}
        if found.decision == "match":
            assert found.probability == pytest.approx(row["probability"], abs=1e-6)
            assert found.probability >= found.threshold


def test_attention_sums_to_one_and_names_what_is_the_same(versions: tuple[LiveAlignment, LiveAlignment]) -> None:
    opened = versions[0]
    if opened.attention is None:
        pytest.skip("torch is not installed, so that no aligner was trained")
    found = opened.explain("L001", "R001")
    for side in ("left", "right"):
        mine = [one for one in found.neighbors if one.side == side]
        assert sum(one.weight for one in mine) == pytest.approx(1)
        assert [one.weight for one in mine] == sorted((one.weight for one in mine), reverse=True)
        assert any(one.relation == "maker" and one.id for one in mine)


def test_a_reviewed_pair_and_a_changed_value_are_found(
    shops: Shops, versions: tuple[LiveAlignment, LiveAlignment]
) -> None:
    before, after = versions
    refused = before.match("L003")
    assert refused is not None
    assert after.explain("L003", refused.right).decision == "known as two"
    (move,) = why(shops.store, before.ref, after.ref, f"L003 > {refused.right}").moves
    assert move.kind == "labels"
    assert "is known to be two (reviewed)" in move.because
    found = why(shops.store, before.ref, after.ref, "L005")
    changed = next(one for one in found.moves if one.id == "R005")
    assert changed.kind == "values"
    assert "'entirely another thing'" in changed.because
    assert any("import_graph" in str(cause) for cause in found.causes)


def test_judged_pairs_are_replayed(shops: Shops, tmp_path: Path, versions: tuple[LiveAlignment, LiveAlignment]) -> None:
    matches = versions[1].matches()
    pq.write_table(matches.select(["left", "right"]).rename_columns(["query", "id"]), tmp_path / "judged.parquet")
    found = replay(shops.store, versions[1].ref, versions[0].ref, file=str(tmp_path / "judged.parquet"), k=3)
    assert len(found.queries) == matches.num_rows
    # The pairs are the later version's own matches, which come first there.
    assert found.figures["ndcg_candidate"] == 1
    assert 0.9 < found.figures["ndcg_live"] <= 1


def test_the_report_of_the_run_has_all_of_it(shops: Shops) -> None:
    record = runs(shops.store, newest=1)[0]
    page = shops.store.files.read(f"reports/{record['id']}.html").decode()
    for section in ("alignment", "blocking", "joined-entities", "review"):
        assert f'<section id="{section}">' in page
    assert "published scorer" in page
    assert "could not be read" not in page
