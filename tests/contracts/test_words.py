"""Prose in the field's standard terms: words that the glossary of CONTRIBUTING.md replaces are found and named.

Read are docstrings, error messages and other string literals of prose, stubs, help texts of all commands, descriptions of
all settings, templates, and the documents for readers. Only words without a legitimate use are looked for; keys of JSON,
settings and stored tables are single words, not prose, and so are not read.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from pydantic import BaseModel

from fingerpost.flows.cli import application
from fingerpost.flows.domains.settings import Settings

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "fingerpost"
FOLDERS = ("flows", "tasks", "schemas", "ext")
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "infra/RUNBOOK.md")
#: A pattern of words, and what is written instead.
GLOSSARY = {
    r"mend(s|ed|ing)?": "fix",
    r"anew": "rebuilt, rerun, recomputed",
    r"made again|makes? (it|them|these) again": "rebuilt, rerun",
    r"set(s|ting)? aside": "quarantined",
    r"kept back|keeps? back": "held out, withheld",
    r"hush(es|ed)?|quieten(s|ed)?": "silence",
    r"no lone|lone": "singleton",
    r"chances?(?! to\b|:)": "probability",
    r"gates? holds?|gates that hold|gate (did|does) not hold": "gates pass, gate missed",
    r"algorithms\.md|the article": "paper, section, equation",
    r"what comes of it|what came of it|what becomes? of|what became of": "result, outcome",
    r"steer(s|ed|ing)?": "control",
    r"(took|takes?|taken) over": "import, copy, carry over",
    r"(came|come|comes) or (went|go|goes)|came, went": "added or removed",
    r"a line a \w+|one \w+ a (stage|shard|flow|day|method|seed)": "one per",
    r"so many (days|rows|more|shards|queries|labels)": "N, maximum number of",
    r"(is|are) worth it": "justified, significant",
    r"(trained|answered|made|written|done) otherwise": "differently",
    r"in words": "human-readable",
}
_WORDS = {re.compile(rf"\b(?:{pattern})(?!\w)", re.IGNORECASE): term for pattern, term in GLOSSARY.items()}
#: What the prose of the words themselves quotes: the glossary in CONTRIBUTING.md is in standard terms only.
_QUOTED = re.compile(r"``[^`]*``|`[^`]*`|\"[^\"\s]*\"")


def replaced(text: str) -> list[str]:
    """The words of a text that the glossary replaces, each with what is written instead."""
    prose = " ".join(_QUOTED.sub(" ", text).split())
    return [f"{hit.group()!r}: write {term}" for word, term in _WORDS.items() for hit in word.finditer(prose)]


def _literals(path: Path) -> Iterator[tuple[int, str]]:
    """Docstrings, and string literals of several words, with their lines; the pieces of an f-string as one text."""
    tree = ast.parse(path.read_text("utf-8"))
    pieces = {id(piece) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for piece in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in pieces:
            text = node.value
        else:
            continue
        if len(text.split()) > 2:
            yield node.lineno, text


def _comments(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if line.lstrip().startswith("#"):
            yield number, line.lstrip("# :")


def _problems(path: Path, texts: Iterator[tuple[int, str]]) -> list[str]:
    return [f"{path.relative_to(ROOT)}:{line}: {word}" for line, text in texts for word in replaced(text)]


@pytest.mark.parametrize("folder", FOLDERS)
def test_prose_of_the_code_is_in_standard_terms(folder: str) -> None:
    files = sorted([*(PACKAGE / folder).rglob("*.py"), *(PACKAGE / folder).rglob("*.pyi")])
    assert files, f"{folder}: expected modules, found none"
    found = [problem for file in files for read in (_literals, _comments) for problem in _problems(file, read(file))]
    assert found == [], "\n".join(found)


def test_templates_and_documents_are_in_standard_terms() -> None:
    files = [*(PACKAGE / "flows").rglob("*.html"), *(ROOT / name for name in DOCUMENTS)]
    found = [
        problem
        for file in files
        for problem in _problems(file, enumerate(file.read_text("utf-8").splitlines(), start=1))
    ]
    assert found == [], "\n".join(found)


def _helps(command: typer.core.TyperGroup | typer.core.TyperCommand, name: str) -> Iterator[tuple[str, str]]:
    yield name, command.help or ""
    yield from ((f"{name} {option.name}", getattr(option, "help", "") or "") for option in command.params)
    for word, part in getattr(command, "commands", {}).items():
        yield from _helps(part, f"{name} {word}")


def test_help_is_in_standard_terms_and_complete_in_itself() -> None:
    helps = list(_helps(typer.main.get_command(application()), "fingerpost"))  # type: ignore[arg-type]
    assert len(helps) > 100
    found = [f"{name}: {word}" for name, text in helps for word in replaced(text)]
    found += [f"{name}: expected a help that is read alone, got {text!r}" for name, text in helps if _leans(text)]
    assert found == [], "\n".join(found)


def _descriptions(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, field in section.model_fields.items():
        yield f"{prefix}{name}", field.description or ""
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _descriptions(field.annotation, f"{prefix}{name}.")


def _leans(text: str) -> bool:
    """Whether a description can only be understood after the one before it."""
    return text.lower().startswith(("the same", "and ", "of these", "instead:", "whose ", "these ", "it "))


def test_descriptions_of_settings_are_in_standard_terms_and_complete_in_themselves() -> None:
    described = [(key, text) for key, text in _descriptions(Settings) if text]
    assert len(described) > 50
    found = [f"{key}: {word}" for key, text in described for word in replaced(text)]
    found += [
        f"{key}: expected a description that is read alone, got {text!r}" for key, text in described if _leans(text)
    ]
    assert found == [], "\n".join(found)


@pytest.mark.parametrize(
    "text",
    ["; mend the file", "rows were set aside", "the chance that each is right", "a line a stage", "if its gates hold"],
)
def test_a_replaced_word_is_found(text: str) -> None:
    assert replaced(text)


@pytest.mark.parametrize("text", ["recommend", "amended", "the key `chance`", "probability", "gates pass", "an alone"])
def test_a_standard_word_is_not(text: str) -> None:
    assert replaced(text) == []
