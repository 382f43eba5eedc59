"""The lineage of an artifact as a picture: standalone SVG, inputs above, what they became below.

Layers, lanes and order as in Sugiyama, Tagawa, Toda, "Methods for visual understanding of hierarchical system
structures", 1981 (sections 3 to 5): nodes in layers of bounded width, long arrows in lanes of their own through the
layers between, order by barycentres. The picture is as wide as the narrow column that Prefect's pages leave for it.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from xml.sax.saxutils import escape

from fingerpost.flows.report.plots import INK, MUTED
from fingerpost.flows.run.lineage import Lineage, Node, direct_inputs
from fingerpost.flows.run.plain_text import visible
from fingerpost.schemas.wording import some

#: Pixels of a box, a lane for an arrow, what is between them, between layers, and around the picture.
BOX, HEIGHT, LANE, GAP, RISE, MARGIN = 190, 44, 10, 16, 30, 14
#: Boxes side by side, and nodes of one name and use from which on they are one box.
ACROSS, ALIKE = 3, 4
#: Characters of a line in a box.
_LONGEST = 23
_SWEEPS = 8
#: Border, filling and dashes of a box: a color says the same as the words in it.
_LOOKS = {
    "computed": ("#0969da", "#ddf4ff", ""),
    "reused": (MUTED, "#f6f8fa", ' stroke-dasharray="5 3"'),
    "input": ("#9a6700", "#fff8c5", ""),
    "live": ("#1a7f37", "#dafbe1", ""),
    "": (MUTED, "#ffffff", ""),
}


@dataclass(frozen=True)
class _Box:
    """A node as it is drawn: its two lines and how it looks."""

    key: str
    lines: tuple[str, str]
    looks: str


@dataclass(frozen=True)
class Layout:
    """Where everything is: layers of items from left to right, the middle of each item, and the drawn arrows.

    An item is a node, ``(key, "")``, or the lane of its arrows through a layer, ``(key, "lane")``.
    """

    layers: tuple[tuple[tuple[str, str], ...], ...]
    middles: Mapping[tuple[int, tuple[str, str]], float]
    steps: tuple[tuple[int, tuple[str, str], tuple[str, str]], ...]
    width: float


def as_svg(lineage: Lineage) -> str:
    """The picture, on a white ground: it is read on light and dark pages."""
    shown = folded(lineage)
    arrows = [(given, key) for key, given in direct_inputs(shown.nodes)]
    boxes = {node.key: _box(node) for node in shown.nodes}
    for number, live in enumerate(shown.live):
        where, _, generation = live.partition(", ")
        boxes[f"live {number}"] = _Box(f"live {number}", (_cut(where), f"live, {generation}"), "live")
        arrows.append((shown.target, f"live {number}"))
    return _drawn(boxes, layout(list(boxes), arrows), alternative(lineage))


def alternative(lineage: Lineage) -> str:
    """What the picture shows, for those who cannot see it."""
    made = sum(bool(node.day) for node in lineage.nodes)
    sources = [node.title for node in lineage.nodes if not node.day]
    return f"{lineage.target.partition('/')[0]}: {made} artifacts, made from {some(sources) if sources else 'no input'}"


def folded(lineage: Lineage) -> Lineage:
    """The lineage with nodes of one name and one use as one, where there are several: those of many days' files."""
    nodes = {node.key: node for node in lineage.nodes}
    # From the end: once the days' artifacts are one node, their files have one use.
    for key in [node.key for node in reversed(lineage.nodes)]:
        if key in nodes:
            _fold(nodes, [other for other in _alike(nodes, key) if other != lineage.target])
    return replace(lineage, nodes=tuple(nodes.values()))


def _alike(nodes: Mapping[str, Node], key: str) -> list[str]:
    """The nodes with the name and the uses of one; of inputs, the uses decide."""
    uses: dict[str, set[str]] = defaultdict(set)
    for node in nodes.values():
        for given in node.inputs.values():
            uses[given].add(node.key)
    name = nodes[key].title if nodes[key].day else ""
    return [
        other
        for other, node in nodes.items()
        if (node.title if node.day else "") == name and bool(node.day) == bool(name) and uses[other] == uses[key]
    ]


