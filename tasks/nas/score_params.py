"""The zero-shot scores by name, and how they are computed; without torch."""

from dataclasses import dataclass
from typing import Literal, get_args

ScoreName = Literal["synflow", "naswot", "zen", "grad_norm", "snip", "jacobian", "parameters", "macs"]
#: All scores; higher is better.
SCORES: tuple[ScoreName, ...] = get_args(ScoreName)


@dataclass(frozen=True)
class ScoreParams:
    """Which scores, with weights drawn from which seed.

    zen_batch, zen_repeats: images of a batch of the Zen-score, and over how many batches it is averaged (16 and 32 in its
    paper).
    """

    names: tuple[ScoreName, ...] = SCORES
    seed: int = 0
    zen_batch: int = 16
    zen_repeats: int = 8

    def __post_init__(self) -> None:
        if not self.names or (unknown := [name for name in self.names if name not in SCORES]):
            raise ValueError(
                f"scores: expected names among {', '.join(SCORES)}, got {unknown if self.names else 'none'}; correct them"
            )
        if self.zen_batch < 1 or self.zen_repeats < 1:
            raise ValueError(
                f"scores: expected a zen_batch and zen_repeats of at least 1, got {self.zen_batch} and"
                f" {self.zen_repeats}; correct them"
            )
