"""The input files of a run, before anything starts: that they are there, and which a run may wait for. Imports no Prefect."""

from collections.abc import Iterator

from fingerpost.flows import domains
from fingerpost.flows.domains.domain import Domain, FileUse, named
from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.run.flow_names import NIGHTLY
from fingerpost.flows.run.input_days import check_own_day, has_own_import
from fingerpost.flows.run.profiles import value_at
from fingerpost.schemas.inputs.days import DAY
from fingerpost.schemas.inputs.files import input_files
from fingerpost.schemas.inputs.forms import checked_mapping
from fingerpost.schemas.inputs.local_paths import check_local


def check_inputs(settings: Settings, flow: str) -> None:
    """InputError, before anything starts, for an input file that is missing or has an unsupported form.

    ColumnMappingError for a mapping of a column that no file of its kind has.
    """
    for domain, uses in _uses(settings, flow):
        for use in uses:
            check_local(use.path)
            checked_mapping(use.columns, domains.form_of(use.form))
        daily = [use for use in uses if DAY in use.path]
        # Several days are read; the run itself looks for the earlier ones.
        for use in daily:
            check_own_day(settings, use.path, _imports(domain))
        if not daily and hasattr(source := named(domain.source)(settings, flow, None), "check"):
            source.check()
            continue
        for use in uses:
            if use not in daily:
                input_files(use.path)


def files_of_day(settings: Settings, flow: str) -> list[str]:
    """The paths of all files that a flow reads for the day of the settings, each once, in the order of the domains.

    Without the file of a day whose import the store has, and that a run over several days reads in its place. InputError
    for a URL, which no run reads, however long it waits.
    """
    paths = []
    for domain, uses in _uses(settings, flow):
        for use in uses:
            if DAY not in use.path:
                paths.append(use.path)
            elif not has_own_import(settings, _imports(domain)):
                paths.append(use.path.replace(DAY, settings.day))
    for domain in domains.DOMAINS:
        if flow in (NIGHTLY, domain.flow_name):
            paths += [str(value_at(settings, keys[0].split("."))) for keys in domain.files_of.values()]
    found = [path for path in dict.fromkeys(paths) if path]
    for path in filter(None, (*found, settings.schedule.wait_marker)):
        check_local(path)
    return found


def _uses(settings: Settings, flow: str) -> Iterator[tuple[Domain, list[FileUse]]]:
    """The domains with files that a flow reads, and these files."""
    read = domains.files_read(settings, flow)
    own = {use.path for domain, uses in read.items() if domain.flow_name == flow for use in uses}
    for domain, uses in read.items():
        if flow == NIGHTLY:
            reads = not (domain.skipped and named(domain.skipped)(settings))
        else:
            reads = any(domain in domains.with_needs(other) for other in domains.DOMAINS if other.flow_name == flow)
        # A flow that has a file of its own does not read the same one for a domain that it would need otherwise.
        if reads and (domain.flow_name == flow or not own & {use.path for use in uses}):
            yield domain, uses


def _imports(domain: Domain) -> list[str]:
    return [file.day_artifact for file in domain.inputs if file.day_artifact]
