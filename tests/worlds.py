"""Small worlds for tests: artifacts of one toy contract, documents about a few topics, and the whole pipeline over them."""

import csv
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fingerpost.schemas import fields as f
from fingerpost.schemas.contract import Contract, Table
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.matrices import tensor_table, tensors_to_arrow
from fingerpost.schemas.publish import Gate, Pointer, Publication, products
from fingerpost.schemas.refs import Ref, digest_of
from fingerpost.schemas.store import Store

DAY = "2026-01-02"
THINGS = Contract("test.things", 2, (Table("things", (f.ID, f.TEXT), key=("id",)), tensor_table("tensors")), "toys")
GATE = Gate("recall_at_10", 0.97, 0.95)

#: The kinds of store that store tests run on.
STORES = ("local", "memory")


def store_url(kind: str, folder: Path) -> str:
    """The URL of a fresh store of a kind."""
    return str(folder / "store") if kind == "local" else f"memory://store-{uuid.uuid4().hex}"


@contextmanager
def fresh_store(kind: str, folder: Path) -> Iterator[Store]:
    """A prepared store of a kind, removed at the end."""
    opened = Store(store_url(kind, folder)).prepare()
    yield opened
    opened.files.fs.rm(opened.files.root, recursive=True)


def things_ref(seed: int, *, day: str = DAY, name: str = THINGS.name) -> Ref:
    """A reference of its own for every seed."""
    return Ref(name, day, digest_of([name, seed])[:32])


def write_things(store: Store, ref: Ref, *, seed: int, shards: int = 2, inputs: tuple[Ref, ...] = ()) -> Manifest:
    """Writes the files of an artifact whose content depends on the seed, without committing it."""
    entries = []
    for shard in range(shards):
        keys = [f"{seed}-{shard}-{row}" for row in range(5)]
        table = pa.table({"id": keys, "text": [f"text of {key}" for key in keys]})
        entries.append(store.write_table(ref, THINGS, "things", table, shard=shard))
    tensors = tensors_to_arrow({"numbers": np.arange(seed, seed + 8)})
    entries.append(store.write_table(ref, THINGS, "tensors", tensors))
    identity = {
        "contract": {"name": THINGS.name, "version": THINGS.version},
        "schema": THINGS.schema(),
        "rows": {"things": 5 * shards, "tensors": 1},
        "quality": {"things": 5 * shards, "share": 0.25},
        "parameters": {"seed": seed},
        "inputs": {f"in_{i}": {"ref": str(given)} for i, given in enumerate(inputs)},
        "input_identities": {},
        "code": "0" * 32,
        "files": [vars(entry) for entry in entries],
    }
    return Manifest(identity, {"host": "test", "seconds": 1.5})


def commit_things(store: Store, ref: Ref, *, seed: int, shards: int = 2, inputs: tuple[Ref, ...] = ()) -> Manifest:
    """Writes and commits such an artifact; the manifest that counts."""
    return store.commit(ref, write_things(store, ref, seed=seed, shards=shards, inputs=inputs))


def publish_things(store: Store, seed: int, *, collection: str = "toys") -> Publication:
    """Commits an artifact with an input of its own and makes it live."""
    given = things_ref(1000 + seed)
    commit_things(store, given, seed=1000 + seed, shards=1)
    commit_things(store, things_ref(seed), seed=seed, inputs=(given,))
    return Pointer(store, collection, THINGS.name).promote(things_ref(seed), gates=[GATE])


def read_everything(store: Store, ref: Ref) -> dict[str, pa.Table]:
    """Every table of an artifact, read through the door."""
    artifact = store.checked().open(ref, THINGS)
    return {table.name: artifact.read(table.name) for table in THINGS.tables}


def commit_at_once(url: str, rounds: int, seed: int, start: float) -> list[str]:
    """In a process of its own: commits one fingerprint a round, beginning when others do; the digests that counted."""
    store, digests = Store(url).prepare(), []
    for number in range(rounds):
        ref = things_ref(number)
        manifest = write_things(store, ref, seed=seed)
        time.sleep(max(0.0, start + 0.1 * number - time.time()))
        digests.append(store.commit(ref, manifest).digest)
    return digests


