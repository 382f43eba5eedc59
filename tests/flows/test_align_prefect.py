"""A nightly with an alignment as Prefect runs it, its shards in two processes of Dask."""

from pathlib import Path

import pytest
from prefect.artifacts import Artifact

from fingerpost.flows.run.start import run_flow
from fingerpost.schemas.publish import Pointer, products
from fingerpost.tasks.ledger import runs
from tests.support.matched_tables import DAYS, write_shops

pytestmark = pytest.mark.usefixtures("prefect_server", "forked_workers")


def test_an_alignment_by_prefect_and_two_workers_is_the_one_by_none(tmp_path: Path) -> None:
    shops = write_shops(tmp_path)
    small = {"kg.rows_per_shard": 50, "kg.shared": ["maker"]}
    run_flow("align_graphs", shops.request(DAYS[0], **small, **{"run.workers": 2}), quiet=True)
    assert products(shops.store) == [("shop", "kg.alignment")]
    (record,) = runs(shops.store)
    assert {stage["stage"] for stage in record["stages"]} >= {"import_graph", "score_pairs", "assemble_alignment"}
    page = Artifact.get("run-align-graphs-shop")
    assert page is not None
    assert "alignment" in str(page.data)
    first = Pointer(shops.store, "shop", "kg.alignment").required().ref

    alone = shops.request(DAYS[0], **small).model_copy(update={"store": str(tmp_path / "alone")})
    run_flow("align_graphs", alone, quiet=True)
    other = type(shops.store)(str(tmp_path / "alone"))
    assert Pointer(other, "shop", "kg.alignment").required().ref == first
