"""The metrics of a service for Prometheus."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from fingerpost.flows.ops.serve.service import Service

#: Seconds: from an answer that is only looked up to one that misses any deadline.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Measures:
    """Counters of the requests of a service, and gauges of its state."""

    def __init__(self, service: Service) -> None:
        # Without a series for each with the time when it was first counted.
        disable_created_metrics()
        self._registry = CollectorRegistry(auto_describe=False)
        self._requests = Counter(
            "fingerpost_serve_requests",
            "Requests by path and status of the reply",
            ["path", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "fingerpost_serve_request_duration_seconds",
            "Seconds from the whole request to its reply, by path, of requests that were answered",
            ["path"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._registry.register(_State(service))
        # A look-up by labels takes a lock and as long as the rest of the count.
        self._counts: dict[tuple[str, int], Any] = {}
        self._times: dict[str, Any] = {}

    def count(self, path: str, status: int, seconds: float | None = None) -> None:
        """Counts a request, with the seconds that it took, if it was answered."""
        key = (path, status)
        if (counter := self._counts.get(key)) is None:
            counter = self._counts[key] = self._requests.labels(path, str(status))
        counter.inc()
        if seconds is not None:
            if (times := self._times.get(path)) is None:
                times = self._times[path] = self._seconds.labels(path)
            times.observe(seconds)

    def page(self) -> bytes:
        """The metrics in the exposition format."""
        return generate_latest(self._registry)


class _State:
    """What a service does now, as metrics."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """All gauges, as of now."""
        service, dispatcher, now = self._service, self._service.dispatcher, datetime.now(UTC)
        present = dispatcher.present
        serving = {"ready": len(present.workers) if present else 0}
        yield _gauge("fingerpost_serve_workers", "Processes that answer", serving["ready"])
        yield _gauge("fingerpost_serve_waiting_requests", "Requests that wait for a process", len(dispatcher.waiting))
        yield _gauge(
            "fingerpost_serve_former_generations",
            "Versions of before whose processes have not ended",
            len(dispatcher.former),
        )
        yield _counter("fingerpost_serve_swaps", "Changes of the versions that answer", service.swaps)
        yield _counter(
            "fingerpost_serve_failed_openings",
            "Attempts to open a live version that failed",
            service.failed_openings,
        )
        yield _counter(
            "fingerpost_serve_lost_workers", "Processes that ended while they served", dispatcher.lost_workers
        )
        yield from self._versions(now)

    def _versions(self, now: datetime) -> Iterator[Metric]:
        service, labels = self._service, ["collection", "product"]
        versions = GaugeMetricFamily(
            "fingerpost_serve_version_info", "1 for the version that answers", labels=[*labels, "version"]
        )
        ages = GaugeMetricFamily(
            "fingerpost_serve_live_age_seconds", "Seconds since the live version became live", labels=labels
        )
        behind = GaugeMetricFamily(
            "fingerpost_serve_behind", "1 if another version than the live one answers, or none", labels=labels
        )
        for name, ref in service.versions.items():
            versions.add_metric([service.collection, name, ref], 1)
        for name, live in service.live.items():
            where = [service.collection, name]
            ages.add_metric(where, (now - datetime.fromisoformat(live.at)).total_seconds())
            behind.add_metric(where, float(service.versions.get(name) != live.ref))
        yield from (versions, ages, behind)


def _gauge(name: str, what: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, what)
    family.add_metric([], value)
    return family


def _counter(name: str, what: str, value: float) -> Metric:
    family = CounterMetricFamily(name, what)
    family.add_metric([], value)
    return family
