"""Sections of domains: declared once, they are on the report and on the page of a run, and fail alone."""

import re
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest

import fingerpost.flows.run.page
from fingerpost.flows import domains
from fingerpost.flows.domains.domain import Domain, InputFile, Product, Section, named
from fingerpost.flows.report.choices import Choices, figure_tables, page_tables
from fingerpost.flows.report.contents import gather as gather_all
from fingerpost.flows.report.page import _environment, render
from fingerpost.flows.report.plots import Plot, as_svg, new_figure
from fingerpost.flows.report.tables import PageTable
from fingerpost.flows.run.page import _show_lineage, summary
from fingerpost.flows.run.page import plots as run_page_plots
from fingerpost.schemas import corpus
from fingerpost.schemas.errors import MissingArtifactError
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.store import Store
from tests.support.report_pages import NASTY, Made, Page, add_documents, add_index
from tests.worlds import THINGS, commit_things, things_ref

HERE = "tests.flows.test_report_sections"
TOYS = Domain(
    word="toy",
    flow=f"{HERE}:no_flow",
    products=(
        Product(name=THINGS.name, contract="tests.worlds:THINGS", title="box of toys", role="toys", gates="", open=""),
    ),
    inputs=(InputFile(title="toys", setting="toy.input", artifact=THINGS.name, stage="import_toys"),),
    report=Section(
        gather=f"{HERE}:gather",
        template="tests.flows:toy_section.html",
        plots=f"{HERE}:plots",
        tables=f"{HERE}:tables",
        cards=f"{HERE}:cards",
    ),
)


@dataclass(frozen=True)
class Toys:
    """What the section shows."""

    count: int
    names: list[str]
    problems: list[str] = field(default_factory=list)


def gather(_: Store, record: dict[str, Any]) -> Toys | None:
    """As many toys as the record says; an error, or a part that is missing, where it says so."""
    if record.get("toys") == "gone":
        raise MissingArtifactError("artifact toys: expected its manifest, found none; run again")
    if record.get("toys") == "half gone":
        return Toys(7, [], ["artifact names of toys: expected its manifest, found none; run again"])
    return Toys(1234, [NASTY]) if record.get("toys") else None


def plots(_: Toys) -> dict[str, Plot]:
    """One plot."""
    figure, axes = new_figure((2.0, 1.0))
    axes.plot([1, 2], [3, 4])
    axes.set_xlabel("sizes of toys")
    return {"sizes": Plot("Toys by size", "Toys over their size", as_svg(figure), "Small toys are to the left.")}


def tables(contents: Toys) -> list[PageTable]:
    """One table."""
    return [PageTable("Toys | by name", ("name",), [(name,) for name in contents.names])]


def cards(contents: Toys) -> list[tuple[str, str]]:
    """One card."""
    return [("toys", f"{contents.count:,}")]


