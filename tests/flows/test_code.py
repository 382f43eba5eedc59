"""The hash of a stage's code: what changes it, and what does not."""

import ast
import importlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from fingerpost.ext.sources import EXTENSIONS
from fingerpost.flows.run import catalog
from fingerpost.schemas.errors import FingerpostError
from fingerpost.tasks import code
from fingerpost.tasks.ann.stages import finger, search
from fingerpost.tasks.ann.stages import index as ann
from fingerpost.tasks.code import StaleExtensionError, code_hash, unchanging_code
from fingerpost.tasks.corpus.stages import documents, terms
from fingerpost.tasks.corpus.stages import features as corpus
from fingerpost.tasks.stage import Stage

STAGES = {
    s.name: s
    for module in (documents, terms, corpus, ann, finger, search)
    for s in vars(module).values()
    if isinstance(s, Stage)
}
Edit = Callable[[str, Callable[[str], str]], None]


@pytest.fixture
def edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edit:
    """Lets the hash see a module as if its source had been edited; the module itself stays as it is."""
    originals, edited = code._source_of, dict[str, Path]()

    def source_of(name: str) -> Path | None:
        return edited.get(name) or originals(name)

    def change(name: str, how: Callable[[str], str]) -> None:
        module: ModuleType = importlib.import_module(name)
        before = Path(str(module.__file__)).read_text()
        after = how(before)
        assert after != before
        edited[name] = tmp_path / f"{name}.py"
        edited[name].write_text(after)
        monkeypatch.setattr(code, "_source_of", source_of)
        monkeypatch.setattr(module, "__file__", str(edited[name]))

    return change


def hashes() -> dict[str, str]:
    return {name: code_hash(stage.function) for name, stage in STAGES.items()}


def changed(before: dict[str, str]) -> set[str]:
    return {name for name, found in hashes().items() if found != before[name]}


