"""What the stages of a run will cost where they were never computed: from the size of the input, by the domains' models.

Where earlier runs of the store computed a stage that a model had told the cost of, the model is corrected by what it
then took.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache, cached_property
from statistics import median
from typing import Any

from fingerpost.flows import domains
from fingerpost.flows.domains import DOMAINS, FileUse, named
from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.run.cost_laws import machine_slowness, processes
from fingerpost.flows.run.input_days import several_days
from fingerpost.flows.run.loggers import warn
from fingerpost.flows.run.rewriting import rewriting
from fingerpost.schemas.errors import FingerpostError, InputError
from fingerpost.schemas.inputs import SAMPLE
from fingerpost.schemas.inputs.days import DAY
from fingerpost.schemas.inputs.files import input_files
from fingerpost.schemas.inputs.outlook import Outlook, TableOutlook, outlook_of, table_outlook
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import Estimate, full_name, runs

#: Path, mapping of columns, and the files with their sizes and times of change: what an outlook depends on.
_Input = tuple[str, tuple[tuple[str, str], ...], tuple[tuple[str, int, int], ...]]
#: The runs whose records correct models, and the most that they do.
_RUNS, _MOST = 20, 8.0
#: Seconds and bytes of a stage below which what it took says nothing of a larger input.
_TELLING_SECONDS, _TELLING_BYTES = 1.0, 1_000_000


class Inputs:
    """What a run reads, as far as it can be told from the metadata and first rows of its files."""

    def __init__(self, settings: Settings, flow: str) -> None:
        self.settings, self.flow = settings, flow

    @cached_property
    def documents(self) -> Outlook | None:
        """The documents; None for the built-in sample, several days, or what cannot be read."""
        return outlook_on(self.settings)

    @cached_property
    def sample_share(self) -> float | None:
        """The number of the built-in sample's source files over that of the whole; None where it is not the input."""
        from fingerpost.schemas.inputs.python_docs.sizes import number_of_sources

        if self.settings.input.source != SAMPLE or rewriting.get() is not None:
            return None
        with suppress(InputError):  # the stage that reads it says what is wrong
            return number_of_sources(self.settings.input.distributions) / SAMPLE_SOURCES
        return None

    def table(self, word: str, *forms: str) -> TableOutlook | None:
        """The rows of the first file of a domain in one of the forms; None where there is none or it cannot be read."""
        use = next((use for use in self.uses(word) if use.form in forms), None)
        return None if use is None else _table_on(use)

    def uses(self, word: str) -> Sequence[FileUse]:
        """The user's files that the flow reads for a domain; none of several days."""
        found = domains.files_read(self.settings, self.flow).get(domains.domain_of(word), [])
        return [] if rewriting.get() is not None else [use for use in found if DAY not in use.path]

    @property
    def workers(self) -> int:
        """The processes that share the work of shards; 1 where these run one by one."""
        return processes(self.settings.run.workers, cluster=bool(self.settings.run.cluster))


#: The number of source files of the whole sample, at which the domains' models were measured.
SAMPLE_SOURCES = 5_406


