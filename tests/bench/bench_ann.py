"""Nearest-neighbour search beside its rivals: ``python -m tests.bench.bench_ann [--quick] [--parts packed_speed,...]``.

One thread, CPU seconds, k = 10, M 16 and ef_construction 200 for all. Rivals run in their own environment, and every
setting is measured in turns: us, rival, us, rival. Recall is against exact search, ties by distance, mean of the seeds.
Every part is a program of its own, too: ``python -m tests.bench.<part>``.
"""

from collections.abc import Callable

from tests.bench import (
    ann_growth,
    build_speed,
    equal_vectors,
    finger_on_codes,
    finger_speed,
    float_search,
    living_index,
    packed_speed,
    python_door,
)
from tests.bench.ann_options import Rows, measure_sets, measure_whole, parse_options

#: Parts measured on each data set, and parts that bring data of their own.
ON_SETS = {
    "float_search": float_search.measure,
    "build_speed": build_speed.measure,
    "packed_speed": packed_speed.measure,
    "finger_speed": finger_speed.measure,
    "finger_on_codes": finger_on_codes.measure,
    "living_index": living_index.measure,
}
WHOLE: dict[str, Callable[..., Rows]] = {
    "equal_vectors": equal_vectors.measure,
    "ann_growth": ann_growth.measure,
    "python_door": python_door.measure,
}


def main() -> None:
    """Runs the parts and writes ``bench-results/ann-<part>.json``."""
    options = parse_options(__doc__)
    wanted = options.parts.split(",") if options.parts else [*ON_SETS, *WHOLE]
    unknown = sorted({*wanted} - {*ON_SETS, *WHOLE})
    if unknown:
        raise SystemExit(
            f"--parts: expected some of {', '.join([*ON_SETS, *WHOLE])}, got {', '.join(unknown)}; correct it"
        )
    for part in wanted:
        if part in ON_SETS:
            measure_sets(ON_SETS[part], part, options)
        else:
            measure_whole(WHOLE[part], part, options)


if __name__ == "__main__":
    main()
