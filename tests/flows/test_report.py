"""The report's page, from records and artifacts made up here."""

import json
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fingerpost.flows.domains.ann.report.search_plots import SearchPoint, recall_distances_svg, recall_speed_svg
from fingerpost.flows.report.contents import gather
from fingerpost.flows.report.page import render, write
from fingerpost.flows.report.plots import data_uri, drawings_of, drawn_once
from fingerpost.schemas import ann, corpus
from fingerpost.schemas.chosen_settings import chosen_to_arrow, settings_to_arrow
from fingerpost.schemas.publish import Gate, Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.certificate import Certificate, CertifiedWidth
from fingerpost.tasks.ann.fusion import AnswerParams
from fingerpost.tasks.ann.search_plan import SearchPlan
from tests.support.report_pages import NASTY, Made, Page, add_documents, add_index, figure_table


def add_retrieval(made: Made) -> None:
    scores = {
        "lexical": (0.7, 0.8, 0.96),
        "dense": (0.51, 0.61, 0.9),
        "fused": (0.72, 0.82, 0.975),
        "bm25": (0.6, 0.7, 0.95),
    }
    names = ("mrr", "recall_at_10", "recall_at_100", "queries")
    figures = [
        (method, setting, metric, value * (1 if metric == "queries" else share))
        for setting, share in (("whole", 1.0), ("without_sentence", 0.5))
        for method, found in scores.items()
        for metric, value in zip(names, (*found, 400), strict=True)
    ]
    samples = pa.table(
        {
            "query": ["sort an array"] * 6,
            "rank": pa.array(range(1, 7), pa.int64()),
            "id": [f"id-{n}" for n in range(6)],
            "title": [NASTY, "second & third", *(f"title-{n}" for n in range(2, 6))],
        }
    )
    made.stage(
        "evaluate_retrieval",
        ann.RETRIEVAL,
        {"figures": figure_table(figures), "samples": samples},
        {"known_items": 400.0, "fused_mrr": 0.72, "bm25_mrr": 0.6, "bm25_k1": 1.2, "bm25_b": 0.75},
        measured={"milliseconds_per_query": {"lexical": 0.0987, "dense": 0.1234, "fused": 0.456}},
    )


def add_tuning(made: Made, **quality: float) -> None:
    figures = figure_table(
        [
            ("words", "halves of documents", "mrr", 0.5),
            ("words", "halves of documents", "recall_at_10", 0.75),
            ("words 0.7, vectors 0.3", "halves of documents", "mrr", 0.625),
            ("words 0.9, vectors 0.1", "halves of documents", "mrr", 0.375),
        ]
    )
    blend = AnswerParams(dense_share=0.3, near_share=0.0, feedback=None)
    chosen = [
        ("dense", "0.3", True, "MRR rises by 0.125"),
        ("feedback", "none", False, NASTY),
    ]
    tables = {"settings": settings_to_arrow(blend.values()), "chosen": chosen_to_arrow(chosen), "figures": figures}
    made.stage("tune_search", ann.TUNING, tables, quality)


def add_terms(made: Made, *, warning: str = "") -> None:
    quality = {"language": "english", "reason": "94 % of the documents", "lost_letters": 0.0123, "warning": warning}
    made.stage("choose_analyzer", corpus.ANALYZER, {"settings": settings_to_arrow({"language": "english"})}, quality)
    weights = {
        "settings": settings_to_arrow({"name": 3.0}),
        "chosen": chosen_to_arrow([("name", "3", True, "MRR 0.8 rather than 0.7")]),
        "figures": figure_table([("name 1", "known items", "mrr", 0.7), ("name 3", "known items", "mrr", 0.8)]),
    }
    made.stage("choose_field_weights", corpus.FIELD_WEIGHTS, weights, {"name": 3.0})


