"""Forgetting an image that a network was searched and trained with: nowhere any more, and another version is live."""

from pathlib import Path

import pytest

from fingerpost.flows.ops.erase import forget as erasing
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas import nas
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import runs
from fingerpost.tasks.nas.open import live, read_images
from tests.support.searched_networks import FLOW, PRODUCT, Lab, write_drawings

pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("plain_runs")

#: A search that trains one candidate besides the reference.
LEAST = {
    "nas.images.training": 0,
    "nas.images.validation": 0,
    "nas.images.test": 0,
    "nas.search.evaluations": 1,
    "nas.training.epochs": 1,
    "nas.evaluation.reference": False,
}


def holders(store: Store, key: str) -> set[str]:
    """The contracts of the artifacts whose images have a key."""
    refs = [ref for ref in store.refs() if ref.name == nas.IMAGES.name]
    return {ref.fingerprint for ref in refs if key in read_images(store, ref).ids.tolist()}


def test_an_image_is_nowhere_any_more_whether_its_file_is_still_there_or_not(tmp_path: Path) -> None:
    folder, lab = write_drawings(tmp_path / "drawings", per_class=10), Lab(tmp_path, "drawings")
    request = lab.request(**{"nas.data": str(folder)}, **LEAST)
    run_flow(FLOW, request, quiet=True)
    first, key = Pointer(lab.store, "drawings", PRODUCT).required().ref, "bar/003.png"
    assert holders(lab.store, key)

    touched = erasing.listing(lab.store, key, "drawings")
    assert {ref.split("/")[0] for ref in touched.condemned} >= {
        "nas.images",
        "nas.search",
        "nas.trained",
        "nas.network",
    }
    assert not {ref.split("/")[0] for ref in touched.condemned} & {"nas.measurements", "nas.latency"}
    assert [(file.form, file.rows) for file in touched.inputs] == [("image", 1)]
    assert [(plan.flow, plan.stored) for plan in touched.reruns] == [(FLOW, [])]
    outcome = erasing.forget(lab.store, key, "drawings")
    assert outcome.clean
    assert outcome.proof["versions_lost"] == 0
    assert not (folder / key).exists()
    assert not holders(lab.store, key)
    second = Pointer(lab.store, "drawings", PRODUCT).required().ref
    assert second != first
    run_flow(FLOW, request, quiet=True)
    assert not [stage["stage"] for stage in runs(lab.store, newest=1)[0]["stages"] if stage["computed"]]

    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()
    other = "dot/005.png"
    assert [plan.stored for plan in erasing.listing(lab.store, other, "drawings").reruns] == [["nas"]]
    assert erasing.forget(lab.store, other, "drawings").clean
    assert not holders(lab.store, other)
    assert Pointer(lab.store, "drawings", PRODUCT).required().ref not in (first, second)
    assert live("drawings", store=lab.store.url).quality["images"] == 28
