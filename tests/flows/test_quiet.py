"""What a run sets for Prefect and Dask, and leaves to whoever set it already."""

import os
import subprocess
import sys

import dask
import pytest
from distributed import Client, LocalCluster

from fingerpost.flows.run.loggers import silence

_ASKED = "import dask, distributed; print(dask.config.get('distributed.worker.profile.interval'))"


def test_workers_of_a_run_look_at_their_threads_ten_times_a_second() -> None:
    cluster = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50)
    with cluster, Client(cluster, set_as_default=False) as client:
        for key, expected in (("worker.profile.interval", "100ms"), ("admin.tick.interval", "500ms")):
            assert client.submit(dask.config.get, f"distributed.{key}").result() == expected


def test_what_is_set_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASK_DISTRIBUTED__WORKER__PROFILE__INTERVAL", "20ms")
    monkeypatch.delenv("DO_NOT_TRACK")
    silence()
    assert os.environ["DO_NOT_TRACK"] == "1"
    done = subprocess.run([sys.executable, "-c", _ASKED], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "20ms"
