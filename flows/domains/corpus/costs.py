"""What documents with vectors will cost that were never imported, for plans. Imports no Prefect."""

import zlib
from collections.abc import Mapping

from fingerpost.flows.domains.settings import Settings
from fingerpost.schemas.inputs.outlook import Outlook
from fingerpost.tasks.ann.costs import vector_costs
from fingerpost.tasks.ledger import Estimate

#: Rows that are compressed to tell how far documents can be, and bytes of a row beside its vector.
_SAMPLE, _BESIDE = 2048, 20.0


def costs(settings: Settings, outlook: Outlook) -> Mapping[str, Estimate]:
    """The cost of importing documents and their vectors; none where there are texts as well."""
    if outlook.vectors is None or outlook.texts:
        return {}
    sample = outlook.vectors[:_SAMPLE]
    row = len(zlib.compress(sample.tobytes(), 1)) / len(sample) + _BESIDE
    workers = settings.run.workers or int(bool(settings.run.cluster))
    found = vector_costs(outlook.rows, outlook.dimensions, stored_row=row, workers=workers)
    return {
        name: Estimate(round(cost.seconds, 1), round(cost.peak / 2**20, 1), round(cost.stored))
        for name, cost in found.items()
    }
