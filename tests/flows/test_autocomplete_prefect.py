"""A nightly with a completer as Prefect runs it, and what Prefect then knows of the users of its query log."""

from pathlib import Path

import pytest
from prefect.artifacts import Artifact
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL

from fingerpost.flows.run.start import run_flow
from fingerpost.schemas.publish import products
from fingerpost.tasks.ledger import runs
from tests.support.query_logs import DAYS, KEYS, LONE, clear, write_log

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_a_nightly_with_a_completer_leaves_no_key_in_prefects_database(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    log = write_log(tmp_path)
    run_flow("nightly", log.nightly(DAYS[0], **{"autocomplete.final": "training"}))
    assert products(log.store) == [("shop", "ann.index"), ("shop", "autocomplete.completer")]
    (record,) = runs(log.store)
    assert {stage["stage"] for stage in record["stages"]} >= {"import_events", "train_rankers", "assemble_completer"}

    page = Artifact.get("run-nightly-shop")
    assert page is not None
    assert "completer" in str(page.data)
    database = Path(str(PREFECT_API_DATABASE_CONNECTION_URL.value()).partition("///")[2])
    assert database.is_file()
    known = [*clear(database.parent, ["train_autocomplete", *KEYS, LONE])]
    assert {text for text, _ in known} == {"train_autocomplete"}
    told = "".join([caplog.text, *capfd.readouterr()])
    assert not [text for text in (*KEYS, LONE) if text in told]
