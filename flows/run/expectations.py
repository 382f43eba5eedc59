"""What the stages of a run will cost where they were never computed: from the size of the input, by the domains' models."""

from collections.abc import Mapping
from functools import cache

from fingerpost.flows.domains import DOMAINS, named
from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.run.input_days import several_days
from fingerpost.flows.run.rewriting import rewriting
from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs import SAMPLE
from fingerpost.schemas.inputs.files import input_files
from fingerpost.schemas.inputs.outlook import Outlook, outlook_of
from fingerpost.tasks.ledger import Estimate

#: Path, mapping of columns, and the files with their sizes and times of change: what an outlook depends on.
_Input = tuple[str, tuple[tuple[str, str], ...], tuple[tuple[str, int, int], ...]]


class Expectations:
    """The expected cost of stages over the input of a run, told when it is asked for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[str, Mapping[str, Estimate]] = {}

    def of(self, word: str, stage: str) -> Estimate | None:
        """The expected cost of a domain's stage; None where it cannot be told."""
        if word not in self._known:
            self._known[word] = self._costs(word)
        return self._known[word].get(stage)

    def _costs(self, word: str) -> Mapping[str, Estimate]:
        costs = next((domain.costs for domain in DOMAINS if domain.word == word), "")
        outlook = outlook_on(self._settings) if costs else None
        found: Mapping[str, Estimate] = {} if outlook is None else named(costs)(self._settings, outlook)
        return found


def outlook_on(settings: Settings) -> Outlook | None:
    """The outlook of the input of a run; None for the built-in sample, several days, or what cannot be read."""
    source = settings.input.source
    if source in ("", SAMPLE) or several_days(settings, "input.source") or rewriting.get() is not None:
        return None
    try:
        files = tuple((str(file), (at := file.stat()).st_size, at.st_mtime_ns) for file in input_files(source))
        return _outlook((source, tuple(sorted(settings.input.columns.items())), files))
    except (InputError, OSError):
        return None  # the stage that imports it says what is wrong


@cache
def _outlook(key: _Input) -> Outlook:
    return outlook_of(key[0], dict(key[1]))