@pytest.fixture
def made(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Made:
    """A store, and the toy domain among the domains."""
    monkeypatch.setattr(domains, "DOMAINS", (*domains.DOMAINS, TOYS))
    return Made(tmp_path)


def run_page(store: Store, record: dict[str, Any]) -> str:
    contents = gather_all(store, record)
    return summary(record, contents, run_page_plots(contents))


def add_quarantine(made: Made, bad: int) -> str:
    """A quarantine with so many rows of one reason; its reference."""
    rows = pa.table(
        {
            "row": pa.array(range(bad), pa.int64()),
            "id": pa.array([f"row-{number}" for number in range(bad)], pa.string()),
            "reason": pa.array(["no label"] * bad, pa.string()),
            "detail": pa.array([""] * bad, pa.string()),
        }
    )
    ref, _ = made.commit(corpus.QUARANTINE, {"rows": rows}, {"rows": bad})
    return str(ref)


def test_a_declared_section_is_on_both_pages(made: Made) -> None:
    add_index(made, add_documents(made))
    record = made.record(toys=True)
    page = Page(render(made.store, record))
    assert "1,234 toys of <script>alert(1)</script>." in page.text("toys")
    assert "Small toys are to the left." in page.text("toys")
    assert "1,234 toys" in page.text("")
    assert any("sizes of toys" in plot for plot in page.plots)
    assert list(page.texts).index("finger") < list(page.texts).index("toys") < list(page.texts).index("lineage")
    assert "### Toys by size\n\n![Toys by size](data:image/svg+xml;base64," in run_page(made.store, record)
    shown = "## Toys \\| by name\n\n| name |\n| --- |\n| &lt;script>alert(1)&lt;/script>"
    assert shown in run_page(made.store, record)


def test_a_section_without_anything_to_show_is_not_there(made: Made) -> None:
    add_documents(made)
    assert "toys" not in Page(render(made.store, made.record())).texts
    assert "Toys by size" not in run_page(made.store, made.record())


@pytest.mark.parametrize(("state", "shown"), [("gone", False), ("half gone", True)])
def test_what_a_section_cannot_read_is_named_and_the_others_are_shown(made: Made, state: str, shown: bool) -> None:
    add_index(made, add_documents(made))
    record = made.record(toys=state)
    page = Page(render(made.store, record))
    assert ("toys" in page.texts) == shown
    assert "toys: expected its manifest" in page.text("problems")
    assert "50,123" in page.text("search")
    assert re.search(r"## Not shown\n\n- artifact .*toys: expected its manifest", run_page(made.store, record))


def test_a_declared_product_is_among_what_is_live(made: Made) -> None:
    ref = things_ref(1)
    commit_things(made.store, ref, seed=1)
    Pointer(made.store, "shop", THINGS.name).promote(ref, gates=[], reason="run 1")
    text = Page(render(made.store, made.record())).text("live")
    assert f"Box of toys {ref} Generation 1 (promote), since" in text


def test_the_lineage_of_every_product_is_on_the_page_of_the_run(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    index = add_index(made, add_documents(made))
    toys = things_ref(1)
    commit_things(made.store, toys, seed=1)
    shown: list[str] = []
    monkeypatch.setattr(
        fingerpost.flows.run.page, "create_markdown_artifact", lambda *, markdown, **_: shown.append(markdown)
    )
    _show_lineage(made.store, made.record(refs={"index": index, "toys": str(toys)}), "a run")
    [page] = shown
    assert re.findall(r"Lineage of `([^`]*)`", page) == [index, str(toys)]
    assert page.count("](data:image/svg+xml;base64,") == 2


def test_rows_are_quarantined_by_input_with_the_share_of_that_input(made: Made) -> None:
    for stage, part, bad, share in (
        ("import_documents", "", 3, 0.002425),
        ("import_interactions", "", 0, 0.0),
        ("import_embeddings", "embeddings", 5, 0.5),
        ("import_images", "embeddings", 7, 0.7),
        ("import_toys", "", 1, 0.01),
        ("import_others", "spare", 2, 0.2),
    ):
        quality = {"documents": 10, "quarantined": bad, "quarantine_share": share}
        made.stage(stage, corpus.DOCUMENTS, {}, quality, companions={corpus.QUARANTINE.name: add_quarantine(made, bad)})
        made.stages[-1]["part"] = part
    record = made.record()
    found = gather_all(made.store, record).quarantines
    assert [(one.title, one.rows, one.share) for one in found] == [
        ("documents", 3, 0.002425),
        ("interactions", 0, 0.0),
        ("embeddings", 5, 0.5),
        ("images", 7, 0.7),
        ("toys", 1, 0.01),
        ("import_others (spare)", 2, 0.2),
    ]
    text = Page(render(made.store, record)).text("quarantine")
    assert re.search(
        r"Documents 3 rows.*0\.242 %.*Interactions None.*Embeddings 5 rows.*50 %.*Images 7 rows.*Toys 1 rows.*1 %", text
    )
    said = run_page(made.store, record)
    assert re.search(r"documents: 3 rows .*\(0\.242 % of the input\)", said)
    assert re.search(r"interactions: 0 rows .*\(0 % of the input\)", said)
    assert re.search(r"embeddings: 5 rows .*\(50 % of the input\)\.\n\n\| reason \| rows \|", said)


@pytest.mark.parametrize(
    ("failed", "title"),
    [
        ("import_documents", "Documents"),
        ("import_documents (embeddings)", "Embeddings"),
        ("import_images (embeddings)", "Images"),
        ("import_toys", "Toys"),
    ],
)
def test_a_refused_input_is_named(made: Made, failed: str, title: str) -> None:
    error = f"QuarantineLimitError: expected at most 5.0% bad rows; the rows are in {add_quarantine(made, 4)}"
    record = made.record(state="failed", error=error, failed_stage=failed)
    text = Page(render(made.store, record)).text("quarantine")
    assert re.search(rf"{title} 4 rows were quarantined\. .*no label 4", text)
    assert re.search(rf"{title.lower()}: 4 rows were quarantined\.", run_page(made.store, record))


def test_a_quarantine_that_is_gone_is_named(made: Made) -> None:
    add_documents(made)
    gone = made.stages[-1]["companions"][corpus.QUARANTINE.name]
    made.store.files.remove(gone)
    page = Page(render(made.store, made.record()))
    assert gone in page.text("problems")
    assert "1,234 documents" in page.text("")


@pytest.mark.parametrize("domain", [domain for domain in domains.DOMAINS if domain.report], ids=lambda one: one.word)
def test_what_a_section_names_is_there(domain: Domain) -> None:
    section = domain.report
    assert section is not None
    for reference in filter(None, (section.gather, section.plots, section.tables, section.cards)):
        assert callable(named(reference))
    if section.template:
        assert section.template.partition(":")[0].endswith(".report"), "setup.py packages the HTML of these"
        assert _environment().get_template(section.template)


def test_figures_show_numbers_of_questions_as_counts() -> None:
    tables = figure_tables(
        {"method": method, "setting": "titles", "metric": metric, "value": value}
        for method, metric, value in (("3 : 1", "mrr", 0.9171), ("3 : 1", "questions", 1300.0), ("1 : 1", "mrr", 0.5))
    )
    assert page_tables("Weights", Choices([], tables))[1].rows == [
        ("3 : 1", "0.9171", "1,300"),
        ("1 : 1", "0.5000", "–"),
    ]
    macro = '{% from "fingerpost.flows.report:choices.html" import figure_table %}{{ figure_table(tables[0]) }}'
    shown = _environment().from_string(macro).render(tables=tables)
    assert re.findall(r'<td class="n">(.*?)</td>', shown) == ["0.9171", "1,300", "0.5000", "–"]