def _fold(nodes: dict[str, Node], alike: Sequence[str]) -> None:
    if len(alike) < ALIKE:
        return
    members = sorted((nodes[key] for key in alike), key=lambda node: (node.day, node.title))
    first, last = members[0], members[-1]
    states = {node.state for node in members}
    one = replace(
        first,
        title=f"{len(members)} × {first.title}" if first.day else f"{len(members)} inputs",
        day=f"{first.day} to {last.day}" if first.day else "",
        state=states.pop() if len(states) == 1 else "computed",
        rows={"rows": sum(sum(node.rows.values()) for node in members)},
        quality={} if first.day else {"digest": f"{first.title} …"},
        inputs={str(number): given for number, given in enumerate(_given(members))},
    )
    gone = {node.key for node in members}
    for key, node in list(nodes.items()):
        if key in gone:
            del nodes[key]
        elif gone & set(node.inputs.values()):
            nodes[key] = replace(
                node, inputs={role: one.key if given in gone else given for role, given in node.inputs.items()}
            )
    # Inputs first, as before: after all that it was made from.
    rest = dict(nodes)
    nodes.clear()
    placed = False
    for key, node in rest.items():
        if not placed and one.key in node.inputs.values():
            nodes[one.key], placed = one, True
        nodes[key] = node
    nodes.setdefault(one.key, one)


def _given(members: Sequence[Node]) -> list[str]:
    return list(dict.fromkeys(given for node in members for given in node.inputs.values()))


def _box(node: Node) -> _Box:
    if not node.day:
        return _Box(node.key, (_cut(node.title), _cut(str(node.quality.get("digest", "")))), "input")
    count = sum(node.rows.values())
    rows = f"{count:,} {'row' if count == 1 else 'rows'}" if node.rows else ""
    return _Box(node.key, (_cut(node.title), ", ".join(filter(None, (rows, node.state)))), node.state)


