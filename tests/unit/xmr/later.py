"""The small shop a day later: more interactions, two of their labels new, and the ranker refreshed with them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fingerpost.schemas.inputs.interactions import InteractionFile
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.corpus.stages import features as corpus
from fingerpost.tasks.xmr.drift import DriftLimits
from fingerpost.tasks.xmr.refresh import RefreshParams
from fingerpost.tasks.xmr.stages import interactions as interactions_stages
from fingerpost.tasks.xmr.stages import refresh as refresh_stages
from tests.unit.xmr.shop import Shop

#: What is new: twelve queries for each of two labels that were not there, and nine for one that was.
_MORE = [
    *(f"velvet red curtain {row},curtain-red,1" for row in range(12)),
    *(f"hammer saw drill {row},tools,1" for row in range(12)),
    *(f"hammer red again {row},hammer-red,1" for row in range(9)),
]
#: Limits that this much new holds.
WIDE = DriftLimits(new_share=0.5, solved_share=0.9, terms_lost=0.9, centroid_mean=0.5, top_leaf_changed=0.9)


def write_more(interactions: Path) -> Path:
    """The interactions of the shop and those that came, as a CSV file beside it."""
    path = interactions.parent / "more.csv"
    path.write_text("\n".join([*interactions.read_text().splitlines(), *_MORE]) + "\n")
    return path


@dataclass(frozen=True)
class Later:
    """How the ranker is refreshed; with every new row."""

    shop: Shop = field(default_factory=Shop)
    params: RefreshParams = field(
        default_factory=lambda: RefreshParams(training=Shop().training, max_leaf_size=8, label_gain=0, node_gain=0)
    )
    limits: DriftLimits = WIDE

    def make(self, env: Any, old: dict[str, Ref], interactions: Path) -> dict[str, Ref]:
        """The artifacts of a refresh by role, ``old`` the shop's."""
        shop, new = self.shop, {}
        source = InteractionFile(str(interactions), str(interactions.parent / "labels.csv"))
        new["interactions"] = taken = interactions_stages.import_interactions.execute(
            env, source, params=shop.interactions
        )
        for role, held in (("features", False), ("held_features", True)):
            queries = interactions_stages.list_queries.execute(
                env, taken, held_out=held, label_words=0 if held else 50, rows_per_shard=300
            )
            counted = corpus.count_ngrams.execute(env, queries, params=shop.ngrams)
            new[role] = corpus.weigh_terms.execute(env, counted, old["vocabulary"], params=shop.tfidf)
        new["tree"] = refresh_stages.refresh_tree.execute(
            env,
            taken,
            new["features"],
            old["interactions"],
            old["label_features"],
            old["tree"],
            params=self.params,
            rows=shop.rows,
        )
        new["model"] = refresh_stages.refresh_rankers.execute(
            env,
            taken,
            new["features"],
            new["held_features"],
            new["tree"],
            old["interactions"],
            old["tree"],
            old["model"],
            params=self.params,
            rows=shop.rows,
            blocks=shop.blocks,
            limits=self.limits,
        )
        return new
