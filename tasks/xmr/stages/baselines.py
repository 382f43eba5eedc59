"""The stages of the ranker's baselines, and the one that compares all of them on the same test queries."""

import re
import time
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from schemas import corpus
from schemas import xmr as contracts
from schemas.errors import FingerpostError
from schemas.matrices import (
    figures_to_arrow,
    tensors_from_arrow,
    tensors_from_bytes,
    tensors_to_arrow,
    tensors_to_bytes,
)
from schemas.refs import Ref
from schemas.store import Store
from tasks.corpus.bm25 import Bm25Params
from tasks.corpus.open import read_features
from tasks.corpus.svd import SvdParams, factorize, project, projection
from tasks.corpus.tfidf import Featurizer
from tasks.corpus.vocabulary import FamilyVocabulary, Vocabulary
from tasks.stage import stage
from tasks.stage_run import StageRun
from tasks.xmr.baselines import Bm25Labels, DenseLabels, DenseParams, FrequentLabels, featurizer_of
from tasks.xmr.evaluation import Contender, Examination, FeaturizedTexts, JudgeParams, judge_all
from tasks.xmr.interactions import (
    TEST,
    TRAINING,
    RowParams,
    TrainingRows,
    label_text,
    query_text,
    training_rows,
)
from tasks.xmr.label_features import embed_labels
from tasks.xmr.open import LiveRanker, read_targets
from tasks.xmr.towers import TOWER_NGRAMS, TOWER_TFIDF, TowerParams, Towers, TowerTraining
from tasks.xmr.two_tower import train_towers as fit_towers

#: A training that takes longer saves its state this often (seconds), and so loses no more than that to a kill.
CHECKPOINT_SECONDS = 30.0
#: The roles of what an ensemble's members are made of; the first member's have no number.
_OF_MEMBERS = re.compile(r"(tree|model|pruned)(_\d+)?")
_FAMILIES = len(TOWER_NGRAMS.families)


@stage(contracts.DENSE_LABELS, observes=True)
def fit_dense_labels(run: StageRun, interactions: Ref, features: Ref, *, params: SvdParams, rows: RowParams) -> None:
    """Embeds labels by the SVD of the training rows: from their own texts, and as the mean of their rows."""
    targets = _chosen(run.store, interactions, TRAINING)
    data = training_rows(read_features(run.store.open(features, corpus.FEATURES)), targets, rows)
    model = factorize([data.features], params, energy=data.features.shape[0])
    components = projection(model, whitening=params.whitening)
    of_text = project(data.label_features, components)
    of_rows = project(embed_labels(data.features, data.targets), components)
    run.write("dense", tensors_to_arrow({"components": components, "of_text": of_text, "of_rows": of_rows}))
    named, seen = (int((np.abs(vectors).max(axis=1, initial=0) > 0).sum()) for vectors in (of_text, of_rows))
    run.quality = {"labels": len(of_text), "named": named, "seen": seen, "dimensions": components.shape[1]}


@stage(contracts.TOWERS, observes=True)
def train_towers(run: StageRun, interactions: Ref, *, label_words: int, params: TowerParams, rows: RowParams) -> None:
    """Trains the two-tower network on hashed n-grams; taken up again after a kill. With a limit of seconds the result
    depends on the machine.
    """
    queries, labels = _texts(run.store, interactions, TRAINING, label_words)
    featurizer = featurizer_of(queries + labels, TOWER_NGRAMS, TOWER_TFIDF)
    chosen = _chosen(run.store, interactions, TRAINING)
    data = training_rows(featurizer.transform(queries + labels), chosen, rows)
    training = _fitted(run, data, params)
    run.write("towers", tensors_to_arrow(_tower_arrays(training.towers, featurizer.vocabulary)))
    run.quality = {
        "labels": len(training.towers.vectors),
        "dimensions": training.towers.vectors.shape[1],
        "rows": data.features.shape[0],
        "epochs": len(training.recalls),
        "best_epoch": training.best + 1,
        "steps": training.steps,
        "validation_recall_at_10": round(training.recalls[training.best], 6),
        "out_of_time": training.out_of_time,
    }


def _fitted(run: StageRun, data: TrainingRows, params: TowerParams) -> TowerTraining:
    """The network trained, from the newest checkpoint if there is one; saves its state from time to time."""
    saved = run.workspace.newest_checkpoint()
    run.begin(params.epochs)
    last = time.monotonic()

    def save(epoch: int, state: Mapping[str, NDArray[np.generic]]) -> None:
        nonlocal last
        run.advance(epoch)
        if time.monotonic() - last >= CHECKPOINT_SECONDS:
            run.workspace.save_checkpoint(epoch, tensors_to_bytes(state))
            last = time.monotonic()

    try:
        return fit_towers(
            data.features,
            data.label_features,
            data.targets,
            params,
            state=tensors_from_bytes(saved[1]) if saved else None,
            save=save,
            clock=time.monotonic,
        )
    except ModuleNotFoundError as problem:
        if problem.name != "torch":
            raise
        raise FingerpostError(
            "two-tower network: expected torch, found none; install the extra neural, or leave the network out"
        ) from problem


def _tower_arrays(towers: Towers, vocabulary: Vocabulary) -> dict[str, NDArray[np.generic]]:
    """The network, and the vocabulary of its features, as named arrays."""
    frequencies = {f"frequencies_{place}": family.frequencies for place, family in enumerate(vocabulary.families)}
    documents = np.array([vocabulary.documents], dtype=np.int64)
    return {"components": towers.components, "vectors": towers.vectors, "documents": documents, **frequencies}


