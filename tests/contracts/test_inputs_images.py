"""Images with labels: a folder by class and Parquet of encoded bytes are the same rows, and bad ones are set aside."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.images import ImageFiles, ImageShape
from fingerpost.schemas.inputs.suppression import Suppressed
from tests.support.letters import SHAPE, encoded, tree


def parquet(folder: Path, cells: list[Any], name: str = "image") -> Path:
    """A file of images."""
    rows = len(cells)
    pq.write_table(
        pa.table(
            {
                "id": [f"p{row}" for row in range(rows)],
                "label": ["a", "b"] * (rows // 2) + ["a"] * (rows % 2),
                name: cells,
            }
        ),
        folder / "images.parquet",
    )
    return folder / "images.parquet"


def test_a_folder_by_class_becomes_rows_of_pixels(tmp_path: Path) -> None:
    batch = ImageFiles(str(tree(tmp_path)), SHAPE).read()
    rows = batch.accepted.to_pylist()
    assert [row["id"] for row in rows] == [f"class {n % 2}/{n}.png" for n in (0, 2, 4, 1, 3, 5)]
    assert [row["label"] for row in rows] == ["class 0"] * 3 + ["class 1"] * 3
    assert batch.quarantined.num_rows == 0
    with Image.open(tmp_path / "images" / "class 0" / "2.png") as picture:
        assert rows[1]["pixels"] == np.asarray(picture, np.float32).ravel().tolist()


def test_parquet_has_encoded_bytes_or_structs_of_them_and_bad_ones_are_set_aside(tmp_path: Path) -> None:
    good = [encoded(row) for row in range(4)]
    plain = ImageFiles(str(parquet(tmp_path, [*good, b"no image", None])), SHAPE).read()
    reasons = [(row["row"], row["reason"]) for row in plain.quarantined.to_pylist()]
    assert reasons == [(4, "not an image"), (5, "no image")]
    structs = [{"bytes": one, "path": "x.png"} for one in good]
    nested = ImageFiles(str(parquet(tmp_path, structs)), SHAPE).read()
    assert nested.accepted["pixels"].to_pylist() == plain.accepted["pixels"].to_pylist()
    mapped = ImageFiles(str(parquet(tmp_path, good, "picture")), SHAPE, (("image", "picture"),)).read()
    assert mapped.accepted["pixels"].to_pylist() == plain.accepted["pixels"].to_pylist()


def test_images_are_scaled_and_coloured_as_asked(tmp_path: Path) -> None:
    path = str(parquet(tmp_path, [encoded(0, "JPEG", (40, 30), "RGB"), encoded(1, "PNG", (12, 16))]))
    for shape, numbers in ((ImageShape(10, 20, 3), 600), (ImageShape(8, 8), 64)):
        found = ImageFiles(path, shape).read().accepted["pixels"].to_pylist()
        assert [len(row) for row in found] == [numbers] * 2
        assert all(0 <= value <= 255 for value in found[0])
    assert ImageShape(10, 20, 3).array == (10, 20, 3)
    assert ImageShape(10, 20).array == (10, 20)


def test_identity_follows_from_content_and_shape(tmp_path: Path) -> None:
    folder = tree(tmp_path)
    before = ImageFiles(str(folder), SHAPE).identity()
    assert ImageFiles(str(folder), SHAPE).identity() == before
    assert ImageFiles(str(folder), ImageShape(16, 16)).identity() != before
    (folder / "class 1" / "1.png").write_bytes(encoded(99))
    assert ImageFiles(str(folder), SHAPE).identity() != before


def test_suppressed_images_are_left_out(tmp_path: Path) -> None:
    folder = tree(tmp_path)
    gone = Suppressed.of(["class 0/2.png", "p1"], b"salt")
    assert "class 0/2.png" not in ImageFiles(str(folder), SHAPE, suppressed=gone).read().accepted["id"].to_pylist()
    other = Suppressed.of(["nothing here"], b"salt")
    assert ImageFiles(str(folder), SHAPE, suppressed=other).identity() == ImageFiles(str(folder), SHAPE).identity()
    assert ImageFiles(str(folder), SHAPE, suppressed=gone).identity() != ImageFiles(str(folder), SHAPE).identity()
    path = str(parquet(tmp_path, [encoded(row) for row in range(3)]))
    assert ImageFiles(path, SHAPE, suppressed=gone).read().accepted["id"].to_pylist() == ["p0", "p2"]
    assert ImageFiles(path, SHAPE, suppressed=gone).identity() != ImageFiles(path, SHAPE).identity()


def test_what_holds_no_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a folder or file of images, found nothing there"):
        ImageFiles(str(tmp_path / "gone"), SHAPE).identity()
    (tmp_path / "empty" / "class").mkdir(parents=True)
    with pytest.raises(InputError, match="expected a subfolder of images"):
        ImageFiles(str(tmp_path / "empty"), SHAPE).read()
    (tmp_path / "x.csv").write_text("id,label,image\n")
    with pytest.raises(InputError, match="expected Parquet or a folder of images, found CSV"):
        ImageFiles(str(tmp_path / "x.csv"), SHAPE).read()
    with pytest.raises(InputError, match=r"expected a column 'image', found id, label, picture"):
        ImageFiles(str(parquet(tmp_path, [b""] * 2, "picture")), SHAPE).read()
    with pytest.raises(ValueError, match="images: expected a height and width of at least 1 and 1 or 3 channels"):
        ImageShape(0, 3)
