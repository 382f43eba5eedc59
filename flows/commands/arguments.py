"""How the words of a command line are read: ids and texts may begin with a dash and a digit, as numbers below zero do."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import typer
from typer.core import TyperCommand

from fingerpost.flows.run.plain_text import reader_gone

#: No option is called by a digit.
_NEGATIVE = re.compile(r"-\d")
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]


class Command(TyperCommand):
    """A command whose ids and texts may begin with a dash and a digit; other dashes need ``--`` before them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Reads the words of a command line, as the class it is derived from does."""
        parameters = self.get_params(ctx)
        values = {
            name: 0 if getattr(one, "is_flag", False) or getattr(one, "count", False) else one.nargs
            for one in parameters
            if one.param_type_name == "option"
            for name in (*one.opts, *one.secondary_opts)
        }
        positional = any(one.param_type_name == "argument" for one in parameters)
        try:
            return super().parse_args(ctx, with_ids_last(args, values) if positional else args)
        except _UsageError as problem:
            if positional and hasattr(problem, "possibilities"):
                problem.message += f". An id or text that begins with - goes after --: {ctx.command_path} -- …"  # type: ignore[attr-defined]
            raise

    def invoke(self, ctx: Any) -> Any:
        """Runs the command; one whose output nobody reads any more ends as others do."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            reader_gone()


def with_ids_last(words: Sequence[str], values: Mapping[str, int]) -> list[str]:
    """The words of a command line with its ids and texts after ``--``, if one begins with a dash and a digit.

    values: the options, and the number of words that follow each.
    """
    options, ids, rest = list[str](), list[str](), list(words)
    while rest and (word := rest.pop(0)) != "--":
        if not word.startswith("-") or word == "-" or _NEGATIVE.match(word):
            ids.append(word)
            continue
        count = _values_after(word, values)
        options += [word, *rest[:count]]
        del rest[:count]
    return [*options, "--", *ids, *rest] if any(_NEGATIVE.match(one) for one in ids) else list(words)


def _values_after(word: str, values: Mapping[str, int]) -> int:
    """How many of the next words are values of an option, or of the last of several short ones."""
    if word.startswith("--"):
        return 0 if "=" in word else values.get(word, 0)
    for place, letter in enumerate(word[1:], start=1):
        if count := values.get(f"-{letter}", 0):
            # What follows in the same word is the value.
            return count if place == len(word) - 1 else 0
    return 0
