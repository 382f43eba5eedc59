"""The options that all parts of the nearest-neighbour benchmark share, and one part run alone."""

import argparse
from collections.abc import Callable
from typing import Any

from tests.bench.ann_sets import DATASETS, load
from tests.bench.peers import peer_python
from tests.bench.results import print_table, results_folder, write_rows

Rows = list[dict[str, Any]]


def parse_options(description: str | None) -> argparse.Namespace:
    """The command line: data sets, rows, queries, seeds, repeats; ``--quick`` is 10,000 rows, 500 queries, one seed."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="10,000 rows, 500 queries, one seed")
    parser.add_argument("--parts", default="", help="of bench_ann: names of parts, separated by commas")
    parser.add_argument("--datasets", default=",".join(DATASETS))
    parser.add_argument("--rows", type=int)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if options.quick:
        options.rows, options.queries, options.seeds = 10_000, 500, 1
    options.datasets = options.datasets.split(",")
    if peer_python("ann") is None:
        print("no peers: expected <FINGERPOST_PEERS>/ann/bin/python; measuring ourselves alone")
    return options


def measure_sets(measure: Callable[..., Rows], part: str, options: argparse.Namespace) -> Rows:
    """The rows of a part that measures one data set at a time, printed and written after each of them."""
    rows: Rows = []
    for name in options.datasets:
        data = load(name, rows=options.rows, queries=options.queries)
        found = measure(data, seeds=options.seeds, repeats=options.repeats)
        shape = f"{len(data.vectors):,} × {data.vectors.shape[1]}, {data.metric}, {len(data.queries):,} queries"
        print_table(found, title=f"{part}: {name} ({shape})")
        rows += found
        _written(part, rows)
    return rows


def measure_whole(measure: Callable[..., Rows], part: str, options: argparse.Namespace) -> Rows:
    """The rows of a part that brings data of its own."""
    rows = measure(quick=options.quick, seeds=options.seeds)
    print_table(rows, title=part)
    _written(part, rows)
    return rows


def run_part(measure: Callable[..., Rows], part: str, description: str | None, *, whole: bool = False) -> Rows:
    """A part as a program of its own; ``whole`` where it brings data of its own."""
    options = parse_options(description)
    return (measure_whole if whole else measure_sets)(measure, part, options)


def _written(part: str, rows: Rows) -> None:
    # After each data set, so that a run that is stopped leaves what it has measured.
    path = write_rows(f"ann-{part.removeprefix('ann_')}", rows)
    print(f"rows: {path.relative_to(results_folder().parent)}", flush=True)
