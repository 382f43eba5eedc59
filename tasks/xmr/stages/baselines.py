"""The stages that fit the baselines of a ranker, and the one that compares all on the same test queries."""

import re
import time
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.schemas import corpus
from fingerpost.schemas import xmr as contracts
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.matrices import (
    figures_to_arrow,
    tensors_from_arrow,
    tensors_from_bytes,
    tensors_to_arrow,
    tensors_to_bytes,
)
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.corpus.bm25 import Bm25Params
from fingerpost.tasks.corpus.open import read_features
from fingerpost.tasks.corpus.svd import SvdParams, factorize, project, projection
from fingerpost.tasks.corpus.tfidf import Featurizer
from fingerpost.tasks.corpus.vocabulary import FamilyVocabulary, Vocabulary
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun
from fingerpost.tasks.xmr.baselines import Bm25Labels, DenseLabels, DenseParams, featurizer_of
from fingerpost.tasks.xmr.evaluation import Candidate, Evaluation, FeaturizedTexts, JudgeParams, evaluate_all
from fingerpost.tasks.xmr.frequent import FrequentLabels
from fingerpost.tasks.xmr.interactions import (
    TEST,
    TRAINING,
    RowParams,
    TrainingRows,
    label_text,
    query_text,
    training_rows,
)
from fingerpost.tasks.xmr.label_features import embed_labels
from fingerpost.tasks.xmr.open import LiveRanker, read_targets
from fingerpost.tasks.xmr.towers import TOWER_NGRAMS, TOWER_TFIDF, TowerParams, Towers, TowerTraining
from fingerpost.tasks.xmr.two_tower import train_towers as fit_towers

#: Minimum seconds between two checkpoints of a training.
CHECKPOINT_SECONDS = 30.0
#: Roles of the trees and weights of an ensemble's members; those of the first have no number.
_OF_MEMBERS = re.compile(r"(tree|model|pruned)(_\d+)?")
_FAMILIES = len(TOWER_NGRAMS.families)


@stage(contracts.DENSE_LABELS, observes=True)
def fit_dense_labels(run: StageRun, interactions: Ref, features: Ref, *, params: SvdParams, rows: RowParams) -> None:
    """Embeds labels by an SVD of the training rows: from label texts, and as the mean of their rows."""
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
    """Trains the two-tower network on hashed n-grams; a rerun after a kill resumes from the newest checkpoint.

    With a time limit, the result depends on the machine.
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
    """Trains the network, from the newest checkpoint if there is one; saves checkpoints.

    Raises FingerpostError where torch is not installed.
    """
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
            "two-tower network: expected torch, found none; install the extra neural, or disable the network"
        ) from problem


def _tower_arrays(towers: Towers, vocabulary: Vocabulary) -> dict[str, NDArray[np.generic]]:
    """Named arrays of the network and of the vocabulary of its features."""
    frequencies = {f"frequencies_{i}": family.frequencies for i, family in enumerate(vocabulary.families)}
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

    Every candidate is queried with texts, so that latencies include featurization. ``seconds`` are those of the stages
    that trained a candidate.
    """
    store = run.store
    queries, labels = _texts(store, interactions, TEST, label_words)
    trained = _chosen(store, interactions, TRAINING)
    counts = np.bincount(trained.indices, minlength=len(labels)).astype(np.int64)
    test = Evaluation(queries, _chosen(store, interactions, TEST), counts, trained.shape[0])
    release = LiveRanker(store, ranker, measured=True)
    candidates = [_ours(release), _frequent(counts), _bm25(labels, bm25)]
    candidates += _dense(store, dense_labels, release.featurizer, dense)
    candidates += [_network(store, ref, dense) for ref in towers]
    cards = evaluate_all(candidates, test, params, clock=time.perf_counter)
    run.write("figures", figures_to_arrow([figure for card in cards for figure in card.figures()]))
    recalls = {card.name: card.metrics["recall_at_10"] for card in cards if "recall_at_10" in card.metrics}
    run.quality = {"queries": len(queries), "labels": len(labels)}
    run.quality |= {f"{name}_recall_at_10": round(recall, 6) for name, recall in recalls.items()}
    run.measured = {card.name: card.measured() for card in cards}


