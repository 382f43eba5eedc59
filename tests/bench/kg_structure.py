"""Alignment of DBP15K by structure through the stages of the flow: import, links, pairs."""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from fingerpost.schemas.inputs.graph_sources import graph_source, link_source
from fingerpost.schemas.store import Store
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.kg.evaluation import ranks_among
from fingerpost.tasks.kg.held_out import PropagationParams
from fingerpost.tasks.kg.judged import Links
from fingerpost.tasks.kg.one_to_one import ScoredPairs
from fingerpost.tasks.kg.ranks import rank_figures
from fingerpost.tasks.kg.splits import LinkParams
from fingerpost.tasks.kg.stages.evaluation import read_structure
from fingerpost.tasks.kg.stages.inputs import import_graph, import_links
from fingerpost.tasks.kg.stages.scored import read_links
from fingerpost.tasks.kg.stages.structure import align_structure
from tests.data import data_file

#: Training links, 30 % of all.
SEEDS = 4500


def measure_stages() -> list[dict[str, Any]]:
    """hits@1, hits@10 and MRR of the pairs that the flow's stages find, from 4,500 training links; CPU seconds of all stages.

    The stage knows nothing of the test: any entity without a seed may be a partner. Ranks are among the right entities of
    test links, as published, and among all entities. Its runs, one and three for the entities of seeds, are shards, which
    two workers share.
    """
    folder = data_file("dbp15k/zh_en", "ref_ent_ids").parent
    links = (folder / "ref_ent_ids").read_text(encoding="utf-8").splitlines(keepends=True)
    order = np.random.default_rng(0).permutation(len(links))
    rows = []
    with tempfile.TemporaryDirectory() as made:
        for name in ("ent_ids_1", "ent_ids_2", "triples_1", "triples_2"):
            (Path(made) / name).symlink_to((folder / name).resolve())
        for name, some in (("sup_ent_ids", order[:SEEDS]), ("ref_ent_ids", order[SEEDS:])):
            (Path(made) / name).write_text("".join(links[place] for place in some), encoding="utf-8")
        for contender, names in (("structure, stages", False), ("structure and names, stages", True)):
            env = Environment(Store(f"{made}/{names}").prepare(), "bench", "2026-01-01")
            begin = time.process_time()
            aligned, known = staged_alignment(env, made, names=names)
            row = {"dataset": "dbp15k zh-en", "contender": contender, "seconds": time.process_time() - begin}
            for setting, restricted in (("test entities", True), ("all entities", False)):
                ranks = ranks_among(known.of("test"), aligned, restricted=restricted)
                rows.append(row | {"setting": f"{setting}, 30 % seeds", **rank_figures(ranks)})
    return rows


def staged_alignment(env: Environment, folder: str, *, names: bool) -> tuple[ScoredPairs, Links]:
    """Pairs by structure of a folder in the layout of DBP15K, and its links, through the stages of the flow."""
    sides = [
        import_graph.execute(env, graph_source(folder, side=side), params=ImportParams(), side=side)
        for side in ("left", "right")
    ]
    links = import_links.execute(env, *sides, link_source(folder), params=LinkParams())
    pairs = align_structure.execute(env, *sides, links, params=PropagationParams(names=names))
    found = read_structure(env.store, {"structure": pairs})
    assert found is not None
    return found, read_links(env.store, links, within=False)
