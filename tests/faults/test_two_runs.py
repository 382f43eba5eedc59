"""Two runs of one stage at once: the one behind takes up what the other is ahead with, or what it has committed."""

from pathlib import Path

import pytest

from fingerpost.schemas.errors import CorruptArtifactError
from fingerpost.schemas.inputs.sources import FileSource
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.schemas.workspace import Workspace
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.corpus.ngrams import FamilyParams, NgramParams
from fingerpost.tasks.corpus.stages import features as corpus
from fingerpost.tasks.corpus.stages.documents import import_documents
from fingerpost.tasks.corpus.svd import SvdParams
from fingerpost.tasks.corpus.weighed_rows import TfidfParams
from fingerpost.tasks.environment import Environment
from tests.worlds import DAY, write_documents

PASSES = 4
SAVE = Workspace.save_checkpoint


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    return write_documents(tmp_path, 300, 3)


def features_in(env: Environment, documents: Path) -> Ref:
    params = NgramParams((FamilyParams("word", 1, 1, max_terms=60),))
    rows = import_documents.execute(env, FileSource(str(documents)), params=ImportParams())
    ngrams = corpus.count_ngrams.execute(env, rows, params=params)
    vocabulary = corpus.merge_vocabulary.execute(env, ngrams, params=params)
    return corpus.weigh_terms.execute(env, ngrams, vocabulary, params=TfidfParams(family_weights=(1.0,)))


def fitted(env: Environment, features: Ref) -> str:
    ref = corpus.fit_projection.execute(env, features, params=SvdParams(rank=5, passes=PASSES))
    return env.store.manifest(ref).digest


def test_the_run_behind_goes_on_from_the_checkpoint_of_the_run_ahead(
    documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: dict[int, bytes] = {}

    def note(workspace: Workspace, position: int, content: bytes) -> None:
        saved[position] = content
        SAVE(workspace, position, content)

    env = Environment(Store(str(tmp_path / "alone")).prepare(), "toys", DAY)
    with monkeypatch.context() as patch:
        patch.setattr(Workspace, "save_checkpoint", note)
        expected = fitted(env, features_in(env, documents))
    assert sorted(saved) == list(range(PASSES))

    computed: list[int] = []

    def other_ahead(workspace: Workspace, position: int, content: bytes) -> None:
        computed.append(position)
        SAVE(workspace, position, content)
        if position == 1:
            for ahead in (2, 3):
                SAVE(workspace, ahead, saved[ahead])

    env = Environment(Store(str(tmp_path / "beside")).prepare(), "toys", DAY)
    features = features_in(env, documents)
    monkeypatch.setattr(Workspace, "save_checkpoint", other_ahead)
    assert fitted(env, features) == expected
    assert computed == [0, 1], "what the other run has saved is not computed again"


def test_a_block_that_is_lost_and_not_replaced_is_an_error(
    documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(workspace: Workspace, position: int, content: bytes) -> None:
        SAVE(workspace, position, content)
        if position == 2:
            workspace.clear()

    env = Environment(Store(str(tmp_path / "store")).prepare(), "toys", DAY)
    features = features_in(env, documents)
    with monkeypatch.context() as patch:
        patch.setattr(Workspace, "save_checkpoint", lose)
        with pytest.raises(
            CorruptArtifactError, match=r"working state of corpus.projection/day=.*: expected an intact checkpoint at 2"
        ):
            fitted(env, features)
    assert fitted(env, features)
