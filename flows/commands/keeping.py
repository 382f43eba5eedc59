"""The commands that remove and keep artifacts: gc, pin and unpin."""

from typing import Annotated

import typer

from fingerpost.flows.commands.options import JsonOption, StoreOption, collection_option, opened
from fingerpost.flows.run.plain_text import echo, echo_json

_REF = "reference name/day=YYYY-MM-DD/fingerprint, as `fingerpost history` prints it"


def gc(
    keep_days: Annotated[
        int, typer.Option(min=0, max=36_500, help="keep every artifact of this many days, including today")
    ] = 30,
    keep_rollbacks: Annotated[
        int, typer.Option(min=0, help="number of earlier live versions that are kept for rollbacks, whatever their age")
    ] = 10,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would be removed, without removing it")] = False,
    explain: Annotated[
        str,
        typer.Option(
            metavar="REF", help="show why this artifact is kept, without removing anything", show_default=False
        ),
    ] = "",
    as_json: JsonOption = False,
    store: StoreOption = "",
) -> None:
    """Removes artifacts that no live version, rollback target, pin, recent or newest artifact or running flow needs.

    Examples:

        fingerpost gc --keep-days 30 --dry-run

        fingerpost gc --explain ann.index/day=2026-01-02/0123456789abcdef
    """
    from fingerpost.flows.ops.keep import gc as work
    from fingerpost.flows.ops.keep.gc_tables import show_explanation, show_plan
    from fingerpost.schemas.errors import CorruptArtifactError
    from fingerpost.schemas.refs import Ref

    there = opened(store)
    if explain:
        ref = Ref.parse(explain)
        plan = work.plan_collection(there, keep_days=keep_days, keep_rollbacks=keep_rollbacks)
        show_explanation(work.explain(plan, ref), as_json=as_json)
        return
    act = work.plan_collection if dry_run else work.collect
    plan = act(there, keep_days=keep_days, keep_rollbacks=keep_rollbacks)
    if as_json:
        echo_json(plan.as_json(dry_run=dry_run))
    else:
        show_plan(plan, dry_run=dry_run)
    if plan.problem:
        raise CorruptArtifactError(plan.problem)


def pin(
    reference: Annotated[str, typer.Argument(metavar="REF", help=_REF)],
    reason: Annotated[str, typer.Option(help="reason, for whoever finds the pin later")] = "",
    store: StoreOption = "",
) -> None:
    """Keeps an artifact and all that it was made from until it is unpinned.

    Example: fingerpost pin ann.index/day=2026-01-02/0123456789abcdef --reason "the one in the paper"
    """
    from fingerpost.flows.ops.keep.gc import keep
    from fingerpost.schemas.refs import Ref

    echo(f"{keep(opened(store), Ref.parse(reference), reason=reason).ref} is pinned")


def unpin(
    reference: Annotated[str, typer.Argument(metavar="REF", help=_REF)],
    store: StoreOption = "",
) -> None:
    """Removes a pin; the artifact is then removed when nothing else needs it.

    Example: fingerpost unpin ann.index/day=2026-01-02/0123456789abcdef
    """
    from fingerpost.schemas import pins
    from fingerpost.schemas.refs import Ref

    ref = Ref.parse(reference)
    pins.unpin(opened(store), ref)
    echo(f"{ref} is no longer pinned")


def quarantine(
    reference: Annotated[
        str,
        typer.Argument(
            help="corpus.quarantine/day=YYYY-MM-DD/fingerprint, as a run prints it; by default those of the newest run"
            " with quarantined rows",
            show_default=False,
        ),
    ] = "",
    newest: Annotated[int, typer.Option("-n", min=0, help="number of rows of each; 0 is all")] = 100,
    collection: Annotated[
        str, collection_option("that of the newest run with quarantined rows", what="collection of the run")
    ] = "",
    as_json: JsonOption = False,
    store: StoreOption = "",
) -> None:
    """Shows the quarantined rows of an input: position from 0, id, reason, and what was found.

    Example: fingerpost quarantine -n 0
    """
    from fingerpost.flows.ops.keep.quarantined import show_quarantine

    show_quarantine(opened(store), reference, collection=collection, newest=newest, as_json=as_json)
