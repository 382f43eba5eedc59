"""What a completer will cost that was never trained, for plans. Imports no Prefect."""

from collections.abc import Mapping

from fingerpost.flows.domains.autocomplete.sources import events_file, skipped
from fingerpost.flows.run.cost_laws import Law, costs_by
from fingerpost.flows.run.expectations import Inputs
from fingerpost.tasks.ledger import Estimate

#: The events of the whole built-in sample, and the pairs of its evaluation.
_EVENTS, _EVALUATED = 112_074.0, 2_000.0
_PROCESS_MB = 480.0

_TRAINED = {
    "fit_vocabulary": Law("events", 0.65, held=70, stored=1.5),
    "featurize_pairs": Law("events", 0.6, held=30, stored=5.2, shards=True),
    "list_targets": Law("events", 0.05, held=20, stored=0.45),
    "embed_suggestions": Law("events", 0.25, held=20, stored=2.0, shards=True),
    "index_suggestions": Law("events", 0.07, held=20, stored=0.06),
    "train_rankers": Law("events", 1.4, held=30, stored=6.6, shards=True),
}
_COUNTED = {
    "select_suggestions": Law("events", 0.07, held=20, stored=0.1),
    "build_trie": Law("events", 0.02, held=10, stored=0.16),
    "pair_queries": Law("events", 0.08, held=25, stored=0.57),
    "count_followers": Law("events", 0.07, held=20, stored=0.45),
}
_FIRST = {
    "import_events": Law("events", 0.4, held=40, stored=1.3),
    "cut_sessions": Law("events", 0.2, held=50, stored=0.66),
    "evaluate_completer": Law("evaluated", 3.3, fixed=0.2, held=40),
    "list_weak_prefixes": Law("evaluated", 0.95, held=40),
    "assemble_completer": Law("events", 0.02),
}
_LAST = {"include_held_out_sessions": Law("events", 0.05, held=20, stored=0.66)}
#: Baselines, which do what the completer's own stages do over the same pairs.
_COMPARED = {
    "embed_by_pairs": _TRAINED["embed_suggestions"],
    "index_by_pairs": _TRAINED["index_suggestions"],
    "train_default_rankers": _TRAINED["train_rankers"],
    "compare_completers": Law("evaluated", 13.2, fixed=0.2, held=120),
}
#: Where the sample's events are calls, which are parsed.
_PARSED = {"import_events": Law("events", 33.0, held=40, stored=1.3, shards=True)}
_LAWS = {
    **_FIRST,
    **_COUNTED,
    **_COMPARED,
    **{f"{name} (autocomplete)": law for name, law in _TRAINED.items()},
    **{f"{name} (autocomplete-final)": law for name, law in (_LAST | _COUNTED | _TRAINED).items()},
}


def costs(inputs: Inputs) -> Mapping[str, Estimate]:
    """The cost of the stages from events to a completer; none where they cannot be told, or none is trained."""
    settings = inputs.settings
    if skipped(settings) and inputs.flow != "train_autocomplete":
        return {}
    sample = events_file(settings, inputs.flow) is None
    rows, share = inputs.table("autocomplete", "events"), inputs.sample_share
    if sample:
        events = 0.0 if share is None else _EVENTS * share
    else:
        events = 0.0 if rows is None else float(rows.rows)
    if not events:
        return {}
    tested = min(float(settings.autocomplete.evaluation.pairs), events / 10)
    return costs_by(
        _LAWS | (_PARSED if sample else {}),
        {"events": events, "evaluated": tested},
        {"events": _EVENTS, "evaluated": _EVALUATED},
        process_mb=_PROCESS_MB,
        workers=inputs.workers,
    )
