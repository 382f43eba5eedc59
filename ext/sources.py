"""Which files and flags each extension is made of, and the hash that ties a binary to them.

``setup.py`` compiles :func:`source_hash` into every extension as ``SOURCE_HASH``; a stage compares it with the
sources that lie beside the binary, so that a stale build is refused instead of giving yesterday's results.
"""

import hashlib
from pathlib import Path

HERE = Path(__file__).resolve().parent

#: Flags that change results or speed. No ``-march=native``: the instruction set is chosen at run time. No contraction of
#: a*b+c into one rounding: all SIMD paths must give the same bits.
COMPILE_FLAGS = ("-O3", "-std=c++17", "-g0", "-ffp-contract=off", "-fno-math-errno", "-pthread")
LINK_FLAGS = ("-pthread",)

_BUILD = ("build.pxd",)
_SIMD = ("simd.pxd", "simd.hpp")
_GRAPH = ("graph.pxd", "graph.hpp", "crowds.hpp", "keys.hpp", *_SIMD)
_BUILDER = (
    "hnsw.hpp",
    "build_rows.hpp",
    "build_search.hpp",
    "byte_kernels.hpp",
    "parallel.hpp",
    "row_passes.hpp",
    *_GRAPH,
    *_BUILD,
)

#: Extension name to the files beside this one that it is compiled from (the ``.pyx`` first).
EXTENSIONS: dict[str, tuple[str, ...]] = {
    "ngrams": ("ngrams.pyx", "ngrams.hpp", "marks.hpp", *_BUILD),
    "hnsw": ("hnsw.pyx", "hnsw_merge.hpp", *_BUILDER),
    "growth": ("growth.pyx", "growth.hpp", *_BUILDER),
    "filtered": ("filtered.pyx", "filtered.hpp", "filtered_batch.hpp", "parallel.hpp", *_GRAPH, *_BUILD),
    "finger": ("finger.pyx", "finger.hpp", "finger_estimate.hpp", "parallel.hpp", *_GRAPH, *_BUILD),
    "deferred": (
        "deferred.pyx",
        "deferred.hpp",
        "deferred_search.hpp",
        "deferred_estimate.hpp",
        "packed_codes.hpp",
        "packed_query.hpp",
        "parallel.hpp",
        *_GRAPH,
        *_BUILD,
    ),
    "packed": (
        "packed.pyx",
        "filtered.hpp",
        "packed.hpp",
        "packed_codes.hpp",
        "packed_pool.hpp",
        "packed_query.hpp",
        "packed_store.hpp",
        "parallel.hpp",
        *_GRAPH,
        *_BUILD,
    ),
    "removal": ("removal.pyx", "removal.hpp", "parallel.hpp", *_GRAPH, *_BUILD),
    "ranker_solve": (
        "ranker_solve.pyx",
        "ranker_cluster.hpp",
        "ranker_solve.hpp",
        "ranker_lanes.hpp",
        "parallel.hpp",
        *_SIMD,
        *_BUILD,
    ),
    "ranker_columns": ("ranker_columns.pyx", *_BUILD),
    "ranker_split": ("ranker_split.pyx", "ranker_split.hpp", *_BUILD),
    "pair_counts": ("pair_counts.pyx", "pair_counts.hpp", "pair_scores.hpp", "parallel.hpp", *_SIMD, *_BUILD),
    "row_products": ("row_products.pyx", "row_products.hpp", *_SIMD, *_BUILD),
    "sampling": ("sampling.pyx", "sampling.hpp", "parallel.hpp", *_BUILD),
    "overlaps": ("overlaps.pyx", "overlaps.hpp", *_BUILD),
    "postings": ("postings.pyx", "postings.hpp", "parallel.hpp", *_BUILD),
    "trees": ("trees.pyx", "trees.hpp", *_BUILD),
    "ranker_beam": ("ranker_beam.pyx", "ranker_beam.hpp", "ranker_chunk.hpp", "pages.hpp", "parallel.hpp", *_BUILD),
    "trie": ("trie.pyx", "trie.hpp", *_BUILD),
    "accelerator": ("accelerator.pyx", "accelerator.hpp", *_BUILD),
}


def source_hash(name: str) -> str | None:
    """Hash of an extension's sources and flags; None where the sources are not installed (a wheel)."""
    digest = hashlib.sha256(" ".join(COMPILE_FLAGS + LINK_FLAGS).encode())
    for file in EXTENSIONS[name]:
        path = HERE / file
        if not path.is_file():
            return None
        digest.update(f"\0{file}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
