"""The stages of images: what they write is read back, and inputs that cannot be split are refused."""

from pathlib import Path

import numpy as np
import pytest

from fingerpost.schemas.errors import FingerpostError, InputError, QuarantineLimitError
from fingerpost.schemas.inputs.labelled_images import image_source
from fingerpost.schemas.inputs.stored_images import StoredImages
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.store import Store
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.nas.canvas_params import CanvasParams
from fingerpost.tasks.nas.image_params import SPLITS, ImageParams
from fingerpost.tasks.nas.open import read_images
from fingerpost.tasks.nas.stages.images import compose_canvases, import_labelled_images
from fingerpost.tasks.shards import SerialExecutor
from tests.contracts.test_labelled_images import split_archive
from tests.support.letters import letters
from tests.worlds import DAY

IMPORTS = ImportParams(rows_per_shard=4096)
CANVAS = CanvasParams(size=16, training=30, validation=5, test=5)


@pytest.fixture
def env(tmp_path: Path) -> Environment:
    return Environment(Store(str(tmp_path / "store")).prepare(), "digits", DAY, SerialExecutor())


def test_imported_digits_and_their_canvases_are_read_back(env: Environment) -> None:
    params = ImageParams(training=200, test=50)
    ref = import_labelled_images.execute(env, image_source("digits"), params=params, channels=1, imports=IMPORTS)
    images = read_images(env.store, ref)
    assert images.pixels.shape == (429, 8, 8)
    assert images.classes == tuple("0123456789")
    assert images.masks is None
    rows = {row["id"]: row for row in image_source("digits").read().accepted.to_pylist()}
    for place in (0, 100, 428):
        row = rows[str(images.ids[place])]
        assert images.classes[images.labels[place]] == row["label"]
        assert images.pixels[place].ravel().tolist() == row["pixels"]
    quality = env.store.open(ref, import_labelled_images.contract).quality
    assert (quality["size"], quality["channels"], quality["unused"]) == (8, 1, 1797 - 429)
    assert (quality["training"], quality["validation"], quality["test"]) == (200, 179, 50)
    composed = compose_canvases.execute(env, ref, params=CANVAS)
    canvases = read_images(env.store, composed)
    assert canvases.classes == ("background", "figure")
    assert canvases.masks is not None
    assert canvases.masks.shape == canvases.pixels.shape == (40, 16, 16)
    assert 0.01 < canvases.masks.mean() < 0.5
    assert set(canvases.ids).isdisjoint(images.ids)
    assert {key.rpartition("-")[0] for key in canvases.ids} == {f"canvas-{split}" for split in SPLITS}


def test_coloured_images_are_read_back(env: Environment, tmp_path: Path) -> None:
    source = image_source(str(letters(tmp_path, classes=3, each=6, size=10)), size=6, channels=3)
    ref = import_labelled_images.execute(env, source, params=ImageParams(), channels=3, imports=IMPORTS)
    images = read_images(env.store, ref)
    assert images.pixels.shape == (18, 6, 6, 3)
    # Letters that are equal at this size are in one split.
    sides = [{pixels.tobytes() for pixels in images.part(split).pixels} for split in SPLITS]
    assert all(sides)
    assert not sides[2] & (sides[0] | sides[1])
    with pytest.raises(FingerpostError, match="expected grey images"):
        compose_canvases.execute(env, ref, params=CANVAS)


def test_images_whose_input_is_gone_come_back_without_forgotten_ones(env: Environment, tmp_path: Path) -> None:
    source = image_source(str(split_archive(tmp_path)))
    params = ImageParams(least_rows=3)
    ref = import_labelled_images.execute(env, source, params=params, channels=1, imports=IMPORTS)
    stored = StoredImages(env.store, ref, Suppressed.of(["train-00004"], b"salt"))
    again = read_images(
        env.store, import_labelled_images.execute(env, stored, params=params, channels=1, imports=IMPORTS)
    )
    before = read_images(env.store, ref)
    kept = before.ids != "train-00004"
    np.testing.assert_array_equal(again.ids, before.ids[kept])
    np.testing.assert_array_equal(again.pixels, before.pixels[kept])
    np.testing.assert_array_equal(again.splits, before.splits[kept])


def test_inputs_that_cannot_be_split_are_refused(env: Environment, tmp_path: Path) -> None:
    one = image_source(str(letters(tmp_path / "one", classes=1, each=9, size=8)))
    with pytest.raises(InputError, match="one/letters: images: expected at least two classes"):
        import_labelled_images.execute(env, one, params=ImageParams(), channels=1, imports=IMPORTS)
    few = image_source(str(letters(tmp_path / "few", classes=3, each=3, size=8)))
    with pytest.raises(InputError, match="at least 5 images"):
        import_labelled_images.execute(env, few, params=ImageParams(), channels=1, imports=IMPORTS)
    blank = split_archive(tmp_path, train=np.zeros((9, 16), np.uint8))
    with pytest.raises(QuarantineLimitError, match="9 zero vector"):
        import_labelled_images.execute(env, image_source(str(blank)), params=ImageParams(), channels=1, imports=IMPORTS)
    oblong = tmp_path / "oblong.npz"
    np.savez(oblong, train=np.ones((40, 4, 9), np.uint8) * 9, train_labels=np.arange(40) % 2)
    with pytest.raises(InputError, match=r"expected square images, .* nas\.images\.size"):
        import_labelled_images.execute(
            env, image_source(str(oblong)), params=ImageParams(), channels=1, imports=IMPORTS
        )
