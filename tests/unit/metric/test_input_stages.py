"""The stages that import embeddings and images: their contracts and columns, and rows of version 0.1."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fingerpost.flows.ops.compare.changes import data_changes
from fingerpost.schemas import corpus, metric
from fingerpost.schemas.errors import ForeignArtifactError, QuarantineLimitError
from fingerpost.schemas.inputs.embeddings import EmbeddingFile
from fingerpost.schemas.inputs.images import ImageFiles
from fingerpost.schemas.inputs.stored import StoredLabelled
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.matrices import dense_from_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.metric.classes import ClassParams
from fingerpost.tasks.metric.open import open_labelled, open_vectors, read_labelled, texts_of
from fingerpost.tasks.metric.stages.inputs import import_embeddings, import_images, take_embeddings
from fingerpost.tasks.metric.stages.thresholds import arrange_classes
from fingerpost.tasks.shards import SerialExecutor
from tests.support.letters import SHAPE, tree
from tests.unit.metric.worlds import committed
from tests.worlds import DAY

ROWS = 60
PARAMS = ImportParams(rows_per_shard=4096, quarantine_share=0.2)
LABELS = [f"person {row % 6}" for row in range(ROWS)]
GROUPS = [f"camera {row % 2}" for row in range(ROWS)]
VECTORS = np.random.default_rng(0).standard_normal((ROWS, 4)).astype(np.float32)


@pytest.fixture
def env(tmp_path: Path) -> Environment:
    return Environment(Store(str(tmp_path / "store")).prepare(), "faces", DAY, SerialExecutor())


@pytest.fixture
def embeddings(tmp_path: Path) -> EmbeddingFile:
    """Embeddings with labels and groups; the vector of one row more is missing."""
    columns = {
        "id": [f"face {row}" for row in range(ROWS + 1)],
        "label": [*LABELS, "person 0"],
        "group": [*GROUPS, ""],
        "vector": pa.array([*VECTORS.tolist(), None], pa.list_(pa.float32())),
    }
    pq.write_table(pa.table(columns), tmp_path / "faces.parquet")
    return EmbeddingFile(str(tmp_path / "faces.parquet"))


def as_documents(store: Store) -> Ref:
    """The embeddings as version 0.1 stored them."""
    empty = [""] * ROWS
    columns = {
        "id": [f"face {row}" for row in range(ROWS)],
        **dict.fromkeys(("title", "text"), empty),
        "kind": GROUPS,
        "package": LABELS,
        **dict.fromkeys(("signature", "day"), empty),
        "vector": VECTORS.tolist(),
    }
    fields = corpus.DOCUMENTS.table("documents").fields
    return committed(
        store, corpus.DOCUMENTS, {"documents": pa.table({f.name: pa.array(columns[f.name], f.type) for f in fields})}
    )


def test_embeddings_are_stored_by_their_own_columns(env: Environment, embeddings: EmbeddingFile) -> None:
    ref = import_embeddings.execute(env, embeddings, params=PARAMS)
    rows = env.store.open(ref, metric.EMBEDDINGS).read("embeddings")
    assert rows.column_names == ["id", "label", "group", "vector"]
    assert (rows["label"].to_pylist(), rows["group"].to_pylist()) == (LABELS, GROUPS)
    np.testing.assert_array_equal(dense_from_arrow(rows), VECTORS)
    quality = env.store.manifest(ref).quality
    assert quality == {"embeddings": ROWS, "quarantined": 1, "quarantine_share": round(1 / 61, 6)}
    bad = env.store.open(Ref("corpus.quarantine", DAY, ref.fingerprint), corpus.QUARANTINE).read("rows").to_pylist()
    assert [(row["row"], row["reason"]) for row in bad] == [(ROWS, "no vector")]
    vectors = take_embeddings.execute(env, ref, normalize=False)
    np.testing.assert_array_equal(dense_from_arrow(open_vectors(env.store, vectors).read("vectors")), VECTORS)
    unit = dense_from_arrow(open_vectors(env.store, take_embeddings.execute(env, ref, normalize=True)).read("vectors"))
    np.testing.assert_allclose(unit, VECTORS / np.linalg.norm(VECTORS, axis=1)[:, None], rtol=1e-6)


def test_images_are_stored_by_their_own_columns(env: Environment, tmp_path: Path) -> None:
    source = ImageFiles(str(tree(tmp_path)), SHAPE)
    ref = import_images.execute(env, source, params=PARAMS)
    rows = env.store.open(ref, metric.IMAGES).read("images")
    assert rows.column_names == ["id", "label", "pixels"]
    assert rows["pixels"].to_pylist() == source.read().accepted["pixels"].to_pylist()
    assert env.store.manifest(ref).quality["images"] == rows.num_rows
    assert texts_of(rows, "package") == rows["label"].to_pylist()
    assert texts_of(rows, "kind") == [""] * rows.num_rows
    vectors = open_vectors(env.store, take_embeddings.execute(env, ref, normalize=False))
    assert vectors.contract is metric.VECTORS
    assert dense_from_arrow(vectors.read("vectors")).shape == (rows.num_rows, np.prod(SHAPE.array))


def test_too_many_bad_rows_are_refused(env: Environment, embeddings: EmbeddingFile) -> None:
    with pytest.raises(QuarantineLimitError, match=r"found 1 bad of 61 \(1 no vector\).*corpus\.quarantine"):
        import_embeddings.execute(env, embeddings, params=ImportParams(quarantine_share=0.0))


def test_what_is_made_of_embeddings_is_what_was_made_of_them_as_documents(
    env: Environment, embeddings: EmbeddingFile
) -> None:
    """So that the fingerprint, which names the former contract, may be the same."""
    new = import_embeddings.execute(env, embeddings, params=PARAMS)
    old = as_documents(env.store)
    vectors = take_embeddings.execute(env, new, normalize=False)
    made = []
    for documents in (new, old):
        ref = arrange_classes.execute(
            env,
            vectors,
            documents,
            measure="cosine",
            bins=64,
            memory_mb=8,
            classes=ClassParams(group="kind"),
            rows_per_shard=4096,
        )
        made.append([(entry.table, entry.sha256) for entry in env.store.manifest(ref).files])
    assert made[0] == made[1]
    assert [table for table, _ in made[0]] == ["bins", "groups", "names", "order", "rows"]


def test_rows_whose_input_is_gone_come_back_without_a_suppressed_one(
    env: Environment, embeddings: EmbeddingFile
) -> None:
    new = import_embeddings.execute(env, embeddings, params=PARAMS)
    wanted = Suppressed.of(["face 3"], b"salt")
    expected = [f"face {row}" for row in range(ROWS) if row != 3]
    batch = StoredLabelled(env.store, new, wanted).read()
    assert batch.accepted["id"].to_pylist() == expected
    assert batch.reasons == {"no vector": 1}
    again = import_embeddings.execute(env, StoredLabelled(env.store, new, wanted), params=PARAMS)
    assert again != new
    assert read_labelled(env.store, again).equals(read_labelled(env.store, new).filter(pa.array(np.arange(ROWS) != 3)))


def test_changes_of_embeddings_and_of_their_vectors_are_named(
    env: Environment, embeddings: EmbeddingFile, tmp_path: Path
) -> None:
    first = import_embeddings.execute(env, embeddings, params=PARAMS)
    rows = pq.read_table(embeddings.path).slice(1, ROWS - 1).to_pylist()
    rows[0] |= {"label": "person 9", "vector": [1.0, 0.0, 0.0, 0.0]}
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "later.parquet")
    later = import_embeddings.execute(env, EmbeddingFile(str(tmp_path / "later.parquet")), params=PARAMS)
    (change,) = data_changes(env.store, first, later)
    assert change.figures | {"changed label": 1, "changed vector": 1} == change.figures
    assert (change.figures["before"], change.figures["removed"], change.figures["changed"]) == (ROWS, 1, 1)
    vectors = [take_embeddings.execute(env, ref, normalize=False) for ref in (first, later)]
    (moved,) = data_changes(env.store, *vectors)
    assert (moved.figures["documents in both"], moved.figures["vectors that moved"]) == (ROWS - 1, 1)
    (other,) = data_changes(env.store, as_documents(env.store), later)
    assert re.search(r"corpus\.documents .*metric\.embeddings", other.note)


def test_only_labelled_rows_are_opened_as_such(env: Environment) -> None:
    vectors = committed(env.store, metric.RETRIEVAL, {})
    with pytest.raises(ForeignArtifactError, match=r"metric\.embeddings version 1 to 1 or metric\.images"):
        open_labelled(env.store, vectors)
