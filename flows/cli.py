"""The ``fingerpost`` command. What a command needs is imported when it runs, so that a query does not wait for Prefect."""

import sys

import typer

from flows.commands import backfilling, comparing, forgetting, keeping, pipeline, stack, watching
from flows.domains.metric import commands as metric
from flows.domains.xmr import commands as ranking
from flows.run.loggers import quieten
from schemas.errors import FingerpostError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="From documents to published, checked, versioned retrieval artifacts.",
)

#: In the order in which help lists them.
_COMMANDS = (
    pipeline.run,
    pipeline.query,
    ranking.rank,
    metric.threshold,
    metric.embed,
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
    forgetting.forget,
    stack.up,
    stack.down,
    stack.deploy,
    stack.doctor,
    backfilling.partitions,
    watching.metrics,
    watching.lineage,
    watching.freshness,
)
for _command in _COMMANDS:
    app.command()(_command)
app.add_typer(backfilling.backfill, name="backfill")


def main() -> None:
    """Runs a command; a user's mistake is one line on standard error and exit code 1 (2 for wrong usage)."""
    quieten()
    try:
        app()
    except FingerpostError as problem:
        sys.stderr.write(f"fingerpost: {' '.join(str(problem).split())}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write("fingerpost: stopped; what is finished stays, run again to go on\n")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)


if __name__ == "__main__":
    main()