#: Recall and milliseconds per query by search width of the ways that a made certificate chose from.
WAYS = {
    "plain": {10: (0.93, 0.05), 40: (0.985, 0.1), 160: (0.998, 0.3)},
    "fast bits4": {10: (0.91, 0.01), 40: (0.982, 0.02), 160: (0.997, 0.06)},
    "fast bits8": {10: (0.92, 0.02), 40: (0.984, 0.03), 160: (0.997, 0.1)},
    "fast bits4 finger": {10: (0.9, 0.02), 40: (0.98, 0.03), 160: (0.996, 0.09)},
}


def add_certificate(made: Made, *, target: float = 0.98) -> None:
    figures = [
        (plan, f"ef={ef}", metric, value)
        for plan, widths in WAYS.items()
        for ef, (recall, _) in widths.items()
        for metric, value in (
            ("recall", recall),
            ("deviation", 0.05),
            ("distances", 3.0 * ef),
            ("estimates", 40.0 * ef),
        )
    ]
    figures += [(plan, "index", "bytes_per_vector", 1000.0 + len(plan)) for plan in WAYS]
    seconds = {plan: {f"ef={ef}": ms / 1e3 for ef, (_, ms) in widths.items()} for plan, widths in WAYS.items()}
    made.stage("measure_searches", ann.SPEEDS, {"figures": figure_table(figures)}, {}, measured={"seconds": seconds})
    plan = SearchPlan("fast", "bits4")
    curve = tuple(
        CertifiedWidth(ef, r, r - 0.004, r + 0.002, 3.0 * ef, 40.0 * ef) for ef, (r, _) in WAYS[plan.name].items()
    )
    certificate = Certificate(plan, 10, target, 160, "documents", 2000, 0.95, curve)
    tried = [
        {"plan": name, "on": name == plan.name, "reason": f"{NASTY} {number} queries/s"}
        for number, name in enumerate(WAYS)
    ]
    tables = {
        "settings": settings_to_arrow(certificate.settings()),
        "tried": pa.Table.from_pylist(tried),
        "curve": pa.Table.from_pylist([asdict(point) for point in curve]),
    }
    made.stage("certify_search", ann.CERTIFICATE, tables, certificate.quality)


@pytest.fixture
def made(tmp_path: Any) -> Made:
    return Made(tmp_path)


def complete(made: Made, **changes: Any) -> dict[str, Any]:
    index = Ref.parse(add_index(made, add_documents(made)))
    add_retrieval(made)
    gate = Gate("recall_at_10", 0.9812, 0.95)
    pointer = Pointer(made.store, "shop", "ann.index")
    publication = asdict(pointer.promote(index, gates=[gate], reason="run 1"))
    return made.record(gates=[{"gate": str(gate), "holds": True}], publication=publication, **changes)


def test_a_complete_run_shows_everything(made: Made) -> None:
    page = Page(render(made.store, complete(made)))
    assert "shop, 2026-01-02 completed" in page.text("")
    assert re.search(r"1,234 documents 3 quarantined 64 dimensions 0\.9812 recall@10 \S+ 0\.83×", page.text(""))
    assert "1 min 23 s" in page.text("")
    assert "Generation 1 (promote), since" in page.text("live")
    assert "ended with this index live" in page.text("live")
    assert "✓ pass recall_at_10 0.9812 (at least 0.95)" in page.text("live")
    assert "All 7 stages ran." in page.text("stages")
    assert re.search(r"fit_finger ran first run 4 2 codes projections 4 2 321 7\.50 s", page.text("stages"))
    assert re.search(r"Documents 3 rows .*0\.242 %.*empty text 2 row 0, id bad-0", page.text("quarantine"))
    assert "duplicate id 1 row 1" in page.text("quarantine")
    assert "20 0.9160 50,123 200 0.9160 40,000 80 120" in page.text("search")
    assert "16 2 0.3400 256 1,984" in page.text("finger")
    assert "coded in 16 directions of 2 bits, the choice for which" in page.text("finger")
    assert "fused 0.7200 0.8200 0.9750 0.456" in page.text("retrieval")
    assert "fused 0.3600 0.4100 0.4875" in page.text("retrieval")
    assert "is 1.20 times that of plain BM25" in page.text("retrieval")
    assert "k1 (1.2) and b (0.75)" in page.text("retrieval")
    assert "build_graph ann.graph/day=2026-01-02/" in page.text("lineage")
    assert page.text("lineage").count("the input") == 1
    assert "embed_documents, build_graph, fit_finger" in page.text("lineage")
    assert "problems" not in page.texts


