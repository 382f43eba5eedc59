"""The parameters of a search."""

from dataclasses import dataclass
from typing import Literal, get_args

from fingerpost.tasks.nas.score_params import SCORES, ScoreName

Method = Literal["multishot", "single-shot", "zero-shot", "surrogate", "random"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True)
class SearchParams:
    """A search: its method, and how many candidates it evaluates.

    method: ``multishot``: ageing evolution of trained candidates; ``single-shot``: the same with the weights of a
        supernet, then the best are trained; ``zero-shot``: evolution on scores that need no training, then the best
        are trained; ``surrogate``: a regression on scores and trained candidates chooses what to train next;
        ``random``: trained candidates drawn at random, the control.
    evaluations: candidates beside the reference: trained ones, or for ``single-shot`` and ``zero-shot`` those that
        are evaluated without training.
    generation: candidates chosen at a time.
    population: number of first candidates, which are random (at most half of all, of ``surrogate`` a quarter), and of
        the best that later ones descend from.
    lifetime: candidates after which an older one has no more children.
    tournament: candidates drawn per parent.
    mutation: probability of a change per gene.
    crossover: probability that a child has two parents.
    finalists: candidates that are trained at the end of ``single-shot`` and ``zero-shot``.
    pool: scored candidates per trained one of ``surrogate``.
    latency_weight: exponent w of the reward accuracy · (latency of the reference / latency)^w, which is maximised
        (Tan et al., "MnasNet", CVPR 2019); 0: accuracy under the limits.
    scores: the zero-shot scores that are aggregated.
    attempts: candidates drawn for each wanted one before others are sought.
    seed: seed of the search.
    """

    method: Method = "multishot"
    evaluations: int = 24
    generation: int = 4
    population: int = 12
    lifetime: int = 48
    tournament: int = 3
    mutation: float = 0.1
    crossover: float = 0.5
    finalists: int = 4
    pool: int = 4
    latency_weight: float = 0.0
    scores: tuple[ScoreName, ...] = ("synflow", "naswot", "jacobian")
    attempts: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"search: expected a method of {', '.join(METHODS)}, got {self.method!r}; correct it")
        for name in (
            "evaluations",
            "generation",
            "population",
            "lifetime",
            "tournament",
            "finalists",
            "pool",
            "attempts",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"search: expected {name} of at least 1, got {getattr(self, name)}; correct it")
        for name in ("mutation", "crossover"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"search: expected {name} from 0 to 1, got {getattr(self, name)}; correct it")
        if self.seed < 0 or not 0 <= self.latency_weight < float("inf"):
            raise ValueError(
                f"search: expected seed and latency_weight of at least 0, got {self.seed} and {self.latency_weight};"
                " correct them"
            )
        if unknown := [name for name in self.scores if name not in SCORES]:
            raise ValueError(f"search: expected scores among {', '.join(SCORES)}, got {unknown}; correct them")
        if not self.scores and self.method in ("zero-shot", "surrogate"):
            raise ValueError(f"search: expected scores for {self.method}, got none; name some of {', '.join(SCORES)}")

    @property
    def trained(self) -> int:
        """The most candidates that it trains, beside the reference."""
        return self.finalists if self.method in ("single-shot", "zero-shot") else self.evaluations

    @property
    def requests(self) -> int:
        """The most evaluations of any kind, those of the reference included."""
        if self.method in ("multishot", "random"):
            return self.evaluations + 1
        return 2 + self.evaluations + (self.pool * self.evaluations if self.method == "surrogate" else self.finalists)
