"""Search in many scripts through the whole flow: words inside lines, marks, forms of identifiers."""

import csv

import pytest

from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.start import run_flow
from fingerpost.tasks.ann.open import LiveIndex, live
from fingerpost.tasks.corpus.runs import RUN

pytestmark = pytest.mark.usefixtures("plain_runs")

#: Lines, and words of two characters or more inside them, which find their line first.
LINES = {
    "黄河入海流，欲穷千里目。": ["黄河", "入海", "海流", "千里", "千里目", "黄"],
    "机器学习模型的训练数据": ["机器", "学习", "模型", "训练", "数据", "机器学习"],
    "東京タワーに登りました。": ["東京", "タワー", "東京タワー", "登り"],
    "データベースを検索する": ["データ", "ベース", "検索", "ﾃﾞｰﾀﾍﾞｰｽ"],
    "น้ำดื่มสะอาดในขวด": ["น้ำ", "ดื่ม", "สะอาด", "ขวด"],
    "ภาษาไทยไม่มีช่องว่าง": ["ภาษา", "ไทย", "ช่องว่าง", "ไม่มี"],
    "आज का दिन अच्छा है": ["आज", "दिन", "अच्छा"],
    "हिन्दी में किताबें पढ़ो": ["हिन्दी", "किताबें", "पढ़ो"],
    "كِتَابٌ جَدِيدٌ على الطاولة": ["كتاب", "كِتَابٌ", "جديد", "الطاولة"],
    "اللغة العربية جميلة": ["اللغة", "العربية", "جميلة"],
    "les cafe\u0301s du port": ["cafés", "cafe\u0301s", "CAFÉS", "port"],
    "pandas.read_csv": ["read_csv", "readcsv", "ReadCsv", "pandas.read_csv", "csv"],
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, plain_runs: None) -> LiveIndex:
    folder = tmp_path_factory.mktemp("scripts")
    with (folder / "lines.csv").open("w", newline="") as file:
        rows = [[f"line-{number}", line] for number, line in enumerate(LINES)]
        csv.writer(file).writerows([["id", "text"], *rows])
    request = RunRequest(
        profile="tiny",
        store=str(folder / "store"),
        input=str(folder / "lines.csv"),
        collection="lines",
        settings={"corpus.analyzer.language": "auto", "ann.gates.sample_documents": 1},
    )
    run_flow("build_ann_index", request, quiet=True)
    return live("lines", store=request.store)


@pytest.mark.parametrize("line", LINES)
def test_every_word_inside_a_line_finds_it(index: LiveIndex, line: str) -> None:
    assert index.analyzer.params.language == "none"
    for word in LINES[line]:
        found = index.query(word, k=3, explain=True)
        assert found.missing == (), word
        assert [answer.id for answer in found.answers][:1] == [f"line-{list(LINES).index(line)}"], word
        assert found.answers[0].terms, word


def test_every_part_of_a_line_without_spaces_finds_it(index: LiveIndex) -> None:
    for number, line in enumerate(LINES):
        for run in RUN.finditer(line):
            pieces = {run[0][a:b] for a in range(len(run[0])) for b in range(a + 2, min(a + 5, len(run[0])) + 1)}
            for piece in sorted(pieces):
                assert f"line-{number}" in {answer.id for answer in index.query(piece, k=3).answers}, piece


def test_a_word_that_no_line_has_is_named(index: LiveIndex) -> None:
    assert index.query("किताब दिन", k=1).missing == ("किताब",)