def promote_at_once(url: str, rounds: int, seed: int, start: float) -> list[str]:
    """In a process of its own: promotes its own artifact once a round; "won N", "lost N" or "shared N" by generation."""
    from fingerpost.schemas.errors import PublicationConflictError

    store, outcomes = Store(url), []
    pointer = Pointer(store, "toys", THINGS.name)
    for number in range(rounds):
        ref = things_ref(100 * seed + number)
        commit_things(store, ref, seed=100 * seed + number, shards=1)
        time.sleep(max(0.0, start + 0.1 * number - time.time()))
        live = pointer.live()
        after = live.generation if live else 0
        try:
            move = pointer.promote(ref, gates=[GATE], after=after, reason=f"process {seed}")
            outcomes.append(f"won {move.generation} {ref}")
        except PublicationConflictError as problem:
            outcomes.append(f"lost {after + 1} {problem}")
    return outcomes


_TOPICS = {
    "sorting": "sort order array stable merge quick heap key ascending descending compare swap partition pivot",
    "graphs": "graph node edge path shortest weight tree cycle flow cut colour degree component bridge",
    "tables": "frame column row join group index merge pivot label series missing value read csv",
    "linear": "matrix vector inverse solve eigen singular rank norm product trace determinant basis factor",
    "text": "string token word pattern match replace split lower upper encode unicode search prefix suffix",
    "time": "date day hour zone calendar interval clock offset period month year parse format leap",
}


def texts(rows: int, seed: int) -> Iterator[dict[str, str]]:
    """Documents (id, title, text, kind) of a few words each, every one about one topic."""
    rng = np.random.default_rng(seed)
    topics = [(name, np.array(words.split())) for name, words in _TOPICS.items()]
    for row in range(rows):
        topic, words = topics[int(rng.integers(len(topics)))]
        first = " ".join(rng.choice(words, 6))
        body = " ".join(rng.choice(words, 4))
        yield {
            "id": f"{topic}-{row}",
            "title": f"{topic}.{words[row % len(words)]}_{row % 97}",
            "text": f"{first}.\n\n{body}.",
            "kind": topic,
        }


def write_documents(folder: Path, rows: int, seed: int) -> Path:
    """The documents as a CSV file."""
    path = folder / f"documents-{rows}-{seed}.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "title", "text", "kind"])
        writer.writeheader()
        writer.writerows(texts(rows, seed))
    return path


@dataclass(frozen=True)
class FixedSource:
    """A source whose content is said to be what its digest says."""

    digest: str

    def identity(self) -> str:
        """The digest."""
        return self.digest


def run_pipeline(env: Any, documents: Path, *, rows_per_shard: int = 4096) -> Publication:
    """Both domains' stages over a file of documents, small and without Prefect, to a live index."""
    index = build_index(env, documents, rows_per_shard=rows_per_shard)
    recall = float(env.store.manifest(index).quality["recall_at_10"])
    return Pointer(env.store, env.collection, "ann.index").promote(index, gates=[Gate("recall_at_10", recall, 0.3)])


