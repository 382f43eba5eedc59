"""The stages that choose how an index is searched, certify what it delivers, and put it into the form that is searched."""

import time
from collections.abc import Mapping
from dataclasses import asdict

import pyarrow as pa

from fingerpost.schemas import ann as contracts
from fingerpost.schemas import corpus
from fingerpost.schemas.chosen_settings import settings_to_arrow
from fingerpost.schemas.mapped_arrays import arrays_to_arrow
from fingerpost.schemas.matrices import figures_to_arrow, tensors_from_arrow, tensors_to_arrow
from fingerpost.schemas.packed_index import shown
from fingerpost.schemas.records import NUMBER, Each, checked
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Artifact, Store
from fingerpost.tasks.ann.certificate import certify
from fingerpost.tasks.ann.codes import CodeParams, Codes, fit_codes
from fingerpost.tasks.ann.edge_codes import EdgeCoder
from fingerpost.tasks.ann.open import kernel_metric, read_certificate, read_coder, read_graph
from fingerpost.tasks.ann.planned import HeldSearches, PlanOpener
from fingerpost.tasks.ann.search_plan import PLAIN
from fingerpost.tasks.ann.search_plan import Codes as Kind
from fingerpost.tasks.ann.search_tuning import CertificateParams, Speeds, Tried, choose, measure
from fingerpost.tasks.ann.unit_rows import coded_metric
from fingerpost.tasks.corpus.open import read_vectors
from fingerpost.tasks.shards import release_memory
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.CODES)
def fit_vector_codes(run: StageRun, vectors: Ref, *, metric: str, params: CodeParams, seed: int) -> None:
    """Fits the map from vectors to the short codes that candidates are found by."""
    rows = read_vectors(run.store.open(vectors, corpus.VECTORS))
    codes = fit_codes(rows, coded_metric(rows, kernel_metric(metric), unit=metric == "cosine"), params, seed=seed)
    run.write("codes", tensors_to_arrow(codes.arrays()))
    run.quality = {"bits": codes.bits, "bytes_per_code": codes.row_bytes, "positions": int((codes.step > 0).sum())}


@stage(contracts.SPEEDS)
def measure_searches(
    run: StageRun, vectors: Ref, graph: Ref, *parts: Ref, roles: tuple[str, ...], metric: str, params: CertificateParams
) -> None:
    """Measures recall, work and seconds of the ways to search an index, on documents that are held out of it."""
    held = _held(run, vectors, graph, dict(zip(roles, parts, strict=True)), metric, params)
    found = measure(
        held.opener,
        held.plans,
        held.choosing(),
        held.opener.vectors,
        held.opener.metric,
        params,
        clock=time.perf_counter,
    )
    run.write("figures", figures_to_arrow(found.figures))
    run.quality = {"plans": len(held.plans), "queries": len(held.held.choosing)}
    run.measured = {"seconds": found.seconds}


@stage(contracts.CERTIFICATE)
def certify_search(
    run: StageRun,
    vectors: Ref,
    graph: Ref,
    speeds: Ref,
    *parts: Ref,
    roles: tuple[str, ...],
    metric: str,
    params: CertificateParams,
) -> None:
    """Chooses how an index is searched, and certifies the recall of that on documents that are held out of it."""
    held = _held(run, vectors, graph, dict(zip(roles, parts, strict=True)), metric, params)
    measured = _speeds(run.store.open(speeds, contracts.SPEEDS))
    tried = choose(measured, held.plans, params, certifying=len(held.held.certifying))
    plan = next((one.plan for one in tried if one.chosen), PLAIN)
    opened = held.opener
    found = certify(
        opened(plan), plan, held.certifying(), opened.vectors, opened.metric, params, population=held.held.population
    )
    run.write("settings", settings_to_arrow(found.settings()))
    run.write("tried", _tried_table(tried))
    run.write("curve", pa.Table.from_pylist([asdict(point) for point in found.curve], _CURVE))
    run.quality, run.measured = found.quality, _rates(tried)


#: The columns of a certificate's curve.
_CURVE = pa.schema([(field.name, field.type) for field in contracts.CERTIFICATE.table("curve").fields])


