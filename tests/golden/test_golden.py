"""What stages make, against what an earlier version made of the same inputs: bit for bit, down to the fingerprints."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from fingerpost.flows.run.catalog import stages
from fingerpost.tasks.same_code import FILE, known_as
from tests.golden import tiny
from tests.golden.same_code import BEFORE, FORMER_STAGES, table

GOLDEN = json.loads(tiny.FILE.read_text())
#: What is made on a processor of another maker, or with another core of OpenBLAS: vendor, core and artifacts.
OTHERS = [json.loads(path.read_text()) for path in sorted(tiny.FILE.parent.glob("manifests_tiny_*.json"))]
#: Stages whose artifacts are others on purpose since the golden ones, and why; ``same_code`` leaves them out by --except.
CHANGED: dict[str, str] = {
    "release_threshold": "a threshold has a table of members",
    "assess_threshold": "a threshold is the safe end of a bin, and its rates are counts",
    "compare_embedders": "a threshold is the safe end of a bin, and its rates are counts",
    "evaluate_ranker": "the most frequent labels are evaluated too",
    "assemble_ranker": "a ranker tells what the most frequent labels reach, and how many queries it is trained on",
    "evaluate_retrieval": "what is measured are the answers of an engine of words and vectors",
    "assemble_index": "an index has what words are searched by among its members, its certificate and its packed form",
    "build_graph": "distances of a build come from bytes: other counts, and other graphs of 48 columns and more",
    "fit_finger": "residuals are coded in few bits of many directions, and search defers distances",
    "compute_finger_tables": "residuals are coded in few bits of many directions, and search defers distances",
    "evaluate_index": "residuals are coded in few bits of many directions, and search defers distances",
    "find_neighbors": "neighbours are found in the packed index",
}
#: Stages that make other artifacts of texts with combining marks, which are a part of words now, and of all other texts the
#: same. Their code is not that of before, so that no collection keeps words that were cut; ``same_code`` leaves them out.
RECOMPUTED = ("import_interactions", "list_queries", "count_ngrams", "train_towers", "compare_rankers")
_OF_CODE = ("code", "identity")
#: Stages whose artifacts got a contract of their own: other columns and figures, the same data, and the same fingerprint.
RENAMED = ("list_queries", "import_embeddings", "take_embeddings", "embed_rows")
_OF_CONTRACT = ("contract", "schema", "rows", "quality", "files", "identity")
#: What may change in artifacts that are made of such ones: references to them are in it.
_FOLLOWS = ("identity", "inputs", "parameters")
_REFERENCES = "members/00000"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return tiny.artifacts(tmp_path_factory.mktemp("golden"))


def of_changed(artifacts: Mapping[str, Mapping[str, Any]], changed: Iterable[str]) -> set[str]:
    """The artifacts that are made of those of changed stages, however far."""
    found = {name for name in artifacts if tiny.stage_of(name) in changed}
    size = 0
    while size < len(found):
        size = len(found)
        found |= {name for name, one in artifacts.items() if not found.isdisjoint(one["inputs"].values())}
    return found


def differences(
    golden: Mapping[str, Mapping[str, Any]],
    made: Mapping[str, Mapping[str, Any]],
    *,
    changed: Iterable[str] = (),
    fields: Iterable[str],
) -> list[str]:
    """In words, how artifacts are other than the golden ones, in some fields of their descriptions."""
    follow = of_changed(golden, changed)
    # Fingerprints of what they are made of are others.
    later = of_changed(golden, RENAMED) | of_changed(golden, RECOMPUTED) | of_changed(made, new_stages())
    without = {*changed, *new_stages()}
    names = [name for name in golden.keys() | made.keys() if tiny.stage_of(name) not in without]
    found = [f"{name}: {'new' if name in made else 'gone'}" for name in names if (name in golden) != (name in made)]
    for name in sorted(golden.keys() & made.keys() & set(names)):
        for field in fields:
            stage = tiny.stage_of(name)
            if (stage in RENAMED and field in _OF_CONTRACT) or (stage in RECOMPUTED and field in _OF_CODE):
                continue
            if name in later and field == "identity":
                continue
            before, now = golden[name][field], made[name][field]
            if field == "files" and name in follow | later:
                before, now = ({**files, _REFERENCES: ""} for files in (before, now))
            if before != now and not (name in follow and field in _FOLLOWS):
                found.append(f"{name}: {field}: expected {before}, got {now}")
    return found


def new_stages() -> set[str]:
    """The stages that the version before did not have, under whatever name: there is nothing to compare theirs with."""
    return set(stages()) - set(json.loads(BEFORE.read_text())) - set(FORMER_STAGES)


def elsewhere() -> list[str]:
    """Where this machine and its packages are not those that golden artifacts were made by, in words."""
    here = tiny.surroundings()
    found = [
        f"{name} {here[name]} (golden: {was})" for name, was in GOLDEN["surroundings"].items() if here[name] != was
    ]
    cores = sorted({tiny.CORE, *(one["core"] for one in OTHERS)})
    return found + ([] if tiny.core() in cores else [f"OpenBLAS's core {tiny.core()} (golden: {', '.join(cores)})"])


def golden_here() -> dict[str, dict[str, Any]]:
    """The golden artifacts of the cases that can be run here, by what their stages are called now."""
    neural = {case.collection for case in tiny.CASES if case.neural}
    found = {
        _named_now(name): one | {"inputs": {role: _named_now(given) for role, given in one["inputs"].items()}}
        for name, one in GOLDEN["artifacts"].items()
        if tiny.has_neural() or name.split()[0] not in neural
    }
    return found | {name: found[name] | bits for name, bits in _others_here().items() if name in found}


def _others_here() -> dict[str, dict[str, Any]]:
    """Files and identities that are others than the golden ones: what torch trains on a processor of this maker, and what
    is made by this core of OpenBLAS, with all that is made of these."""
    found: dict[str, dict[str, Any]] = {}
    for one in _of_maker() + _of_core():
        found |= {name: {field: bits[field] for field in ("files", "identity")} for name, bits in one.items()}
    return found


def _of_maker() -> list[dict[str, Any]]:
    return [one["artifacts"] for one in OTHERS if (one["vendor"], one["core"]) == (tiny.vendor(), tiny.CORE)]


def _of_core() -> list[dict[str, Any]]:
    return [one["artifacts"] for one in OTHERS if one["core"] == tiny.core() != tiny.CORE]


def known_bits(names: Iterable[str]) -> set[str]:
    """The artifacts whose bits are known for this machine.

    That is without what torch trains, and what is made of that, on a processor of which there is no file; and where there
    is one, but the file of this core of OpenBLAS is another processor's, without those of these that the core changes.
    """
    golden = golden_here()
    trained = {name for name in names if tiny.follows_training(name, golden)}
    if tiny.vendor() == tiny.VENDOR or _of_maker():
        strange = [one["artifacts"] for one in OTHERS if one["core"] == tiny.core() and one["vendor"] != tiny.vendor()]
        trained &= {name for made in strange for name in made} if tiny.core() != tiny.CORE else set()
    return set(names) - trained


def _named_now(name: str) -> str:
    """The name of an artifact with the present name of its stage, which differs in the part that imports embeddings."""
    now = {
        f" embeddings {former}": f" embeddings {stage}" for stage, former in FORMER_STAGES.items() if stage in RENAMED
    }
    return next((name.replace(old, new) for old, new in now.items() if name.endswith(old)), name)


def test_what_artifacts_are_has_not_changed(made: dict[str, dict[str, Any]]) -> None:
    fields = ("contract", "schema", "parameters", "inputs")
    assert differences(golden_here(), made, changed=CHANGED, fields=fields) == []


def test_artifacts_are_the_same_bit_for_bit(made: dict[str, dict[str, Any]]) -> None:
    """Where only the code is others: if no result changed, ``python -m tests.golden.same_code``."""
    if others := elsewhere():
        pytest.skip(f"bytes and hashes of code are compared where the versions are the same, here: {'; '.join(others)}")
    fields = ("rows", "quality", "files", "code", "identity")
    golden = golden_here()
    known = known_bits(golden)
    assert (
        differences(_of(golden, known), _of(made, known | made.keys() - golden.keys()), changed=CHANGED, fields=fields)
        == []
    )


@pytest.mark.parametrize(
    ("vendor", "core", "unknown"),
    [
        ("GenuineIntel", "SkylakeX", set()),
        ("AuthenticAMD", "SkylakeX", set()),
        ("AuthenticAMD", "Haswell", set()),
        ("GenuineIntel", "Haswell", {"train_towers", "search_margins", "assess_threshold", "compare_embedders"}),
        (
            "AuthenticAMD without AVX-512",
            "Haswell",
            {"train_towers", "train_embedders", "search_margins", "embed_rows"},
        ),
        (
            "GenuineIntel without AVX-512",
            "Haswell",
            {"train_towers", "train_embedders", "search_margins", "embed_rows"},
        ),
    ],
)
def test_what_is_known_of_a_processor_and_a_core(
    vendor: str, core: str, unknown: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not tiny.has_neural():
        pytest.skip("without the extra neural nothing is trained")
    monkeypatch.setattr(tiny, "vendor", lambda: vendor)
    monkeypatch.setattr(tiny, "core", lambda: core)
    names = set(golden_here())
    left_out = {tiny.stage_of(name) for name in names - known_bits(names)}
    assert unknown <= left_out
    assert left_out.isdisjoint({"fit_projection", "embed_documents", "fit_dense_labels"})
    assert bool(left_out) == bool(unknown)
    assert not any("OpenBLAS" in text for text in elsewhere())
    monkeypatch.setattr(tiny, "core", lambda: "Sandybridge")
    assert "OpenBLAS's core Sandybridge (golden: Haswell, SkylakeX)" in elsewhere()


def test_a_core_has_other_bits_of_products_of_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "docs 2026-01-05 fit_projection"
    found = []
    for core in ("SkylakeX", "Haswell"):
        monkeypatch.setattr(tiny, "core", lambda core=core: core)
        found.append(golden_here()[name])
    assert found[0]["files"] != found[1]["files"]
    assert found[0]["parameters"] == found[1]["parameters"]


def _of(artifacts: Mapping[str, dict[str, Any]], names: Iterable[str]) -> dict[str, dict[str, Any]]:
    return {name: artifacts[name] for name in artifacts if name in set(names)}


def test_every_stage_but_those_of_installed_packages_is_compared() -> None:
    compared = {tiny.stage_of(_named_now(name)) for name in GOLDEN["artifacts"]}
    # Images and documents with vectors have no golden artifacts: these stages do what those of embeddings do.
    others = {"import_images", "take_vectors"}
    assert set(stages()) - compared - set(CHANGED) - new_stages() == {"extract_documentation"} | others


def test_a_difference_is_found() -> None:
    golden = GOLDEN["artifacts"]
    name, below = "docs 2026-01-05 build_graph", "docs 2026-01-05 fit_finger"
    other = golden | {name: golden[name] | {"rows": {}}, below: golden[below] | {"identity": ""}}
    fields = ("rows", "identity")
    assert [text.split(": ")[0] for text in differences(golden, other, fields=fields)] == [name, below]
    assert differences(golden, other, changed=["build_graph"], fields=fields) == []
    assert differences(golden, {k: v for k, v in golden.items() if k != name}, fields=()) == [f"{name}: gone"]


def test_the_table_of_equal_code_names_stages_and_code_of_the_version_before() -> None:
    before, entries = json.loads(BEFORE.read_text()), json.loads(FILE.read_text())
    assert set(entries) <= set(stages())
    assert not set(entries) & {*CHANGED, *RECOMPUTED}
    for stage, hashes in entries.items():
        former = before[FORMER_STAGES.get(stage, stage)]
        assert set(hashes.values()) == {former}
        assert set(hashes).isdisjoint(hashes.values())
        assert all(known_as(stage, code) == former for code in hashes)


def test_code_that_is_in_no_table_stays_what_it_is() -> None:
    assert known_as("build_graph", "f" * 32) == "f" * 32
    assert known_as("no_stage", "f" * 32) == "f" * 32


def test_the_table_has_the_stages_whose_code_changed_but_those_excepted() -> None:
    before, now = {"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "4", "c": "5", "d": "6"}
    assert table(before, now) == {"b": {"4": "2"}, "c": {"5": "3"}}
    assert table(before, now, excepted=["c"]) == {"b": {"4": "2"}}
    assert table({"take_vectors": "1"}, {"take_embeddings": "2"}) == {"take_embeddings": {"2": "1"}}
    with pytest.raises(ValueError, match="expected stages among a, b, c, d, got e"):
        table(before, now, excepted=["e"])


def test_the_table_is_package_data() -> None:
    root = Path(__file__).resolve().parents[2]
    assert FILE.resolve().parent == root / "tasks"
    assert '"fingerpost.tasks": ["same_code.json"]' in (root / "setup.py").read_text()
