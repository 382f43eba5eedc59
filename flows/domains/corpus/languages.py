"""A note about texts whose letters mostly become no terms."""

from fingerpost.flows.run.runtime import Run
from fingerpost.schemas.refs import Ref


def note_language(run: Run, analyzer: Ref) -> None:
    """Notes the warning of the analyzer, if it has one, when it is chosen."""
    if not run.env.planning and any(record.computed and record.ref == str(analyzer) for record in run.env.records):
        warning = run.env.store.manifest(analyzer).quality["warning"]
        if warning:
            run.note(str(warning))