def with_comments(source: str) -> str:
    """The same code with comments, blank lines and other docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and ast.get_docstring(node):
            node.body[0] = ast.Expr(ast.Constant("Says something else."))
    return "# a comment\n\n" + ast.unparse(tree) + "\n\n# the end\n"


def test_hashes_are_stable_and_differ_between_stages() -> None:
    found = hashes()
    assert found == hashes()
    assert len(set(found.values())) == len(found) >= 13
    assert all(len(value) == 32 and not set(value) - set("0123456789abcdef") for value in found.values())


@pytest.mark.parametrize(
    "module",
    [
        "fingerpost.tasks.corpus.svd",
        "fingerpost.tasks.ann.hnsw",
        "fingerpost.tasks.corpus.stages.features",
        "fingerpost.tasks.ann.stages.index",
        "fingerpost.schemas.matrices",
    ],
)
def test_comments_docstrings_and_layout_do_not_count(edit: Edit, module: str) -> None:
    before = hashes()
    edit(module, with_comments)
    assert changed(before) == set()


@pytest.mark.parametrize(
    "module",
    [
        "fingerpost.tasks.stage",
        "fingerpost.tasks.shards",
        "fingerpost.tasks.ledger",
        "fingerpost.tasks.corpus.open",
        "fingerpost.tasks.ann.open",
        "fingerpost.tasks.ann.open.parts",
        "fingerpost.schemas.store",
    ],
)
def test_the_machinery_does_not_count(edit: Edit, module: str) -> None:
    before = hashes()
    edit(module, lambda source: source + "\nMORE = 1\n")
    assert changed(before) == set()


def test_an_edited_helper_counts_for_the_stages_that_use_it(edit: Edit) -> None:
    before = hashes()
    edit("fingerpost.tasks.corpus.svd", lambda source: source + "\nMORE = 1\n")
    assert {"fit_projection", "embed_documents"} <= changed(before)
    assert not changed(before) & {"count_ngrams", "import_documents", "build_graph", "find_neighbors"}


@pytest.mark.parametrize(
    ("stage", "module"),
    [
        ("train_embedders", "fingerpost.tasks.metric.networks"),
        ("train_aligner", "fingerpost.tasks.kg.aligner_net"),
        ("import_interactions", "fingerpost.schemas.inputs.python_docs.links"),
    ],
)
def test_what_a_function_imports_when_it_runs_counts(edit: Edit, stage: str, module: str) -> None:
    before = catalog.stages()[stage]
    was = code_hash(before.function)
    edit(module, lambda text: text + "\nMORE = 1\n")
    assert code_hash(before.function) != was


def test_a_helper_of_a_helper_counts(edit: Edit) -> None:
    source = Path(str(importlib.import_module("fingerpost.tasks.corpus.ngrams").__file__)).read_text()
    assert "fingerpost.tasks.corpus.ngrams" not in Path(str(ann.__file__)).read_text().split("def assemble_index")[1]
    assert source
    before = hashes()
    edit("fingerpost.tasks.corpus.fields", lambda text: text + "\nMORE = 1\n")
    found = changed(before)
    assert {"count_ngrams", "evaluate_retrieval"} <= found
    assert not found & {"build_graph", "extract_documentation"}


def test_readers_of_inputs_count_for_what_reads_them(edit: Edit) -> None:
    before = hashes()
    edit("fingerpost.schemas.inputs.forms", lambda source: source + "\nMORE = 1\n")
    assert {"import_documents", "extract_documentation"} <= changed(before)
    assert not changed(before) & {"count_ngrams", "build_graph"}


def test_how_matrices_are_stored_counts(edit: Edit) -> None:
    before = hashes()
    edit("fingerpost.schemas.matrices", lambda source: source.replace("n, d", "rows, d") + "\nMORE = 1\n")
    assert {"fit_projection", "embed_documents", "build_graph", "count_ngrams"} <= changed(before)


def test_of_a_stages_own_file_only_what_it_uses_counts(edit: Edit) -> None:
    before = hashes()
    edit(
        "fingerpost.tasks.corpus.stages.features",
        lambda source: source.replace("def _weigh_shard(", "def _weigh_shard(  ").replace(
            '"non_zeros": int(rows.nnz)', '"non_zeros": 1 + int(rows.nnz)'
        ),
    )
    assert changed(before) == {"weigh_terms"}


#: Stages that do for a completer's baseline what a ranker's do.
OF_A_COMPLETER = ("embed_by_pairs", "index_by_pairs", "train_default_rankers")


@pytest.mark.parametrize(
    ("module", "users"),
    [
        (
            "fingerpost.tasks.xmr.stages.memory_budget",
            {"embed_labels", "cluster_labels", "train_rankers", "index_suggestions", *OF_A_COMPLETER},
        ),
        ("fingerpost.tasks.xmr.stages.levels", {"train_rankers", "refresh_rankers", "train_default_rankers"}),
    ],
)
def test_what_stages_share_counts_for_those_that_use_it(edit: Edit, module: str, users: set[str]) -> None:
    ranker = {name: stage for name, stage in catalog.stages().items() if stage.contract.name.startswith("xmr.")}
    before = {name: code_hash(stage.function) for name, stage in ranker.items()}
    edit(module, lambda source: source + "\nMORE = 1\n")
    assert {name for name, stage in ranker.items() if code_hash(stage.function) != before[name]} == users


def test_a_constant_of_its_own_file_counts(edit: Edit) -> None:
    before = hashes()
    edit("fingerpost.tasks.ann.stages.index", lambda source: source.replace("STEP_ROWS = 4096", "STEP_ROWS = 8192"))
    assert changed(before) == {"build_graph"}


@pytest.mark.parametrize(
    ("extension", "stage", "other"),
    [
        ("ngrams", "count_ngrams", "build_graph"),
        ("hnsw", "build_graph", "count_ngrams"),
        ("deferred", "fit_finger", "count_ngrams"),
    ],
)
def test_the_sources_of_an_extension_count(
    monkeypatch: pytest.MonkeyPatch, extension: str, stage: str, other: str
) -> None:
    assert extension in EXTENSIONS
    before, module = hashes(), importlib.import_module(f"fingerpost.ext.{extension}")
    monkeypatch.setattr(module, "SOURCE_HASH", "other")
    with pytest.raises(
        StaleExtensionError,
        match=(
            rf"fingerpost.ext.{extension}: expected a build of its present sources \(.*\), found one of other;"
            rf" rebuild: `make"
            r" build`"
        ),
    ):
        code_hash(STAGES[stage].function)
    assert code_hash(STAGES[other].function) == before[other]
    monkeypatch.setattr(code, "source_hash", lambda name: "other" if name == extension else None)
    assert {stage} <= changed(before)
    assert other not in changed(before)


def test_an_installed_extension_without_sources_is_taken_at_its_word(monkeypatch: pytest.MonkeyPatch) -> None:
    before = hashes()
    monkeypatch.setattr(code, "source_hash", lambda name: None)
    assert changed(before) == set()


def test_a_stage_without_a_source_file_is_refused() -> None:
    namespace: dict[str, object] = {"__name__": "nowhere"}
    exec("def made_up(run):\n    pass\n", namespace)
    with pytest.raises(
        FingerpostError, match=r"stage .*: expected it in a module with a source file, found none; move it"
    ):
        code_hash(namespace["made_up"])  # type: ignore[arg-type]


def test_a_tree_that_another_threads_tree_disturbed_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPython up to 3.11.7: SystemError: AST constructor recursion depth mismatch."""
    before = code_hash(STAGES["build_graph"].function)
    parse, disturbed = ast.parse, [True, True, True]

    def sometimes(source: str, *given: str) -> ast.Module:
        if disturbed:
            raise SystemError("AST constructor recursion depth mismatch" * disturbed.pop())
        return parse(source, *given)

    for cached in (code._own_code, code._statements, code._imports_and_hash):
        cached.cache_clear()
    monkeypatch.setattr(ast, "parse", sometimes)
    assert code_hash(STAGES["build_graph"].function) == before
    assert not disturbed


def test_each_source_is_read_once_where_code_does_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    before, read_text, read = hashes(), Path.read_text, Counter[Path]()

    def counted(path: Path) -> str:
        read[path] += 1
        return read_text(path)

    monkeypatch.setattr(Path, "read_text", counted)
    with unchanging_code():
        assert hashes() == before
        with unchanging_code():
            assert hashes() == before
    assert len(read) > 20
    assert set(read.values()) == {1}
    hashes()
    assert max(read.values()) > 5


def test_whether_a_stage_observes_is_no_code_of_it() -> None:
    texts = [
        code._text_of(ast.parse(f"@stage(CONTRACT{more})\ndef made_up(run):\n    pass\n"))
        for more in ("", ", observes=True", ", other=True")
    ]
    assert texts[0] == texts[1] != texts[2]
