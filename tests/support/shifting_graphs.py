"""Two graphs of goods and their makers, and what they are like a day later."""

from dataclasses import dataclass, field, replace

import numpy as np

from fingerpost.schemas.inputs.graphs import GraphBatch
from tests.support.alignments import Entity, graph_of

_KINDS = ("red", "blue", "old", "new", "large", "small", "steel", "wooden", "copper", "garden", "folding", "electric")
_THINGS = ("kettle", "knife", "lamp", "chair", "ladder", "hammer", "brush", "clock", "radio", "mirror", "bench", "kite")
_WORDS = (*_KINDS, *_THINGS)


@dataclass(frozen=True)
class Goods:
    """One side: the name, price and maker of each of its goods by key, and further entities."""

    side: str
    names: dict[str, str]
    prices: dict[str, str]
    makers: dict[str, str]
    relations: bool = True
    extra: tuple[Entity, ...] = field(default=())

    def graph(self) -> GraphBatch:
        """The graph, its entities by key."""
        keys = sorted(self.names)
        brands = sorted(set(self.makers.values()))
        entities: list[Entity] = [(f"{self.side}:{brand}", "brand", brand, {}) for brand in brands]
        entities += [(key, "product", self.names[key], {"price": self.prices[key]}) for key in keys]
        made = [(key, "made by", f"{self.side}:{self.makers[key]}") for key in keys] if self.relations else []
        return graph_of([*entities, *self.extra], made)

    def without(self, *keys: str) -> "Goods":
        """The side without some goods."""
        kept = {key: name for key, name in self.names.items() if key not in keys}
        return replace(self, names=kept)

    def named(self, key: str, name: str, *, price: str = "1", maker: str = "Acme 0") -> "Goods":
        """The side with other goods under a key, or with new ones."""
        return replace(
            self,
            names={**self.names, key: name},
            prices={key: price, **self.prices},
            makers={key: maker, **self.makers},
        )

    def priced(self, key: str, price: str) -> "Goods":
        """The side with another price."""
        return replace(self, prices={**self.prices, key: price})


def goods(count: int, *, seed: int = 0, relations: bool = True) -> tuple[Goods, Goods]:
    """Both sides of as many goods: l7 on the left and r7 on the right are one, under names that differ by a word."""
    rng = np.random.default_rng(seed)
    sides = []
    words = [list(rng.choice(_WORDS, 4, replace=False)) for _ in range(count)]
    makers = rng.integers(0, max(count // 8, 1), count)
    for side in ("l", "r"):
        names, prices, made = dict[str, str](), dict[str, str](), dict[str, str]()
        for number, of in enumerate(words):
            said = list(of) if side == "l" else [*of[:-1], str(rng.choice(_WORDS))]
            key = f"{side}{number:04d}"
            names[key], prices[key] = f"{' '.join(said)} {number % 17}", str(int(rng.integers(1, 99)))
            made[key] = f"Acme {makers[number]}"
        sides.append(Goods(side, names, prices, made, relations=relations))
    return sides[0], sides[1]