def _ours(release: LiveRanker) -> Candidate[list[str]]:
    """The release; its seconds are those of label features, trees and weights."""
    roles = ["label_features", *(role for role in release.members if _OF_MEMBERS.fullmatch(role))]
    seconds = sum(_seconds(release.store, release.members[role]) for role in roles)
    answers = FeaturizedTexts(release.featurizer, release.ranker)
    return Candidate("ranker", answers, seconds, int(release.manifest.quality["bytes"]))


def _frequent(counts: NDArray[np.int64]) -> Candidate[list[str]]:
    """The most frequent labels, for every query."""
    labels = FrequentLabels(counts)
    return Candidate("frequent", labels, 0.0, labels.nbytes)


def _bm25(labels: list[str], params: Bm25Params) -> Candidate[list[str]]:
    """BM25 over the texts of the labels."""
    started = time.perf_counter()
    index = Bm25Labels(labels, params)
    return Candidate("bm25", index, time.perf_counter() - started, index.nbytes)


def _dense(store: Store, ref: Ref, featurizer: Featurizer, params: DenseParams) -> list[Candidate[list[str]]]:
    """Dense retrieval by label texts and by rows; seconds are those of the stage and of building the graph."""
    arrays = tensors_from_arrow(store.open(ref, contracts.DENSE_LABELS).read("dense"))
    candidates: list[Candidate[list[str]]] = []
    for name in ("of_text", "of_rows"):
        started = time.perf_counter()
        index = DenseLabels(arrays["components"], arrays[name], params)
        seconds = _seconds(store, ref) + time.perf_counter() - started
        candidates.append(Candidate(f"dense_{name}", FeaturizedTexts(featurizer, index), seconds, index.nbytes))
    return candidates


def _network(store: Store, ref: Ref, params: DenseParams) -> Candidate[list[str]]:
    """The two-tower network with a graph over its labels."""
    arrays = tensors_from_arrow(store.open(ref, contracts.TOWERS).read("towers"))
    families = tuple(FamilyVocabulary(None, arrays[f"frequencies_{i}"]) for i in range(_FAMILIES))
    featurizer = Featurizer(Vocabulary(int(arrays["documents"][0]), families), TOWER_NGRAMS, TOWER_TFIDF)
    started = time.perf_counter()
    index = DenseLabels(arrays["components"], arrays["vectors"], params)
    seconds = _seconds(store, ref) + time.perf_counter() - started
    return Candidate("two_tower", FeaturizedTexts(featurizer, index), seconds, index.nbytes)


def _texts(store: Store, interactions: Ref, part: str, label_words: int) -> tuple[list[str], list[str]]:
    """The queries of a split, and the label texts, each truncated to ``label_words`` words."""
    artifact = store.open(interactions, contracts.INTERACTIONS)
    queries = artifact.read("queries")["text"].take(_rows(store, interactions, part)).to_pylist()
    labels = artifact.read("labels").to_pylist()
    words = [label_text(label["id"], label["name"], label["text"]).split()[:label_words] for label in labels]
    return [query_text(text) for text in queries], [" ".join(first_words) for first_words in words]


def _chosen(store: Store, interactions: Ref, part: str) -> sparse.csr_array:
    """Chosen labels of the queries of a split, CSR (queries, labels)."""
    return read_targets(store.open(interactions, contracts.INTERACTIONS))[_rows(store, interactions, part)]


def _rows(store: Store, interactions: Ref, part: str) -> NDArray[np.int64]:
    queries = store.open(interactions, contracts.INTERACTIONS).read("queries")
    return np.flatnonzero(queries["split"].to_numpy(zero_copy_only=False).astype(str) == part)


def _seconds(store: Store, ref: Ref) -> float:
    return float(store.manifest(ref).run.get("seconds", 0.0))
