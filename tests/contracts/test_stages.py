"""The modules of ``tasks/<domain>/stages/``: short wrappers that read, call and write."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import fingerpost.tasks
from fingerpost.flows.run.catalog import stages

WRAPPER_LINES, FUNCTION_LINES = 20, 40


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """All functions and methods of a module."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def lines(function: ast.FunctionDef) -> int:
    """Lines of a function's body, without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0  # type: ignore[operator]


def long_wrappers(tree: ast.Module, names: set[str]) -> list[str]:
    """The stages among a module's functions whose bodies are too long, with the lines that they have."""
    found = [(function.name, lines(function)) for function in functions(tree) if function.name in names]
    return [f"{name}: {count} lines" for name, count in found if count > WRAPPER_LINES]


def long_functions(tree: ast.Module) -> list[str]:
    """The functions of a module that are too long, signature and docstring left out."""
    return [f"{one.name}: {lines(one)} lines" for one in functions(tree) if lines(one) > FUNCTION_LINES]


def test_every_stage_is_a_signature_and_a_few_lines() -> None:
    modules = {Path(inspect.getfile(stage.function)): set[str]() for stage in stages().values()}
    for stage in stages().values():
        modules[Path(inspect.getfile(stage.function))].add(stage.name)
    assert sum(map(len, modules.values())) == len(stages()) >= 42
    found = [text for path, names in modules.items() for text in long_wrappers(ast.parse(path.read_text()), names)]
    assert found == [], f"expected at most {WRAPPER_LINES} lines in a stage; move logic to a function, or a pure module"


def test_no_function_beside_a_stage_is_long() -> None:
    paths = sorted(Path(fingerpost.tasks.__path__[0]).glob("*/stages/*.py"))
    assert len(paths) >= 12
    found = [
        f"{path.parent.parent.name} {text}" for path in paths for text in long_functions(ast.parse(path.read_text()))
    ]
    assert found == []


def test_a_long_stage_is_found_by_its_name() -> None:
    body = "\n".join(f"    x{line} = {line}" for line in range(WRAPPER_LINES))
    short, long = f'def short(run):\n    """Said."""\n{body}\n', f"def long(run):\n{body}\n    return x0\n"
    assert long_wrappers(ast.parse(short + long), {"short", "long"}) == [f"long: {WRAPPER_LINES + 1} lines"]
    assert long_functions(ast.parse(short + long)) == []
    assert long_functions(ast.parse(f"def longer(run):\n{body}\n{body}\n    return x0\n")) == ["longer: 41 lines"]
