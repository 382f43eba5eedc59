"""How texts are answered, for the report, read from the artifact of the choice."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fingerpost.flows.report.choices import Choices, FigureTable, read_choices
from fingerpost.schemas import ann
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.blend_reasons import blend_name
from fingerpost.tasks.ann.fusion import only_dense, only_lexical
from fingerpost.tasks.ann.open import read_answer_params


@dataclass(frozen=True)
class Tuning:
    """What was chosen, with its reasons. alone: what each part alone and the chosen blend reach, of each kind of question.

    questions: what it was chosen on, as people read it.
    """

    choices: Choices
    alone: list[FigureTable]
    questions: str


def read_tuning(store: Store, stage: Mapping[str, Any]) -> Tuning:
    """The choice of a stage's artifact."""
    chosen = read_answer_params(store.open(Ref.parse(stage["ref"]), ann.TUNING))
    words = only_lexical(replace(chosen, feedback=None))
    blends = (words, only_lexical(chosen), only_dense(chosen), chosen)
    names = dict.fromkeys(blend_name(blend) for blend in blends)
    choices = read_choices(store, stage, ann.TUNING)
    alone = [FigureTable(table.setting, table.metrics, table.rows_of(names)) for table in choices.tables]
    return Tuning(choices, alone, _questions(stage["quality"]))


def _questions(quality: Mapping[str, Any]) -> str:
    """What was chosen on."""
    given, made = (int(quality.get(name, 0)) for name in ("judged_queries", "questions"))
    if given:
        return f"{given:,} of the judged queries, which no figure of judged queries below counts"
    if not made:
        return "no questions: these are the defaults"
    return f"{made:,} questions made from the documents: a few words of one half of a document ask for the other half"
