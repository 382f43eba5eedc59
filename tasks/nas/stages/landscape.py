"""The stage that maps the landscape of costs around the network that a search chose."""

import pyarrow as pa

from fingerpost.schemas import nas as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.chosen import best_row
from fingerpost.tasks.nas.landscape import Landscape, landscape_of
from fingerpost.tasks.nas.landscape_params import LandscapeParams
from fingerpost.tasks.nas.space import SearchSpace
from fingerpost.tasks.nas.stages.latency_tables import read_latency
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.LANDSCAPE, observes=True)
def map_landscape(run: StageRun, latency: Ref, search: Ref, *, space: SearchSpace, params: LandscapeParams) -> None:
    """Estimates the latency along the channels of the chosen network, with and without the device in mind."""
    estimator = read_latency(run.store, latency)
    rows = run.store.open(search, contracts.SEARCH).read("evaluated").to_pylist()
    chosen = Architecture.parse(rows[best_row(rows)]["description"])
    found = landscape_of(chosen, space.parallelism, lambda networks: estimator.predict(networks)[0], params=params)
    for name, table in landscape_tables(found).items():
        run.write(name, table)
    for space_name in ("curated", "uncurated"):
        run.quality |= {f"roughness_{space_name}": float(found.roughness(space_name))}
        run.quality |= {f"turns_{space_name}": int(found.turns(space_name))}


def landscape_tables(landscape: Landscape) -> dict[str, pa.Table]:
    """The tables of a landscape by name."""
    tables = {}
    for name, rows in (("points", landscape.points), ("steps", landscape.steps)):
        fields = contracts.LANDSCAPE.table(name).fields
        tables[name] = pa.table(
            {each.name: pa.array([getattr(row, each.name) for row in rows], each.type) for each in fields}
        )
    return tables
