"""Packed indexes beside faiss and our float32 searches: ``python -m tests.bench.packed_speed [--quick]``.

One graph, M 16; speed at equal recall and memory, each over faiss HNSWFlat in the same run, mean of the seeds. ``fast``:
codes of 4 bits, vectors in float32 or whole numbers; ``compact``: vectors in whole numbers or 12 bits a value.
"""

import statistics
import tempfile
from pathlib import Path
from typing import Any

from fingerpost.tasks.ann.codes import fit_codes
from fingerpost.tasks.ann.graph import Graph
from fingerpost.tasks.ann.packed import PackedIndex
from fingerpost.tasks.ann.packed_store import Keeping, fits
from fingerpost.tasks.ann.search import Index
from tests.bench.ann_contenders import Ours, Wrap, finger, plain
from tests.bench.ann_curves import Contender, measure_curves, plot, rate_at
from tests.bench.ann_options import run_part
from tests.bench.ann_peers import Peer
from tests.bench.ann_sets import Dataset
from tests.bench.peers import peer_python

WIDTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256)
LEVELS = (0.95, 0.98, 0.99, 0.995)
RIVAL = "faiss"
#: Bytes of a vector in IndexHNSWFlat beside its floats: 32 neighbours on level 0, and offsets, levels and upper lists.
RIVAL_LISTS = 4 * 32 + 12


def packed(keeping: Keeping | None, *, reordered: bool = False) -> Wrap:
    """A packed index with codes of 4 bits; whole numbers are kept as such where the vectors are."""

    def wrap(data: Dataset, graph: Graph) -> Index:
        form = "integers" if fits("integers", data.vectors, data.metric) else keeping
        codes = fit_codes(data.vectors, data.metric)
        return PackedIndex.pack(data.vectors, graph, data.metric, codes=codes, keeping=form, reordered=reordered)

    return wrap


def measure(data: Dataset, *, seeds: int, repeats: int) -> list[dict[str, Any]]:
    """Rows of speed and memory on one data set; a plot beside."""
    ours = [
        Ours("hnsw", data, plain),
        Ours("finger low_rank", data, finger("low_rank")),
        Ours("fast", data, packed("float32")),
        Ours("fast, reordered", data, packed("float32", reordered=True)),
        Ours("compact", data, packed("bits12")),
    ]
    python = peer_python("ann")
    with tempfile.TemporaryDirectory() as folder:
        peers = [Peer(RIVAL, data, Path(folder), python)] if python else []
        contenders: list[Contender] = [*ours, *peers]
        curves = measure_curves(data, contenders, seeds=seeds, repeats=repeats, widths=WIDTHS)
        for peer in peers:
            peer.close()
    names = [contender.name for contender in contenders]
    plot(data, names, curves, part="packed")
    by_name = dict(zip(names, curves, strict=True))
    rows: list[dict[str, Any]] = [_memory(data, each) for each in ours if isinstance(each.index, PackedIndex)]
    rows += [
        {"dataset": data.name, "contender": each.name, "setting": "after the graph", "seconds": seconds}
        for each, curve in zip(ours, curves, strict=False)
        for seconds in [statistics.median(curve.build_seconds) - each.graph_seconds]
        if each.name != "hnsw"
    ]
    for name, curve in by_name.items():
        for level in LEVELS:
            rate = rate_at(curve, level, len(data.queries))
            against = rate_at(by_name[RIVAL], level, len(data.queries)) if RIVAL in by_name else None
            if rate:
                row = {
                    "dataset": data.name,
                    "contender": name,
                    "setting": f"recall={level}",
                    "queries_per_second": rate,
                }
                rows.append(row | ({"ratio": rate / against, "rival": RIVAL} if against and name != RIVAL else {}))
    return rows


def _memory(data: Dataset, ours: Ours) -> dict[str, Any]:
    index = ours.index
    assert isinstance(index, PackedIndex)
    size = index.nbytes / index.size
    row = {"dataset": data.name, "contender": ours.name, "setting": "memory", "bytes_per_vector": size}
    return row | {"memory_over_faiss": size / (4 * data.vectors.shape[1] + RIVAL_LISTS)}


if __name__ == "__main__":
    run_part(measure, "packed_speed", __doc__)
