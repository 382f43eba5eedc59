"""Comparing versions: figures against a naive recount, first causes, and why a query is answered otherwise."""

import csv
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fingerpost.tasks.corpus.stages.features
import fingerpost.tasks.stage
from fingerpost.flows.ops.compare.diff import ArtifactDiff, Diff, diff
from fingerpost.flows.ops.compare.diff_tables import show_diff
from fingerpost.flows.ops.compare.versions import find_product, find_version
from fingerpost.flows.ops.compare.why import Why, why
from fingerpost.flows.ops.compare.why_tables import show_why
from fingerpost.schemas import ann
from fingerpost.schemas.errors import FingerpostError, MissingArtifactError
from fingerpost.schemas.matrices import fixed_matrix
from fingerpost.schemas.publish import Gate, Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.open import PRODUCT, LiveIndex
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.ledger import save_run
from tests.worlds import build_index, write_documents

#: With a word that no document has: a passage of a document would be answered by its words alone.
QUERIES = (
    "sort order array stable please",
    "shortest path weight please",
    "eigen matrix rank please",
    "string pattern match please",
    "month year date please",
)
#: Vectors count enough to move answers.
ANSWERS = {"candidates": 20, "dense_share": 0.7}


@dataclass(frozen=True)
class World:
    """A store with versions by name."""

    store: Store
    refs: dict[str, Ref]

    def diff(self, before: str, after: str) -> Diff:
        return diff(self.store, *(find_version(self.store, str(self.refs[name])) for name in (before, after)))

    def why(self, query: str, before: str, after: str) -> Why:
        return why(self.store, self.refs[before], self.refs[after], query, k=8, method="hnsw")


def changed_documents(source: Path, target: Path) -> Path:
    """The documents without the first twenty, one with another text, and one more."""
    with source.open() as file:
        header, *rows = csv.reader(file)
    rows = rows[20:]
    rows[3][2] = "sort order array stable sort.\n\nsort order array stable."
    rows.append(["new-1", "sorting.new", "stable sort order of an array.\n\nascending descending sort.", "sorting"])
    with target.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return target


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("versions")
    store = Store(str(folder / "store")).prepare()
    documents = write_documents(folder, 500, 3)
    days = itertools.count(1)

    def build(source: Path = documents, **options: Any) -> Ref:
        env = Environment(store, "toys", f"2026-01-{next(days):02d}")
        return build_index(
            env, source, **{"rank": 12, "max_neighbors": 12, "ef_construction": 80, **ANSWERS, **options}
        )

    refs = {"base": build(), "again": build(), "data": build(changed_documents(documents, folder / "changed.csv"))}
    refs |= {"rank": build(rank=2), "terms": build(language="none"), "graph": build(max_neighbors=2, ef_construction=2)}
    with pytest.MonkeyPatch.context() as patch:
        patch_code(patch, "fit_projection")
        real = fingerpost.tasks.corpus.stages.features.projection
        patch.setattr(
            fingerpost.tasks.corpus.stages.features,
            "projection",
            lambda *a, **k: real(*a, **k) * (np.arange(12) < 2).astype(np.float32),
        )
        refs["code"] = build()
    return World(store, refs)


def patch_code(patch: pytest.MonkeyPatch, stage: str) -> None:
    """Makes the code of a stage another."""
    real: Callable[..., str] = fingerpost.tasks.stage.code_hash
    patch.setattr(
        fingerpost.tasks.stage,
        "code_hash",
        lambda function: "c0de" * 8 if function.__name__ == stage else real(function),
    )


def member(found: Diff, role: str) -> ArtifactDiff:
    return next(artifact for artifact in found.artifacts if artifact.role == role)