def test_the_page_needs_nothing_from_outside(made: Made) -> None:
    text = render(made.store, complete(made))
    page = Page(text)
    assert "http://" not in text
    assert "https://" not in text
    assert "url(" not in text
    assert "@import" not in text
    assert not page.tags & {"script", "link", "iframe", "object", "embed", "base", "form"}
    assert len(page.plots) == 4
    assert all(address.startswith("data:image/svg+xml;base64,") for address in page.addresses)
    for plot in page.plots:
        assert not re.search(r'(href|src)="(?!#)', plot)
        assert not re.search(r"url\((?!#)|@import", plot)
        assert "prefers-color-scheme: dark" in plot


def test_a_certificate_says_what_the_index_delivers_and_what_is_off(made: Made) -> None:
    add_certificate(made)
    page = Page(render(made.store, complete(made)))
    said = page.text("certificate")
    assert "With search width 160, recall@10 is 0.9970 (0.9930–0.9990), measured on 2,000 documents" in said
    assert "The lower bound reaches the wanted 0.98." in said
    assert re.search(r"fast bits4 yes 1,010 \S+", said)
    assert re.search(r"fast bits8 no 1,010 \S+", said)
    assert "0.9970 recall@10, at least 0.9930" in page.text("")
    assert "Ways to search" in render(made.store, complete(made))


def test_a_certificate_that_misses_its_target_says_so(made: Made) -> None:
    add_certificate(made, target=0.999)
    said = Page(render(made.store, complete(made))).text("certificate")
    assert "No width that was tried has a lower bound of the wanted 0.999; this one comes closest." in said


def test_what_comes_from_outside_is_escaped(made: Made) -> None:
    record = complete(made, state="failed", error=f"ValueError: {NASTY}", settings={"input.source": NASTY})
    text = render(made.store, record)
    assert "<script" not in text
    assert "<img src=x" not in text
    assert text.count("&lt;script&gt;") == 3
    assert "second &amp; third" in text


def test_how_texts_are_answered_is_shown_with_its_reasons(made: Made) -> None:
    add_index(made, add_documents(made))
    add_tuning(made, questions=321)
    shown = Page(render(made.store, made.record())).text("retrieval")
    assert "Chosen on 321 questions made from the documents: a few words of one half" in shown
    assert "dense 0.3 yes MRR rises by 0.125 feedback none no <script>" in shown
    alone, tried = "words 0.5000 0.7500 words 0.7, vectors 0.3 0.6250 –", "words 0.9, vectors 0.1 0.3750 –"
    assert f"halves of documents MRR recall@10 {alone} All 3 blends" in shown
    assert (
        f"All 3 blends that were tried on halves of documents halves of documents MRR recall@10 {alone} {tried}"
        in shown
    )


@pytest.mark.parametrize(
    ("quality", "words"),
    [
        ({}, "Chosen on no questions: these are the defaults."),
        ({"judged_queries": 112}, "on 112 of the judged queries"),
    ],
)
def test_what_answering_was_tuned_on_is_named(made: Made, quality: dict[str, float], words: str) -> None:
    add_tuning(made, **quality)
    assert words in Page(render(made.store, made.record())).text("retrieval")


def test_the_terms_of_documents_are_shown(made: Made) -> None:
    add_terms(made)
    page = Page(render(made.store, made.record()))
    assert "english language" in page.text("")
    assert "Language of the analyzer: english (94 % of the documents)." in page.text("terms")
    assert "Letters in no term 1.2 %" in page.text("terms")
    assert "2 candidates, by known items known items MRR name 1 0.7000 name 3 0.8000" in page.text("terms")


def test_a_warning_of_the_analyzer_is_shown(made: Made) -> None:
    add_terms(made, warning=f"62% of the letters become no term {NASTY}")
    text = render(made.store, made.record())
    assert "62% of the letters become no term" in Page(text).text("terms")
    assert "<img src=x" not in text


