"""From sessions to a completer's artifacts and measurements, as parts of the flow that trains it."""

from collections.abc import Mapping

from fingerpost.flows.domains.autocomplete.gates import unmeasured
from fingerpost.flows.domains.autocomplete.sources import blocked_queries
from fingerpost.flows.domains.corpus.inputs import suppressed_keys
from fingerpost.flows.run.runtime import Run, scoped
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.autocomplete.open import FINAL
from fingerpost.tasks.autocomplete.stages.baselines import embed_by_pairs, index_by_pairs, train_default_rankers
from fingerpost.tasks.autocomplete.stages.comparison import compare_completers
from fingerpost.tasks.autocomplete.stages.evaluation import evaluate_completer, list_weak_prefixes
from fingerpost.tasks.autocomplete.stages.features import (
    embed_suggestions,
    featurize_pairs,
    fit_vocabulary,
    list_targets,
)
from fingerpost.tasks.autocomplete.stages.final import include_held_out_sessions
from fingerpost.tasks.autocomplete.stages.followers import count_followers
from fingerpost.tasks.autocomplete.stages.index import index_suggestions
from fingerpost.tasks.autocomplete.stages.sessions import pair_queries, select_suggestions
from fingerpost.tasks.autocomplete.stages.trie import build_trie
from fingerpost.tasks.xmr.stages.training import train_rankers
from fingerpost.tasks.xmr.stages.trees import embed_labels

#: The part of the flow with stages of other domains, or of their contracts; the final training's.
PART, FINAL_PART = "autocomplete", "autocomplete-final"

#: Roles of the artifacts that a completer answers from, and is measured with, in the order of the stages' inputs.
_ANSWERING = ("sessions", "pairs", "suggestions", "trie", "followers", "vocabulary", "tree", "model")


def train(run: Run, sessions: Ref, part: str = PART) -> dict[str, Ref]:
    """Suggestions, trie, pairs, counts and ranker of the training sessions, by role.

    Without a pair to train on (a log of single queries) there is no ranker: popularity answers.
    """
    own, blocked = run.settings.autocomplete, blocked_queries(run.settings, suppressed_keys(run.settings))
    new = {"suggestions": select_suggestions(sessions, *blocked, params=own.suggestions)}
    new["trie"] = build_trie(new["suggestions"])
    new["pairs"] = pair_queries(sessions, new["suggestions"], params=own.pairs)
    new["followers"] = count_followers(sessions, new["suggestions"], new["pairs"])
    if not _has_pairs(run, new["pairs"]):
        return new
    with scoped(run, part):
        return new | _ranker(run, sessions, new)


def _has_pairs(run: Run, pairs: Ref) -> bool:
    """Whether a ranker can be trained: some training pair ends in a suggestion; a plan that cannot tell assumes it."""
    return not run.env.store.has(pairs) or bool(run.env.store.manifest(pairs).quality["trainable"])


def _ranker(run: Run, sessions: Ref, artifacts: Mapping[str, Ref]) -> dict[str, Ref]:
    """Features of the pairs, the index of the suggestions and the weights of its levels, by role."""
    own, rows = run.settings.autocomplete, run.settings.corpus.imports.rows_per_shard
    suggestions, pairs = artifacts["suggestions"], artifacts["pairs"]
    log = (sessions, suggestions, pairs)
    new = {"vocabulary": fit_vocabulary(*log, params=own.features)}
    new["features"] = featurize_pairs(*log, new["vocabulary"], params=own.features, rows_per_shard=rows)
    new["targets"] = targets = list_targets(*log, params=own.features)
    blocks = {"rows": own.rows, "blocks": own.blocks}
    if own.index.labels == "pifa":
        new["label_features"] = embed_labels(targets, new["features"], params=own.embedding, **blocks)
    else:
        new["label_features"] = embed_suggestions(suggestions, params=own.features, rows_per_shard=rows)
    index = {"params": own.index.params, "blocks": own.blocks}
    new["tree"] = index_suggestions(suggestions, new["label_features"], **index)
    new["model"] = train_rankers(targets, new["features"], new["tree"], params=own.training, **blocks)
    return new


def measure(run: Run, artifacts: Mapping[str, Ref]) -> dict[str, Ref]:
    """Metrics of the completer and of popularity and bigrams on held-out sessions, and prefixes without good answers."""
    own, used = run.settings.autocomplete, [artifacts[role] for role in _ANSWERING if role in artifacts]
    return {
        "evaluation": evaluate_completer(*used, params=own.evaluation, serving=own.serving),
        "weak_prefixes": list_weak_prefixes(*used, params=own.evaluation, serving=own.serving),
    }


def finish(run: Run, sessions: Ref) -> dict[str, Ref]:
    """Everything that answers, made once more from all sessions after it was measured, by role.

    Empty where no sessions are held out, or what was measured is to be published.
    """
    if not run.settings.autocomplete.trained_again:
        return {}
    with scoped(run, FINAL_PART):
        every = include_held_out_sessions(sessions)
        new = {"sessions": every} | train(run, every, FINAL_PART)
    return {FINAL + role: ref for role, ref in new.items()}


def compare(run: Run, artifacts: Mapping[str, Ref]) -> dict[str, Ref]:
    """The same ranker over the default index, and its comparison with the completer; empty where it is off."""
    own = run.settings.autocomplete
    if not own.baselines.compared or "model" not in artifacts:
        return {}
    targets, features, blocks = artifacts["targets"], artifacts["features"], {"rows": own.rows, "blocks": own.blocks}
    with scoped(run, PART):
        labels = embed_by_pairs(targets, features, params=own.baselines.embedding, **blocks)
        tree = index_by_pairs(labels, params=own.baselines.clusters, blocks=own.blocks)
        model = train_default_rankers(targets, features, tree, params=own.training, **blocks)
    new = {"default_label_features": labels, "default_tree": tree, "default_model": model}
    used = [{**artifacts, **new}[role] for role in (*_ANSWERING, "default_tree", "default_model")]
    measured = {"params": own.baselines.comparison, "evaluation": own.evaluation, "serving": own.serving}
    return new | {"comparison": compare_completers(*used, **measured)}


def note_unmeasured(run: Run, completer: Ref) -> None:
    """Notes in the run and its report that a completer's quality was not measured, if it was not."""
    if not run.env.planning and (words := unmeasured(run.env.store.manifest(completer))):
        run.note(words)
