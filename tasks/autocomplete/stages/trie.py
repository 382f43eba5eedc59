"""The stage that builds the trie of the suggestions."""

from fingerpost.schemas import autocomplete as contracts
from fingerpost.schemas.matrices import tensors_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.autocomplete.trie import build_trie as build
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.TRIE)
def build_trie(run: StageRun, suggestions: Ref) -> None:
    """Builds the trie over the suggestions' matching keys, with their weights."""
    table = run.store.open(suggestions, contracts.SUGGESTIONS).read("suggestions")
    trie = build(table["key"].to_pylist(), table["weight"].to_numpy())
    run.write("trie", tensors_to_arrow(trie.arrays()))
    run.quality = {"suggestions": trie.keys, "nodes": trie.nodes, "bytes": trie.nbytes}
