"""Which input a run reads."""

from flows.runtime import Run
from flows.settings import Settings
from schemas.inputs.sources import FileSource, InputSource, PythonDocsSource
from schemas.refs import Ref
from tasks.corpus.stages import extract_documentation


def input_of(settings: Settings) -> "Ref | InputSource":
    """A user's file, or the extracts of the built-in sample."""
    given = settings.input
    if given.source != "python-docs":
        return FileSource(given.source, tuple(sorted(given.columns.items())))
    return extract_documentation(PythonDocsSource(given.distributions), distributions=given.distributions)


def computes_vectors(run: Run, documents: Ref) -> bool:
    """Whether vectors are made from the texts, rather than taken from the input."""
    choice = run.settings.input.vectors
    return choice == "computed" or (choice == "auto" and bool(run.env.store.manifest(documents).quality["texts"]))
