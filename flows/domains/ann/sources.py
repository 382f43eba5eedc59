"""The source of judged queries outside the store, by the settings alone. Imports no Prefect."""

from fingerpost.flows.domains.domain import FileUse
from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.run.section import SettingsError
from fingerpost.schemas.inputs.judged import JUDGED_QUERIES, JUDGED_ROWS, JUDGEMENTS, JudgedFile, part_of_mapping
from fingerpost.schemas.inputs.suppression import Suppressed


def files_of(settings: Settings, flow: str) -> list[FileUse]:
    """The files of judged queries that a flow reads."""
    own = settings.ann.judged
    mapping, alone = tuple(sorted(own.columns.items())), not own.judgements
    if not own.queries:
        return []
    forms = {"judged rows": JUDGED_ROWS} if alone else {"judged queries": JUDGED_QUERIES, "judgements": JUDGEMENTS}
    columns = {name: dict(part_of_mapping(mapping, form, alone=alone)) for name, form in forms.items()}
    first, *second = columns
    uses = [FileUse(first, own.queries, columns[first], "ann.judged.queries")]
    return uses + [FileUse(name, own.judgements, columns[name], "ann.judged.judgements") for name in second]


def suppressed_source(settings: Settings, flow: str, suppressed: Suppressed | None) -> JudgedFile | None:
    """The files of judged queries, without suppressed keys; None without any.

    SettingsError for judgements without the queries that they are about.
    """
    own = settings.ann.judged
    if own.judgements and not own.queries:
        raise SettingsError(
            f"ann.judged.queries: expected the file of queries that {own.judgements} judges, found none named; name it"
        )
    if not own.queries:
        return None
    return JudgedFile(own.queries, own.judgements, tuple(sorted(own.columns.items())), suppressed)