def test_sizes_and_times_of_parts_are_shown(made: Made) -> None:
    add_index(made, add_documents(made))
    add_terms(made)
    shown = Page(render(made.store, made.record())).text("index-size")
    stages = {stage["stage"]: stage for stage in made.stages}
    lexical = [stages[name] for name in ("choose_analyzer", "choose_field_weights")]
    assert f"{sum(stage['seconds'] for stage in lexical):.1f}" in shown
    assert re.search(r"lexical index 0\.\d+ \d", shown)


def test_samples_stop_at_five_answers(made: Made) -> None:
    page = Page(render(made.store, complete(made)))
    assert "title-4" in page.text("retrieval")
    assert "title-5" not in page.text("retrieval")


@pytest.mark.parametrize(
    ("speedup", "words", "absent"),
    [
        (
            0.83,
            "0.83 times as many queries per second as plain HNSW search: a ratio below 1, FINGER is slower here.",
            "search. ",
        ),
        (1.27, "1.27 times as many queries per second as plain HNSW search.", "slower"),
    ],
)
def test_the_speed_of_finger_is_said_plainly(made: Made, speedup: float, words: str, absent: str) -> None:
    add_index(made, add_documents(made), speedup=speedup)
    text = Page(render(made.store, made.record())).text("search")
    assert words in text
    assert absent not in text


def test_a_run_that_reused_all(made: Made) -> None:
    add_index(made, add_documents(made, reused=True), reused=True)
    page = Page(render(made.store, made.record()))
    assert "All 6 stages were reused; nothing had to be computed." in page.text("stages")
    assert "build_graph reused – – – 0.01 s" in page.text("stages")
    assert "empty text 2" in page.text("quarantine")
    assert "50,123" in page.text("search")


def test_vectors_alone_have_no_retrieval(made: Made) -> None:
    add_index(made, add_documents(made, bad=False))
    page = Page(render(made.store, made.record()))
    assert "retrieval" not in page.texts
    assert "None: every row" in page.text("quarantine")
    assert "Nothing of this collection is live." in page.text("live")


def test_features_alone(made: Made) -> None:
    add_documents(made)
    page = Page(render(made.store, made.record(flow="featurize_corpus")))
    assert not {"search", "finger", "retrieval"} & set(page.texts)
    assert "No gate was checked" in page.text("live")
    assert not page.plots


def test_evaluation_without_a_clock_has_no_speed_plot(made: Made) -> None:
    add_index(made, add_documents(made), timed=False)
    page = Page(render(made.store, made.record()))
    assert len(page.plots) == 2
    assert "20 0.9160 – 200 0.9160 – 80 120" in page.text("search")


def test_a_failed_gate_leaves_what_is_live(made: Made) -> None:
    complete(made)
    failed = made.record(
        state="failed",
        error="GateError: shop/ann.index: expected every gate to pass",
        gates=[{"gate": "recall_at_10 0.5 (at least 0.95)", "holds": False}],
    )
    page = Page(render(made.store, failed))
    assert "The run failed. GateError: shop/ann.index" in page.text("")
    assert "✗ fail recall_at_10 0.5" in page.text("live")
    assert "published nothing, and left the live version" in page.text("live")


def test_a_refused_input_shows_its_bad_rows(made: Made) -> None:
    add_documents(made)
    quarantine = made.stages.pop()["companions"][corpus.QUARANTINE.name]
    error = f"QuarantineLimitError: expected at most 5.0% bad rows, found 3; the rows are in {quarantine}"
    page = Page(render(made.store, made.record(state="failed", error=error)))
    assert "No stage finished." in page.text("stages")
    assert "empty text 2" in page.text("quarantine")
    assert "lineage" not in page.texts