def documents_of(world: World, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = LiveIndex(world.store, world.refs[name]).documents.to_pylist()
    return rows


def test_what_is_the_same_is_said_to_be_identical(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    found = world.diff("base", "again")
    assert found.before != found.after
    assert {artifact.state for artifact in found.artifacts} == {"same"}
    assert found.causes == []
    show_diff(found)
    assert "the two are identical" in capsys.readouterr().out


def test_documents_are_counted_as_a_dictionary_counts_them(world: World) -> None:
    old, new = ({row["id"]: row for row in documents_of(world, name)} for name in ("base", "data"))
    (found,) = member(world.diff("base", "data"), "documents").data
    assert found.figures["added"] == len(new.keys() - old.keys()) == 1
    assert found.figures["removed"] == len(old.keys() - new.keys()) == 20
    changed = [key for key in old.keys() & new.keys() if old[key] != new[key]]
    assert found.figures["changed"] == found.figures["changed text"] == len(changed) == 1
    assert "added: new-1" in found.examples
    assert f"changed: {changed[0]}" in found.examples
    assert next(c for c in member(world.diff("base", "data"), "documents").rows).difference == -19


def test_churn_of_terms_is_that_of_sets(world: World) -> None:
    for other in ("data", "terms"):
        before, after = (set(LiveIndex(world.store, world.refs[name]).lexicon.terms) for name in ("base", other))
        (found,) = member(world.diff("base", other), "lexicon").data
        assert found.about == "lexicon"
        assert found.figures["terms in"] == len(after - before) > 0
        assert found.figures["terms out"] == len(before - after)
        assert found.figures["share of columns out"] == pytest.approx(len(before - after) / len(before), abs=1e-6)


def test_changed_neighbour_lists_are_those_of_a_loop(world: World) -> None:
    lists = []
    for name in ("base", "data"):
        index = LiveIndex(world.store, world.refs[name])
        table = fixed_matrix(world.store.open(index.members["neighbors"], ann.NEIGHBORS).read("neighbors")["neighbors"])
        ids = [row["id"] for row in documents_of(world, name)]
        lists.append({ids[row]: {ids[i] for i in near if i < len(ids)} for row, near in enumerate(table)})
    both = lists[0].keys() & lists[1].keys()
    overlaps = {key: len(lists[0][key] & lists[1][key]) / max(len(lists[0][key]), len(lists[1][key])) for key in both}
    (found,) = member(world.diff("base", "data"), "neighbors").data
    assert found.figures["lists that changed"] == sum(overlap < 1 for overlap in overlaps.values())
    assert found.figures["mean overlap"] == pytest.approx(np.mean(list(overlaps.values())), abs=1e-6)
    lost = [near for key in both for near in lists[0][key] - lists[1][key]]
    assert found.figures["neighbours lost"] == len(lost)
    assert found.figures["of these, documents that are gone"] == sum(key not in lists[1] for key in lost)
    named = found.examples[0].removeprefix("most changed: ").split(" (")[0]
    assert overlaps[named] == min(overlaps.values())


def test_vectors_of_other_bases_are_not_compared_and_those_of_one_basis_are(world: World) -> None:
    (found,) = member(world.diff("base", "rank"), "vectors").data
    assert "not comparable" in found.note
    assert not found.figures
    assert [artifact.role for artifact in world.diff("base", "graph").artifacts if artifact.state == "same"] == [
        "documents",
        "analyzer",
        "term_counts",
        "lexicon",
        "field_weights",
        "features",
        "projection",
        "vectors",
        "codes",
        "postings",
    ]


@pytest.mark.parametrize(
    ("other", "artifact", "kind", "key"),
    [
        ("data", "corpus.documents", "data", "source"),
        ("rank", "corpus.projection", "parameters", "params.rank"),
        ("code", "corpus.projection", "code", "code"),
        ("graph", "ann.graph", "parameters", "params.ef_construction"),
    ],
)
def test_the_first_cause_is_named_and_what_follows_is_not(
    world: World, other: str, artifact: str, kind: str, key: str
) -> None:
    first = world.diff("base", other).causes[0]
    assert (first.artifact, first.kinds) == (artifact, [kind])
    assert getattr(first, kind)[0].key == key
    if other in {"data", "code"}:
        assert len(world.diff("base", other).causes) == 1
    if other == "rank":
        assert (first.parameters[0].before, first.parameters[0].after) == (12, 2)


def test_a_difference_is_json_and_prints_all_its_parts(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    from dataclasses import asdict

    found = world.diff("base", "data")
    assert json.loads(json.dumps(asdict(found))) == json.loads(json.dumps(asdict(world.diff("base", "data"))))
    show_diff(found)
    shown = capsys.readouterr().out
    for part in (
        "input data of corpus.documents",
        "added 1, removed 20, changed 1",
        "mean overlap",
        "recall_at_10",
        "not comparable",
    ):
        assert part in shown


def test_versions_are_found_by_every_name(world: World) -> None:
    store, base, again = world.store, world.refs["base"], world.refs["data"]
    pointer = Pointer(store, "toys", PRODUCT)
    for ref in (base, again):
        pointer.promote(ref, gates=[Gate("recall_at_10", 0.9, 0.3)])
    for text, ref in (
        ("live", again),
        ("live~1", base),
        ("2026-01-03", again),
        (again.fingerprint[:10], again),
        (str(base), base),
    ):
        assert find_version(store, text, collection="toys").ref == ref, text
    gates = {
        change.key: (change.before, change.after)
        for change in diff(store, *(find_version(store, str(r)) for r in (again, world.refs["rank"]))).gates
    }
    assert gates["recall_at_10"] == ("0.9 (at least 0.3)", None)
    with pytest.raises(MissingArtifactError, match=r"live~2: expected at least 3 versions of toys/ann.index, found 2"):
        find_version(store, "live~2", collection="toys")
    with pytest.raises(MissingArtifactError, match=r"day 2030-01-01 of toys: expected an artifact ann.index"):
        find_version(store, "2030-01-01", collection="toys")
    with pytest.raises(FingerpostError, match=r"expected a reference .* got 'yesterday'"):
        find_version(store, "yesterday")
    with pytest.raises(FingerpostError, match=r"expected an artifact ann.index, found corpus.documents"):
        find_product(store, str(LiveIndex(store, base).members["documents"]), product=PRODUCT)
    documents = LiveIndex(store, base).members["documents"]
    # The quarantine of the same import has the same fingerprint; of equal artifacts the newest day is meant.
    assert find_version(store, documents.fingerprint[:12]).ref == Ref(
        documents.name, "2026-01-07", documents.fingerprint
    )
    with pytest.raises(FingerpostError, match=r"expected two artifacts of one kind"):
        diff(store, find_version(store, str(base)), find_version(store, str(documents)))


def test_a_day_names_the_version_that_took_the_place_of_a_removed_one(tmp_path: Path) -> None:
    store = Store(str(tmp_path)).prepare()
    env = Environment(store, "toys", "2026-01-01")
    options: dict[str, Any] = {"rank": 12, "max_neighbors": 12, "ef_construction": 80, **ANSWERS}
    refs = [build_index(env, write_documents(tmp_path, 40, seed), **options) for seed in (1, 2)]
    for ref in refs:
        Pointer(store, "toys", PRODUCT).promote(ref, gates=[])
    assert find_version(store, "2026-01-01", collection="toys").ref == refs[1]
    store.files.remove(f"{refs[1]}/manifest.json")
    assert find_version(store, "2026-01-01", collection="toys").ref == refs[0]
    store.files.remove(f"{refs[0]}/manifest.json")
    with pytest.raises(MissingArtifactError, match=r"day 2026-01-01 of toys: expected an artifact ann.index"):
        find_version(store, "2026-01-01", collection="toys")


def test_runs_are_put_side_by_side(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    for number, name in enumerate(("base", "rank"), start=1):
        members = LiveIndex(world.store, world.refs[name]).members
        stages = [
            {
                "stage": f"make_{role}",
                "ref": str(ref),
                "computed": role == "projection",
                "reason": "parameters changed",
                "seconds": 1.0 * number,
                "peak_mb": 10.0,
            }
            for role, ref in members.items()
        ]
        body = {
            "id": f"20260101T00000{number}-abcdef",
            "flow": "nightly",
            "collection": "toys",
            "day": f"2026-01-0{number}",
            "state": "completed",
            "error": "",
            "seconds": 3.0,
            "profile": "tiny",
            "stages": stages,
            "gates": [{"gate": "recall_at_10 0.9 (at least 0.8)", "holds": True}],
            "settings": {"corpus.svd.rank": 12 if name == "base" else 2},
        }
        save_run(world.store, body["id"], body)  # type: ignore[arg-type]
    found = diff(world.store, *(find_version(world.store, f"20260101T00000{number}") for number in (1, 2)))
    assert [(c.key, c.before, c.after) for c in found.settings] == [("corpus.svd.rank", 12, 2)]
    pairs = {pair.stage: pair for pair in found.stages}
    assert pairs["make_documents"].same_artifact
    assert not pairs["make_projection"].same_artifact
    assert pairs["make_projection"].after == "ran: parameters changed"
    assert pairs["make_projection"].seconds.difference == 1.0
    assert str(found.causes[0]) == "parameters of make_projection (corpus.projection): params.rank 12 → 2"
    show_diff(found)
    assert "corpus.svd.rank" in capsys.readouterr().out
    for name in world.store.files.names(".runs"):
        world.store.files.remove(f".runs/{name}")


def kinds(found: Why) -> set[str]:
    return {move.kind for move in found.moves} - {"same", "follows"}


def test_why_says_that_documents_came_went_and_changed(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    found = world.why(QUERIES[0], "base", "data")
    by_id = {move.id: move for move in found.moves}
    assert by_id["new-1"].because == "the document is new"
    old, new = ({row["id"]: row["text"] for row in documents_of(world, name)} for name in ("base", "data"))
    (changed,) = [key for key in old.keys() & new.keys() if old[key] != new[key]]
    assert by_id[changed].kind == "data"
    assert by_id[changed].because.startswith("its text changed: with the old text it would be at")
    assert (by_id[changed].before, by_id[changed].after > 0) == (0, True)
    served = [answer.id for answer in LiveIndex(world.store, world.refs["data"]).query(QUERIES[0], k=8).answers]
    assert [move.id for move in found.moves if move.after] == served
    assert any("because of it: data: input data of corpus.documents" in sentence for sentence in found.verdict)
    show_why(found)
    assert "the document is new" in capsys.readouterr().out
    gone = {row["id"] for row in documents_of(world, "base")[:20]}
    moves = [move for query in QUERIES for move in world.why(query, "base", "data").moves]
    assert {move.because for move in moves if move.id in gone} <= {"the document was removed"}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ("rank", "parameters: parameters of corpus.projection: params.rank 12 → 2"),
        ("code", "code: code of corpus.projection"),
    ],
)
def test_why_names_parameters_or_code_as_the_one_thing_that_differs(world: World, other: str, words: str) -> None:
    explained = [world.why(query, "base", other) for query in QUERIES]
    moved = [found for found in explained if kinds(found)]
    assert moved, "every query is answered the same: the change is too small to test anything"
    for found in moved:
        assert "data" not in kinds(found)
        assert not found.terms
        own = [cause for cause in found.causes if cause.artifact == "corpus.projection"]
        assert [f"{' and '.join(cause.kinds)}: {cause}" for cause in own] == [words]
        assert any(words in sentence for sentence in found.verdict)


def test_why_tells_the_graph_from_the_vectors(world: World) -> None:
    explained = [world.why(query, "base", "graph") for query in QUERIES]
    moved = [found for found in explained if kinds(found)]
    assert moved, "the bad graph finds everything: it is not bad enough to test anything"
    for found in moved:
        assert kinds(found) == {"graph"}
        assert any("exact search gives the same answers in both versions" in sentence for sentence in found.verdict)
        lost = [move for move in found.moves if move.before and not move.after]
        assert all("the later graph search misses it" in move.because for move in lost)


def test_why_names_the_terms_of_a_query_that_are_others_now(world: World) -> None:
    found = world.why(QUERIES[0], "base", "terms")
    sides = []
    for name in ("base", "terms"):
        engine = LiveIndex(world.store, world.refs[name]).engine
        sides.append({engine.lexicon.term(column) for column in engine.question(QUERIES[0]).terms[0].tolist()})
    assert {change.key for change in found.terms if change.after is None} == sides[0] - sides[1] == {"stabl"}
    assert {change.key for change in found.terms if change.before is None} == sides[1] - sides[0] == {"stable"}
    assert {cause.artifact for cause in found.causes} == {"corpus.analyzer"}
    assert any("the answers differ because of it: parameters" in sentence for sentence in found.verdict) or not kinds(
        found
    )


def test_a_query_without_known_words_has_no_answers_and_says_so(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    found = world.why("xyzzy", "base", "data")
    assert found.moves == []
    show_why(found)
    assert "no answers in either version" in capsys.readouterr().out


def test_vectors_of_the_input_are_aligned_by_id_and_their_moves_measured(tmp_path: Path) -> None:
    from fingerpost.schemas.inputs.sources import FileSource
    from fingerpost.tasks.corpus.documents import ImportParams
    from fingerpost.tasks.corpus.stages.documents import import_documents, take_vectors

    store, rng = Store(str(tmp_path / "store")).prepare(), np.random.default_rng(0)
    old = {f"v{row}": rng.standard_normal(6) for row in range(40)}
    new = {key: old[key] for key in reversed(list(old)[5:])} | {
        "v7": old["v7"] + 0.25,
        "v9": old["v9"] - 2.0,
        "w": rng.standard_normal(6),
    }
    refs = []
    for day, rows in (("2026-01-01", old), ("2026-01-02", new)):
        file = tmp_path / f"{day}.jsonl"
        file.write_text(
            "".join(
                json.dumps({"id": key, "vector": [float(np.float32(x)) for x in value]}) + "\n"
                for key, value in rows.items()
            )
        )
        env = Environment(store, "vectors", day)
        documents = import_documents.execute(env, FileSource(str(file)), params=ImportParams(4096))
        refs.append((documents, take_vectors.execute(env, documents, normalize=False)))
    found = [
        diff(store, *(find_version(store, str(ref)) for ref in pair)).artifacts[0] for pair in zip(*refs, strict=True)
    ]
    (documents,), (vectors,) = (artifact.data for artifact in found)
    assert documents.figures == {"before": 40, "after": 36, "added": 1, "removed": 5, "changed": 2, "changed vector": 2}
    moves = {
        key: float(np.linalg.norm(old[key].astype(np.float32).astype(float) - new[key].astype(np.float32)))
        for key in old
        if key in new
    }
    assert vectors.figures["vectors that moved"] == 2
    assert vectors.figures["largest move"] == pytest.approx(max(moves.values()), abs=1e-5)
    assert vectors.figures["mean move"] == pytest.approx(np.mean(list(moves.values())), abs=1e-5)
    assert [example.split(",")[0] for example in vectors.examples] == ["moved most: v9", "moved most: v7"]
    assert "whether the same model made both is unknown" in vectors.note
