"""A search of networks as Prefect runs it, its candidates in two processes of Dask."""

from pathlib import Path

import pytest
from prefect.artifacts import Artifact

from fingerpost.flows.run.start import run_flow
from fingerpost.schemas.publish import Pointer, products
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import runs
from tests.support.searched_networks import FLOW, PRODUCT, Lab

pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("prefect_server", "forked_workers")


def test_a_search_by_prefect_and_two_workers_is_the_one_by_none(tmp_path: Path) -> None:
    lab, few = Lab(tmp_path), {"nas.evaluation.reference": False}
    run_flow(FLOW, lab.request(**few, **{"run.workers": 2}), quiet=True)
    assert products(lab.store) == [("digits", PRODUCT)]
    (record,) = runs(lab.store)
    assert {stage["stage"] for stage in record["stages"]} >= {"search_networks", "train_network", "assemble_network"}
    page = Artifact.get("run-search-architectures-digits")
    assert page is not None
    assert "network" in str(page.data)
    first = lab.live()

    alone = lab.request(**few).model_copy(update={"store": str(tmp_path / "alone")})
    run_flow(FLOW, alone, quiet=True)
    assert Pointer(Store(str(tmp_path / "alone")), "digits", PRODUCT).required().artifact == first