@stage(contracts.COMPARISON, observes=True)
def compare_rankers(
    run: StageRun,
    interactions: Ref,
    ranker: Ref,
    dense_labels: Ref,
    *towers: Ref,
    label_words: int,
    bm25: Bm25Params,
    dense: DenseParams,
    params: JudgeParams,
) -> None:
    """Compares a ranker's release with frequent labels, BM25, dense retrieval and the network, if any, on test queries.

    Every contender gets texts, so that the time of a single query includes that of its features. ``seconds`` are those
    of the stages that made what a contender answers from.
    """
    store = run.store
    queries, labels = _texts(store, interactions, TEST, label_words)
    trained = _chosen(store, interactions, TRAINING)
    counts = np.bincount(trained.indices, minlength=len(labels)).astype(np.int64)
    test = Examination(queries, _chosen(store, interactions, TEST), counts, trained.shape[0])
    release = LiveRanker(store, ranker)
    contenders = [_ours(release), _frequent(counts), _bm25(labels, bm25)]
    contenders += _dense(store, dense_labels, release.featurizer, dense)
    contenders += [_network(store, ref, dense) for ref in towers]
    cards = judge_all(contenders, test, params, clock=time.perf_counter)
    run.write("figures", figures_to_arrow([figure for card in cards for figure in card.figures()]))
    recalls = {card.name: card.metrics["recall_at_10"] for card in cards if "recall_at_10" in card.metrics}
    run.quality = {"queries": len(queries), "labels": len(labels)}
    run.quality |= {f"{name}_recall_at_10": round(recall, 6) for name, recall in recalls.items()}
    run.measured = {card.name: card.measured() for card in cards}


def _ours(release: LiveRanker) -> Contender[list[str]]:
    """The release; its seconds are those of its label features, trees and weights."""
    roles = ["label_features", *(role for role in release.members if _OF_MEMBERS.fullmatch(role))]
    seconds = sum(_seconds(release.store, release.members[role]) for role in roles)
    answers = FeaturizedTexts(release.featurizer, release.ranker)
    return Contender("ranker", answers, seconds, int(release.manifest.quality["bytes"]))


def _frequent(counts: NDArray[np.int64]) -> Contender[list[str]]:
    """The most frequent labels, whatever the query."""
    labels = FrequentLabels(counts)
    return Contender("frequent", labels, 0.0, labels.nbytes)


def _bm25(labels: list[str], params: Bm25Params) -> Contender[list[str]]:
    """BM25 over the texts of the labels."""
    started = time.perf_counter()
    index = Bm25Labels(labels, params)
    return Contender("bm25", index, time.perf_counter() - started, index.nbytes)


def _dense(store: Store, ref: Ref, featurizer: Featurizer, params: DenseParams) -> list[Contender[list[str]]]:
    """Dense retrieval by label texts and by rows; its seconds are those of its stage and of its graph."""
    arrays = tensors_from_arrow(store.open(ref, contracts.DENSE_LABELS).read("dense"))
    found: list[Contender[list[str]]] = []
    for name in ("of_text", "of_rows"):
        started = time.perf_counter()
        index = DenseLabels(arrays["components"], arrays[name], params)
        seconds = _seconds(store, ref) + time.perf_counter() - started
        found.append(Contender(f"dense_{name}", FeaturizedTexts(featurizer, index), seconds, index.nbytes))
    return found


def _network(store: Store, ref: Ref, params: DenseParams) -> Contender[list[str]]:
    """The two-tower network over its graph of labels."""
    arrays = tensors_from_arrow(store.open(ref, contracts.TOWERS).read("towers"))
    families = tuple(FamilyVocabulary(None, arrays[f"frequencies_{place}"]) for place in range(_FAMILIES))
    featurizer = Featurizer(Vocabulary(int(arrays["documents"][0]), families), TOWER_NGRAMS, TOWER_TFIDF)
    started = time.perf_counter()
    index = DenseLabels(arrays["components"], arrays["vectors"], params)
    seconds = _seconds(store, ref) + time.perf_counter() - started
    return Contender("two_tower", FeaturizedTexts(featurizer, index), seconds, index.nbytes)


def _texts(store: Store, interactions: Ref, part: str, label_words: int) -> tuple[list[str], list[str]]:
    """The queries of a part, and what each label says about itself in its first words."""
    artifact = store.open(interactions, contracts.INTERACTIONS)
    queries = artifact.read("queries")["text"].take(_rows(store, interactions, part)).to_pylist()
    labels = artifact.read("labels").to_pylist()
    told = [label_text(one["id"], one["name"], one["text"]).split()[:label_words] for one in labels]
    return [query_text(text) for text in queries], [" ".join(words) for words in told]


def _chosen(store: Store, interactions: Ref, part: str) -> sparse.csr_array:
    """What was chosen for the queries of a part, CSR (queries, labels)."""
    return read_targets(store.open(interactions, contracts.INTERACTIONS))[_rows(store, interactions, part)]


def _rows(store: Store, interactions: Ref, part: str) -> NDArray[np.int64]:
    queries = store.open(interactions, contracts.INTERACTIONS).read("queries")
    return np.flatnonzero(queries["split"].to_numpy(zero_copy_only=False).astype(str) == part)


def _seconds(store: Store, ref: Ref) -> float:
    return float(store.manifest(ref).run.get("seconds", 0.0))
