"""The ``fingerpost`` command. Commands import what they need when they run: a query does not wait for Prefect."""

import importlib.metadata
import sys
from typing import Annotated

import typer

from fingerpost.flows import domains
from fingerpost.flows.commands import backfilling, comparing, forgetting, keeping, pipeline, serving, stack, watching
from fingerpost.flows.commands.arguments import Command
from fingerpost.flows.commands.options import without_urls_in_files
from fingerpost.flows.domains.domain import Domain, named
from fingerpost.flows.run.garbage import while_starting
from fingerpost.flows.run.loggers import silence
from fingerpost.flows.run.plain_text import check_arguments, echo, reader_gone, write_anything
from fingerpost.schemas.errors import FingerpostError, UsageError

_HELP = "From documents to published, checked, versioned retrieval artifacts."
#: The commands in the order in which help lists them, before and after those of the domains.
_FIRST = (pipeline.run,)
_COMMANDS = (
    pipeline.status,
    pipeline.history,
    pipeline.promote,
    pipeline.rollback,
    pipeline.config,
    pipeline.report,
    pipeline.sample,
    pipeline.accept,
    comparing.diff,
    comparing.why,
    comparing.replay,
    keeping.gc,
    keeping.pin,
    keeping.unpin,
    keeping.quarantine,
    forgetting.forget,
    stack.up,
    stack.down,
    stack.deploy,
    stack.undeploy,
    stack.doctor,
    backfilling.partitions,
    serving.serve,
    watching.metrics,
    watching.lineage,
    watching.freshness,
)


def _show_version(asked: bool) -> None:
    if asked:
        echo(f"fingerpost {importlib.metadata.version('fingerpost')}")
        raise typer.Exit


def application() -> typer.Typer:
    """The command with all its subcommands, including those of the domains."""
    application = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        help=_HELP,
        callback=_whole,
    )
    single = [domain for domain in domains.DOMAINS if not domain.command_group]
    own = [named(command) for domain in single for command in domain.commands]
    for command in (*_FIRST, *own, *_COMMANDS):
        application.command(cls=Command)(without_urls_in_files(command))
    application.add_typer(backfilling.backfill, name="backfill")
    for domain in domains.DOMAINS:
        if domain.command_group:
            application.add_typer(_group(domain), name=domain.word)
    return application


def _whole(
    version: Annotated[
        bool, typer.Option("--version", help="show the version and exit", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """The options of ``fingerpost`` itself."""


def _group(domain: Domain) -> typer.Typer:
    """The commands of a domain as subcommands of one that is named by its word."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help=domain.command_group)
    for command in domain.commands:
        group.command(cls=Command)(without_urls_in_files(named(command)))
    return group


app = application()


def main() -> None:
    """Runs a command; an error is one line on standard error.

    Exit codes: 1 for a failure, 2 for wrong usage (nothing was begun), 130 where it was stopped by Ctrl-C, 141 where
    whoever read its output has ended.
    """
    while_starting()
    silence()
    write_anything()
    try:
        check_arguments(sys.argv[1:])
        app()
    except FingerpostError as problem:
        echo(f"fingerpost: {' '.join(str(problem).split())}", err=True)
        sys.exit(2 if isinstance(problem, UsageError) else 1)
    except KeyboardInterrupt:
        echo("fingerpost: stopped; finished stages are kept, run again to continue", err=True)
        sys.exit(130)
    except BrokenPipeError:
        reader_gone()
    except Exception as problem:
        from fingerpost.flows.run.faults import told

        echo(f"fingerpost: {told(problem)}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