def _opener(store: Store, vectors: Ref, graph: Ref, parts: Mapping[str, Ref], metric: str) -> PlanOpener:
    """What opens the indexes of plans, from artifacts; ``parts`` by role: codes, finger_codes."""
    codes: dict[Kind, Codes] = {}
    if "codes" in parts:
        fitted = Codes.from_arrays(tensors_from_arrow(store.open(parts["codes"], contracts.CODES).read("codes")))
        codes["bits8" if fitted.bits == 8 else "bits4"] = fitted
    coder: EdgeCoder | None = None
    if "finger_codes" in parts:
        coder, _ = read_coder(store.open(parts["finger_codes"], contracts.FINGER_CODES))
    rows = read_vectors(store.open(vectors, corpus.VECTORS))
    # Searches then use them where they lie.
    rows.setflags(write=False)
    adjacency = read_graph(store.open(graph, contracts.GRAPH))
    # What reading took would stay beside the indexes that are opened now.
    release_memory()
    return PlanOpener(rows, adjacency, kernel_metric(metric), codes, coder)


def _speeds(artifact: Artifact) -> Speeds:
    """What was measured of plans; CorruptArtifactError where the manifest lacks the seconds."""
    where = f"artifact {artifact.ref}, manifest.json, run"
    shape = {"measured": {"seconds": Each(Each(NUMBER))}}
    checked(artifact.manifest.run, shape, where=where, advice="rebuild the artifact with --force measure_searches")
    figures = artifact.read("figures").to_pylist()
    names = ("method", "setting", "metric", "value")
    return Speeds([tuple(row[name] for name in names) for row in figures], artifact.manifest.run["measured"]["seconds"])


def _held(
    run: StageRun, vectors: Ref, graph: Ref, parts: Mapping[str, Ref], metric: str, params: CertificateParams
) -> HeldSearches:
    return HeldSearches.of(_opener(run.store, vectors, graph, parts, metric), params, threads=run.threads)


def _tried_table(tried: list[Tried]) -> pa.Table:
    """The rows (plan, on, reason) of the plans that were tried."""
    return pa.table(
        {
            "plan": pa.array([one.plan.name for one in tried], pa.string()),
            "on": pa.array([one.chosen for one in tried], pa.bool_()),
            "reason": pa.array([one.reason for one in tried], pa.string()),
        }
    )


def _rates(tried: list[Tried]) -> dict[str, object]:
    """Queries per second of each plan at the wanted recall, and that of the chosen one over plain search."""
    rates = {one.plan.name: round(one.speed, 1) for one in tried if one.speed is not None}
    ratio = next((one.ratio for one in tried if one.chosen), None)
    return {"queries_per_second": rates, "speedup": None if ratio is None else round(ratio, 3)}


@stage(contracts.PACKED)
def pack_index(
    run: StageRun,
    documents: Ref,
    vectors: Ref,
    graph: Ref,
    certificate: Ref,
    *parts: Ref,
    roles: tuple[str, ...],
    metric: str,
) -> None:
    """Puts an index into the form that is searched, as its certificate says, beside the documents that answers show."""
    plan = read_certificate(run.store.open(certificate, contracts.CERTIFICATE)).plan
    opened = _opener(run.store, vectors, graph, dict(zip(roles, parts, strict=True)), metric)
    # FINGER's search is made of artifacts of its own; beside it plain search is packed, which the certificate is not of.
    plan = PLAIN if plan.finger else plan
    packed = opened.packed(plan)
    del opened
    run.write("packed", arrays_to_arrow(packed.arrays()))
    run.quality = {"plan": plan.name, "bytes": packed.nbytes, "bytes_per_vector": round(packed.nbytes / packed.size, 1)}
    del packed
    run.write("documents", _shown(run.store, documents))


def _shown(store: Store, documents: Ref) -> pa.Table:
    """The documents without their vectors, read by shards."""
    artifact = store.open(documents, corpus.DOCUMENTS)
    return pa.concat_tables(
        [shown(artifact.read("documents", shard=entry.shard)) for entry in artifact.entries("documents")]
    )