class Expectations:
    """The expected cost of stages over the input of a run, told when it is asked for."""

    def __init__(self, settings: Settings, flow: str) -> None:
        self._inputs, self._store = Inputs(settings, flow), settings.store
        self._known: dict[str, Mapping[str, Estimate]] = {}

    def of(self, word: str, stage: str) -> Estimate | None:
        """The expected cost of a stage by full name, whose contract is of a domain; None where it cannot be told."""
        own = [domain for domain in DOMAINS if domain.word == word or domain.flow_name == self._inputs.flow]
        for domain in dict.fromkeys([*own, *DOMAINS]):
            if (told := self._of(domain.word).get(stage)) is not None:
                return self._corrected(stage, told)
        # Of a part that no model names, such as a day.
        told = self._of(word).get(stage.partition(" (")[0]) if word in {domain.word for domain in DOMAINS} else None
        return None if told is None else self._corrected(stage, told)

    def _of(self, word: str) -> Mapping[str, Estimate]:
        if word not in self._known:
            costs = domains.domain_of(word).costs
            try:
                self._known[word] = named(costs)(self._inputs) if costs else {}
            except FingerpostError as problem:
                # What is wrong with an input is said by the check of inputs, or by the stage that reads it.
                warn(logging.getLogger("fingerpost.plan"), f"The cost of {word} is not known", problem)
                self._known[word] = {}
        return self._known[word]

    def _corrected(self, stage: str, told: Estimate) -> Estimate:
        ratios = self._earlier.get(stage)
        if ratios is None:
            return told
        seconds, stored = ratios
        return replace(
            told, seconds=round(told.seconds * seconds, 2), bytes=round(told.bytes * stored), basis="corrected"
        )

    @cached_property
    def _earlier(self) -> Mapping[str, tuple[float, float]]:
        """What stages took in earlier runs over what models had told, in seconds and bytes, by full name."""
        found: dict[str, list[tuple[float, float]]] = {}
        for run in runs(Store(self._store), newest=_RUNS):
            for stage in run["stages"]:
                told = stage.get("estimate") or {}
                if stage.get("computed") and told.get("basis") == "size" and not stage.get("shards_resumed"):
                    name = full_name(stage["stage"], stage.get("part", ""))
                    found.setdefault(name, []).append(_ratios(stage, told))
        return {name: (median(r[0] for r in ratios), median(r[1] for r in ratios)) for name, ratios in found.items()}


def _ratios(stage: Mapping[str, Any], told: Mapping[str, Any]) -> tuple[float, float]:
    def ratio(actual: float, expected: float, telling: float) -> float:
        if min(actual, expected) < telling:
            return 1.0
        return min(max(actual / expected, 1 / _MOST), _MOST)

    return (
        ratio(stage["seconds"], told["seconds"], _TELLING_SECONDS),
        ratio(stage["bytes"], told["bytes"], _TELLING_BYTES),
    )


def basis_text(stages: Sequence[Estimate]) -> str:
    """Where expected costs are from, in a sentence; empty without any."""
    counts = {basis: sum(cost.basis == basis for cost in stages) for basis in ("run", "size", "corrected")}
    texts = {
        "run": "as it was computed last",
        "size": f"from the size of the input, by a measurement of this machine ({machine_slowness():.2f} of the reference"
        " machine's seconds)"
        if counts["size"]
        else "",
        "corrected": "from the size of the input, corrected by what earlier runs in this store took",
    }
    found = [f"{count} {texts[basis]}" for basis, count in counts.items() if count]
    return f"Costs of stages: {'; '.join(found)}" if found else ""


def outlook_on(settings: Settings) -> Outlook | None:
    """The outlook of the input of a run; None for the built-in sample, several days, or what cannot be read."""
    source = settings.input.source
    if source in ("", SAMPLE) or several_days(settings, "input.source") or rewriting.get() is not None:
        return None
    try:
        return _outlook(_key(source, settings.input.columns))
    except (InputError, OSError):
        return None  # the stage that imports it says what is wrong


def _table_on(use: FileUse) -> TableOutlook | None:
    try:
        return outlook_of_rows(use)
    except (InputError, OSError, KeyError):
        return None  # as above, or a form that is no table


def outlook_of_rows(use: FileUse) -> TableOutlook:
    """The outlook of a file of rows; InputError where its first rows cannot be read, KeyError for a form without rows."""
    return _cached_rows(use.form, _key(use.path, use.columns))


def _key(path: str, columns: Mapping[str, str]) -> _Input:
    files = tuple((str(file), (at := file.stat()).st_size, at.st_mtime_ns) for file in input_files(path))
    return path, tuple(sorted(columns.items())), files


@cache
def _outlook(key: _Input) -> Outlook:
    return outlook_of(key[0], dict(key[1]))


@cache
def _cached_rows(form: str, key: _Input) -> TableOutlook:
    return table_outlook(key[0], domains.form_of(form), dict(key[1]))
