"""The terms of a forgotten document: found by its counts, gone from all counts and lexicons, and proven absent."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fingerpost.flows.ops.erase.absence import Needles, needles_of, search
from fingerpost.flows.ops.erase.affected import affected_by, rows_about, tables_with_keys, wanted_keys
from fingerpost.flows.ops.erase.inputs import texts_of
from fingerpost.flows.ops.erase.terms import distinct_terms, terms_in
from fingerpost.schemas import corpus
from fingerpost.schemas.inputs.sources import FileSource
from fingerpost.schemas.inputs.stored import suppressing
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.corpus.analyzer import AnalyzerParams
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.corpus.open import read_lexicon
from fingerpost.tasks.corpus.stages import terms
from fingerpost.tasks.corpus.stages.documents import import_documents
from fingerpost.tasks.environment import Environment

#: Of the forgotten letter, "owls" and "scared" are in no other; "owl" is too short to be searched as bytes of files.
LETTERS = "\n".join(
    [
        "id,title,text",
        'l1,Two lamps,"Lamps for the hall. And the chairs, and owning them."',
        'l7,Complaint,"The lamps were vexing. My owls are scared."',
        'l9,Chairs,"Four chairs for the hall."',
        'l12,Vexed,"Hall of chairs."',
    ]
)


def counted(store: Store, letters: Path, gone: Suppressed | None = None, *, day: str = "2026-01-05") -> dict[str, Ref]:
    """Documents to lexicon, without suppressed rows."""
    env, source = Environment(store, "letters", day), suppressing(FileSource(str(letters)), gone)
    made = {"documents": import_documents.execute(env, source, params=ImportParams())}
    made["analyzer"] = terms.choose_analyzer.execute(
        env, made["documents"], params=AnalyzerParams("english"), stemmer="snowball"
    )
    made["term_counts"] = terms.count_terms.execute(env, made["documents"], made["analyzer"])
    made["lexicon"] = terms.merge_lexicon.execute(env, made["term_counts"], made["analyzer"])
    return made


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    (tmp_path / "letters.csv").write_text(LETTERS)
    return tmp_path / "letters.csv"


def needles(store: Store, key: str, made: dict[str, Ref]) -> Needles:
    """What an erasure of a document searches."""
    wanted, ref = wanted_keys(store, key), made["documents"]
    tables = tables_with_keys(str(ref), store.manifest(ref))
    files = {path: (store.files.read(path), table) for path, table in tables.items()}
    rows = [row for path, (content, table) in files.items() for row in rows_about(content, wanted, table, where=path)]
    texts = [text for row in rows for text in texts_of(row, wanted)]
    terms = distinct_terms(store, wanted, [str(ref)], [str(one) for one in store.refs()])
    return needles_of(store, wanted, key, texts, tables, [], terms=terms)


def test_the_terms_that_only_it_has_are_searched(tmp_path: Path, letters: Path) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    made = counted(store, letters)
    beside = terms_in(store, str(made["documents"]), wanted_keys(store, "l7"))
    assert {"lamp", "owl", "scare", "vex"} <= set(beside.own)
    assert "chair" not in beside.own
    found = set(needles(store, "l7", made).terms)
    assert {"complaint", "owl", "scare"} <= found
    assert not {"lamp", "vex", "the", "hall"} & found, "others have these, some in another form"


def test_terms_of_other_collections_and_days_do_not_count(tmp_path: Path, letters: Path) -> None:
    store, elsewhere = Store(str(tmp_path / "store")).prepare(), tmp_path / "elsewhere.csv"
    made = counted(store, letters)
    elsewhere.write_text("id,title,text\no1,Owls,An owl.\n")
    counted(store, elsewhere, day="2026-01-06")
    found = set(needles(store, "l7", made).terms)
    assert {"complaint", "scare"} <= found
    assert "owl" not in found
    assert needles(store, "no such letter", made).terms == ()


def test_artifacts_of_terms_go_with_the_document(tmp_path: Path, letters: Path) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    made = counted(store, letters)
    touched = affected_by(store, "l7", "letters")
    assert {str(ref) for ref in made.values()} <= set(touched.condemned)


def test_no_term_remains_in_counts_and_lexicon(tmp_path: Path, letters: Path) -> None:
    store, without = (Store(str(tmp_path / name)).prepare() for name in ("store", "without"))
    looked_for = needles(store, "l7", counted(store, letters))
    assert len(search(store, looked_for).findings) >= 3, "documents, counts and lexicon"
    made = counted(without, letters, wanted_keys(store, "l7"))
    assert search(without, looked_for).findings == []
    lexicon = read_lexicon(without.open(made["lexicon"], corpus.LEXICON))
    assert lexicon.documents == 3
    assert lexicon.columns(["owl", "lamp", "hall"]).tolist()[0] == -1
    assert (lexicon.columns(["vex", "lamp", "hall"]) >= 0).all(), "others have these"


@pytest.mark.parametrize("name", ["corpus.term_counts", "corpus.lexicon"])
def test_a_term_that_remains_is_found(tmp_path: Path, letters: Path, name: str) -> None:
    store, without = (Store(str(tmp_path / name)).prepare() for name in ("store", "without"))
    looked_for = needles(store, "l7", counted(store, letters))
    for term, findings in (("owl", 1), ("chair", 0)):
        path = tmp_path / "without" / name / "day=2026-01-05" / term / "terms-00000-0.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table({"term": [term]}), path)
        assert len(search(without, looked_for).findings) == findings, term
        path.unlink()


def test_words_of_the_program_are_no_trace(tmp_path: Path) -> None:
    store, without = (Store(str(tmp_path / name)).prepare() for name in ("store", "without"))
    letters = tmp_path / "letters.csv"
    letters.write_text('id,title,text\nl1,Lamps,Lamps for the hall.\nl7,Yourselves,"Halves for yourselves."\n')
    looked_for = needles(store, "l7", counted(store, letters))
    assert {"Halves", "yourselves"} <= set(looked_for.distinct)
    made = counted(without, letters, wanted_keys(store, "l7"))
    assert "yourselves" in str(without.open(made["analyzer"], corpus.ANALYZER).read("settings").to_pylist())
    assert search(without, looked_for).findings == [], "a stop word of the analyzer"
    path = tmp_path / "without" / "ann.tuning" / "day=2026-01-05" / "one" / "chosen-00000-0.parquet"
    path.parent.mkdir(parents=True)
    for reason, findings in (("of 400 Halves", 0), ("Halves for yourselves.", 1)):
        pq.write_table(pa.table({"part": ["feedback"], "reason": [reason]}), path)
        assert len(search(without, looked_for).findings) == findings, reason
