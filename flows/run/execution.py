"""The executor that settings ask for: this process, processes of this machine, or a Dask cluster."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from fingerpost.flows.domains.settings import Settings
from fingerpost.tasks.shards import Executor, SerialExecutor

if TYPE_CHECKING:
    from fingerpost.flows.run.executor import DaskExecutor

T = TypeVar("T")


class LocalProcesses:
    """Dask's worker processes on this machine, started with the first shard; a run that reuses all never imports Dask."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._executor: DaskExecutor | None = None

    def map(self, function: Callable[[Any], T], items: Sequence[Any]) -> Iterator[tuple[int, T]]:
        """The (index, result) pairs as they complete; items of a lost worker are rerun elsewhere."""
        if self._executor is None:
            from fingerpost.flows.run.executor import DaskExecutor

            self._executor = DaskExecutor(self.workers)
        yield from self._executor.map(function, items)

    def close(self) -> None:
        """Stops the processes."""
        if self._executor is not None:
            self._executor.close()


def executor_of(settings: Settings) -> Executor:
    """This process, or the Dask cluster that the settings name; ``close_executor`` ends it."""
    chosen = settings.run
    if not chosen.cluster and not chosen.cluster_options:
        return LocalProcesses(chosen.workers) if chosen.workers else SerialExecutor()
    from fingerpost.flows.run.executor import DaskExecutor

    return DaskExecutor(chosen.workers, chosen.cluster, chosen.cluster_options)


def close_executor(executor: Executor) -> None:
    """Ends the processes or the connection of an executor, where it has any."""
    if close := getattr(executor, "close", None):
        close()