def build_index(
    env: Any,
    documents: Path,
    *,
    rows_per_shard: int = 4096,
    rank: int = 8,
    language: str = "english",
    max_neighbors: int = 6,
    ef_construction: int = 16,
    choose: bool = False,
    **answers: Any,
) -> Ref:
    """The same to an index that is not published.

    choose: whether questions decide how texts are answered, else it is by words and vectors, with ``answers`` as given.
    """
    from fingerpost.schemas.inputs.sources import FileSource
    from fingerpost.tasks.ann.codes import CodeParams
    from fingerpost.tasks.ann.edge_codes import EdgeCodeParams
    from fingerpost.tasks.ann.evaluation import EvaluationParams
    from fingerpost.tasks.ann.fusion import AnswerParams
    from fingerpost.tasks.ann.hnsw import HnswParams
    from fingerpost.tasks.ann.neighbors import NeighborParams
    from fingerpost.tasks.ann.retrieval import RetrievalParams
    from fingerpost.tasks.ann.search_plan import SearchPlan
    from fingerpost.tasks.ann.search_tuning import CertificateParams
    from fingerpost.tasks.ann.stages import certificate, finger, search
    from fingerpost.tasks.ann.stages import index as ann
    from fingerpost.tasks.ann.stages.texts import pack_texts
    from fingerpost.tasks.ann.tuning import TuningParams
    from fingerpost.tasks.corpus.analyzer import AnalyzerParams
    from fingerpost.tasks.corpus.documents import ImportParams
    from fingerpost.tasks.corpus.field_weights import FieldWeightParams
    from fingerpost.tasks.corpus.known_items import KnownItemParams
    from fingerpost.tasks.corpus.stages import features, terms
    from fingerpost.tasks.corpus.stages.documents import import_documents
    from fingerpost.tasks.corpus.stemming import stemmer_version
    from fingerpost.tasks.corpus.svd import SvdParams
    from fingerpost.tasks.corpus.term_weights import TermWeightParams

    hnsw, metric = HnswParams(max_neighbors=max_neighbors, ef_construction=ef_construction), "cosine"
    made: dict[str, Ref] = {}

    def parts() -> dict[str, Any]:
        """What the stages take that answer texts: all artifacts so far."""
        return {"roles": tuple(made), "metric": metric}

    made["documents"] = import_documents.execute(env, FileSource(str(documents)), params=ImportParams(rows_per_shard))
    made["analyzer"] = terms.choose_analyzer.execute(
        env, made["documents"], params=AnalyzerParams(language), stemmer=stemmer_version()
    )
    made["term_counts"] = counts = terms.count_terms.execute(env, made["documents"], made["analyzer"])
    made["lexicon"] = lexicon = terms.merge_lexicon.execute(env, counts, made["analyzer"])
    made["field_weights"] = weights = terms.choose_field_weights.execute(
        env, made["documents"], made["analyzer"], counts, lexicon, params=FieldWeightParams()
    )
    made["postings"] = terms.build_postings.execute(env, counts, lexicon, weights)
    made["features"] = terms.weigh_documents.execute(env, counts, lexicon, weights, params=TermWeightParams())
    made["projection"] = features.fit_projection.execute(
        env, made["features"], params=SvdParams(rank=rank, passes=4, whitening=0.0)
    )
    made["vectors"] = vectors = features.embed_documents.execute(env, made["features"], made["projection"])
    made["graph"] = graph = ann.build_graph.execute(env, vectors, params=hnsw)
    made["finger_codes"] = coded = finger.fit_finger.execute(
        env, vectors, graph, metric=metric, params=EdgeCodeParams(nodes=500, rank=4)
    )
    made["finger_blocks"] = blocks = finger.compute_finger_tables.execute(
        env, vectors, graph, coded, metric=metric, rows_per_shard=rows_per_shard
    )
    made["codes"] = certificate.fit_vector_codes.execute(env, vectors, metric=metric, params=CodeParams(), seed=0)
    certified = CertificateParams(queries=40, repeats=1, plan=SearchPlan("fast", "bits4"))
    searched: dict[str, Any] = {"roles": ("codes",), "metric": metric}
    made["speeds"] = certificate.measure_searches.execute(
        env, vectors, graph, made["codes"], params=certified, **searched
    )
    made["certificate"] = certificate.certify_search.execute(
        env, vectors, graph, made["speeds"], made["codes"], params=certified, **searched
    )
    made["packed"] = certificate.pack_index.execute(
        env, made["documents"], vectors, graph, made["certificate"], made["codes"], **searched
    )
    made["neighbors"] = ann.find_neighbors.execute(
        env, vectors, made["packed"], params=NeighborParams(k=3, ef=10, rows_per_shard=rows_per_shard)
    )
    made["evaluation"] = ann.evaluate_index.execute(
        env, vectors, graph, coded, blocks, metric=metric, params=EvaluationParams(queries=40, ef=(20,), repeats=1)
    )
    made["tuning"] = search.tune_search.execute(
        env, *made.values(), params=TuningParams(AnswerParams(**answers), choose=choose), **parts()
    )
    made["retrieval"] = search.evaluate_retrieval.execute(
        env,
        *made.values(),
        hnsw=hnsw,
        params=RetrievalParams(
            items=KnownItemParams(queries=5), bm25_k1=(1.2,), bm25_b=(0.75,), samples=("sort order",), timed=2
        ),
        **parts(),
    )
    texts = ("lexicon", "postings", "features", "projection", "neighbors")
    made["packed_texts"] = pack_texts.execute(env, *(made[role] for role in texts), roles=texts, metric=metric)
    roles = tuple(sorted(made))
    return ann.assemble_index.execute(env, *(made[role] for role in roles), roles=roles)


def identities(store: Store) -> dict[str, str]:
    """The digest of the identity of every committed artifact, and of what is live."""
    found = {str(ref): store.manifest(ref).digest for ref in store.refs()}
    for collection, product in products(store):
        live = Pointer(store, collection, product).required()
        found[f"live {collection}/{product}"] = f"{live.ref} {live.identity}"
    return found
