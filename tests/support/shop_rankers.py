"""Requests of a ranker of the small shop, trained fully or refreshed day by day."""

from pathlib import Path

from fingerpost.flows.run.request import RunRequest

SMALL = {
    "xmr.clusters.flat_labels": 0,
    "xmr.clusters.max_leaf_size": 10,
    "xmr.blocks.labels": 50,
    "xmr.predicted": 20,
}


def request_for(folder: Path, **settings: object) -> RunRequest:
    """The tiny profile over a shop's interactions and labels."""
    given = {"xmr.input": str(folder / "interactions.csv"), "xmr.labels": str(folder / "labels.csv"), **SMALL}
    return RunRequest(
        profile="tiny",
        store=str(folder / ".fingerpost"),
        day="2026-01-05",
        collection="shop",
        settings=given | settings,
    )


#: The shop is small: one query more or less is much, and what comes has words of its own.
LIVE = {"xmr.refresh.mode": "live", "xmr.refresh.limits.terms_lost": 0.9, "xmr.refresh.limits.precision_loss": 0.05}


def asked(folder: Path, day: int, file: str = "more.csv", **settings: object) -> RunRequest:
    """The ranker of a day of January that refreshes the live one."""
    given = {"xmr.input": str(folder / file), **LIVE, **settings}
    return request_for(folder, **given).model_copy(update={"day": f"2026-01-{day:02d}"})