def test_an_artifact_that_is_gone_is_named(made: Made) -> None:
    record = complete(made)
    gone = next(stage["ref"] for stage in made.stages if stage["stage"] == "evaluate_index")
    made.store.files.remove(gone)
    page = Page(render(made.store, record))
    assert "search" not in page.texts
    assert gone in page.text("problems")
    assert "fused 0.7200" in page.text("retrieval")
    assert "embed_documents, build_graph" in page.text("lineage")
    assert len(gather(made.store, record).problems) == 1


def test_write_puts_the_page_in_the_store_twice(made: Made) -> None:
    add_documents(made)
    record = made.record()
    path = write(made.store, record)
    assert path == made.store.files.path("reports/20260102T030405-abcdef.html")
    page = render(made.store, record)
    assert Path(path).read_text("utf-8") == page
    assert made.store.files.read("reports/latest.html").decode() == page
    assert "/secret/place" not in page


def test_write_returns_the_address_in_a_remote_store(made: Made) -> None:
    store = Store("memory://report-test").prepare()
    assert write(store, made.record()) == "memory:///report-test/reports/20260102T030405-abcdef.html"


@pytest.mark.parametrize("recalls", [(0.5, 0.7), (0.99, 1.0), (1.0, 1.0), (0.0, 0.0), ()])
def test_plots_stand_any_recalls(recalls: tuple[float, ...]) -> None:
    points = [SearchPoint(10 + n, recall, 100.0, 0.0, 10.0) for n, recall in enumerate(recalls)]
    for draw in (recall_speed_svg, recall_distances_svg):
        svg = draw({"hnsw": points, "other": points}, k=5)
        assert svg == draw({"hnsw": points, "other": points}, k=5)
        assert "recall@5" in svg
        assert ("ef 10" in svg) == bool(recalls)


def test_the_page_is_made_without_prefect_and_matplotlib_waits() -> None:
    code = (
        "import sys, fingerpost.flows.report.page; from fingerpost.flows import domains; from"
        " fingerpost.flows.domains.domain import named;"
        " [named(domain.report.gather) for domain in domains.DOMAINS if domain.report];"
        " sys.exit(any(m in sys.modules for m in ('matplotlib', 'prefect', 'distributed')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_plot_asked_for_again_is_not_drawn_again_and_another_one_is() -> None:
    curve = {"hnsw": [SearchPoint(20, 0.9, 100.0, 0.0, 1000.0), SearchPoint(40, 0.99, 200.0, 0.0, 500.0)]}
    first = recall_speed_svg(curve, k=10)
    assert recall_speed_svg({"hnsw": list(curve["hnsw"])}, k=10) is first
    assert recall_speed_svg(curve, k=5) != first


def test_a_plot_that_the_last_report_has_is_not_drawn_again() -> None:
    drawn = []

    def a_process() -> Any:
        """A drawing function as another process has it: nothing drawn yet."""

        @drawn_once
        def draw(values: Any) -> str:
            drawn.append(values)
            return f"<svg>{len(drawn)}</svg>"

        return draw

    # Alike but for one value in the middle, and for its last digit.
    values, other, close = np.zeros(5000), np.zeros(5000), np.zeros(5000)
    other[2500], close[2500] = 1.0, 1.0 + 2e-16
    first = a_process()(values)
    with drawings_of(f'<p><img src="{data_uri(first)}"><img src="data:image/svg+xml;base64,AAAA"></p>'):
        assert a_process()(values.copy()) == first
        assert len(drawn) == 1
        again = a_process()
        assert len({first, again(other), again(close)}) == 3
    assert len(drawn) == 3
    assert a_process()(values) != first


def test_the_report_of_a_run_that_changed_nothing_draws_nothing(made: Made) -> None:
    record = complete(made)
    page = Path(write(made.store, record)).read_text("utf-8")
    code = (
        "import json, sys; from fingerpost.flows.report.page import write; from fingerpost.schemas.store import Store;"
        " write(Store(sys.argv[1]), json.loads(sys.argv[2])); sys.exit('matplotlib' in sys.modules)"
    )
    command = [sys.executable, "-c", code, made.store.url, json.dumps(record)]
    assert subprocess.run(command, check=False).returncode == 0
    assert made.store.files.read("reports/latest.html").decode() == page