def _cut(text: str) -> str:
    """A text for a line of a box: of a long one, its beginning and end."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 11]}…{text[-10:]}"


def layout(keys: Sequence[str], arrows: Sequence[tuple[str, str]], *, across: int = ACROSS) -> Layout:
    """Nodes, each after those that arrows (from, to) lead to it from, in layers of at most ``across`` nodes."""
    layer = _layered(keys, arrows, across)
    layers: list[list[tuple[str, str]]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for key in keys:
        layers[layer[key]].append((key, ""))
    steps: dict[tuple[int, tuple[str, str], tuple[str, str]], None] = {}
    for given, key in arrows:
        # All arrows of a node share its lane.
        here = (given, "")
        for number in range(layer[given] + 1, layer[key]):
            lane = (given, "lane")
            if lane not in layers[number]:
                layers[number].append(lane)
            steps[number - 1, here, lane] = None
            here = lane
        steps[layer[key] - 1, here, (key, "")] = None
    _order(layers, list(steps))
    middles, width = _placed(layers, list(steps))
    return Layout(tuple(map(tuple, layers)), middles, tuple(steps), width)


def _layered(keys: Sequence[str], arrows: Sequence[tuple[str, str]], across: int) -> dict[str, int]:
    """The layer of each node: the first one below those it is made from that has room."""
    given: dict[str, list[str]] = defaultdict(list)
    for source, key in arrows:
        given[key].append(source)
    layer: dict[str, int] = {}
    used: dict[int, int] = defaultdict(int)
    for key in keys:
        number = max((layer[source] + 1 for source in given[key]), default=0)
        while used[number] >= across:
            number += 1
        layer[key] = number
        used[number] += 1
    return layer


def _order(layers: list[list[tuple[str, str]]], steps: Sequence[tuple[int, tuple[str, str], tuple[str, str]]]) -> None:
    """Orders each layer by the mean place of what it is connected with, downwards and upwards in turn."""
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        numbers = range(1, len(layers)) if down else range(len(layers) - 2, -1, -1)
        for number in numbers:
            other = layers[number - 1 if down else number + 1]
            places = {item: (place + 0.5) / len(other) for place, item in enumerate(other)}
            mean = {}
            for place, item in enumerate(layers[number]):
                near = [places[end] for end in _ends(steps, number, item, down=down)]
                mean[item] = sum(near) / len(near) if near else (place + 0.5) / len(layers[number])
            layers[number].sort(key=mean.__getitem__)


def _ends(
    steps: Sequence[tuple[int, tuple[str, str], tuple[str, str]]], number: int, item: tuple[str, str], *, down: bool
) -> Iterator[tuple[str, str]]:
    """What an item of a layer is connected with in the layer above (``down``) or below it."""
    for above, source, target in steps:
        if down and above == number - 1 and target == item:
            yield source
        elif not down and above == number and source == item:
            yield target


def _placed(
    layers: Sequence[Sequence[tuple[str, str]]], steps: Sequence[tuple[int, tuple[str, str], tuple[str, str]]]
) -> tuple[dict[tuple[int, tuple[str, str]], float], float]:
    """The middle of each item, and the width of all: items keep their order, and are drawn to what is above them."""
    total = max((_width(items) for items in layers), default=0.0)
    middles: dict[tuple[int, tuple[str, str]], float] = {}
    for number, items in enumerate(layers):
        wanted = []
        for item in items:
            near = [middles[number - 1, end] for end in _ends(steps, number, item, down=True)]
            wanted.append(sum(near) / len(near) if near else total / 2)
        for item, middle in zip(items, _spread(items, wanted, total), strict=True):
            middles[number, item] = middle
    return middles, total


def _spread(items: Sequence[tuple[str, str]], wanted: Sequence[float], total: float) -> list[float]:
    """Middles near the wanted ones, in order, apart, and between 0 and ``total``."""
    if not items:
        return []
    apart = [distance(left, right) for left, right in pairwise(items)]
    # Pushed apart to the right, and to the left: the mean of both keeps the order and the distances.
    right, left = list(wanted), list(wanted)
    for place, least in enumerate(apart):
        right[place + 1] = max(right[place + 1], right[place] + least)
    for place in range(len(apart) - 1, -1, -1):
        left[place] = min(left[place], left[place + 1] - apart[place])
    found = [(a + b) / 2 for a, b in zip(left, right, strict=True)]
    found[0] = max(found[0], _size(items[0]) / 2)
    for place, least in enumerate(apart):
        found[place + 1] = max(found[place + 1], found[place] + least)
    found[-1] = min(found[-1], total - _size(items[-1]) / 2)
    for place in range(len(apart) - 1, -1, -1):
        found[place] = min(found[place], found[place + 1] - apart[place])
    return found


def distance(left: tuple[str, str], right: tuple[str, str]) -> float:
    """The least distance of the middles of two items side by side; lanes lie close together."""
    return (_size(left) + _size(right)) / 2 + (0 if left[1] and right[1] else GAP)


def _size(item: tuple[str, str]) -> float:
    return LANE if item[1] else BOX


def _width(items: Sequence[tuple[str, str]]) -> float:
    ends = (_size(items[0]) + _size(items[-1])) / 2 if items else 0.0
    return ends + sum(distance(left, right) for left, right in pairwise(items))


def _drawn(boxes: Mapping[str, _Box], where: Layout, words: str) -> str:
    width = where.width + 2 * MARGIN
    height = len(where.layers) * (HEIGHT + RISE) - RISE + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.1f} {height:.1f}" width="{width:.1f}"'
        f' height="{height:.1f}" role="img" font-family="system-ui, \'Segoe UI\', Arial, sans-serif">',
        f"<title>{escape(visible(words))}</title>",
        '<rect width="100%" height="100%" fill="white"/>',
        '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0 8 4 0 8z" fill="{MUTED}"/></marker></defs>',
        *_arrows(where),
        *(_shape(boxes[item[0]], number, middle) for (number, item), middle in where.middles.items() if not item[1]),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _arrows(where: Layout) -> Iterator[str]:
    """Arrows from layer to layer, and straight through their lanes."""
    for number, source, target in where.steps:
        x, y = where.middles[number, source] + MARGIN, MARGIN + number * (HEIGHT + RISE) + HEIGHT
        to, end = where.middles[number + 1, target] + MARGIN, y + RISE
        head = "" if target[1] else ' marker-end="url(#end)"'
        path = f"M{x:.1f} {y:.1f}C{x:.1f} {y + RISE / 2:.1f} {to:.1f} {y + RISE / 2:.1f} {to:.1f} {end:.1f}"
        yield f'<path d="{path}" fill="none" stroke="{MUTED}" stroke-width="1.2"{head}/>'
        if target[1]:
            yield f'<path d="M{to:.1f} {end:.1f}V{end + HEIGHT:.1f}" stroke="{MUTED}" stroke-width="1.2"/>'


def _shape(box: _Box, number: int, middle: float) -> str:
    border, filling, dashes = _LOOKS[box.looks]
    x, y, centre = middle + MARGIN - BOX / 2, MARGIN + number * (HEIGHT + RISE), middle + MARGIN
    round_ = HEIGHT / 2 if box.looks in {"input", "live"} else 5
    name, about = (escape(visible(line)) for line in box.lines)
    return (
        f'<g><rect x="{x:.1f}" y="{y:.1f}" width="{BOX}" height="{HEIGHT}" rx="{round_:.1f}" fill="{filling}"'
        f' stroke="{border}" stroke-width="1.5"{dashes}/>'
        f'<text x="{centre:.1f}" y="{y + 19:.1f}" text-anchor="middle" font-size="13.5" font-weight="600"'
        f' fill="{INK}">{name}</text>'
        f'<text x="{centre:.1f}" y="{y + 36:.1f}" text-anchor="middle" font-size="12.5" fill="{INK}">{about}</text></g>'
    )
