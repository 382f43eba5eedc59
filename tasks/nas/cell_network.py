"""The network of a NAS-Bench-201 cell, for images; needs torch.

Stem, three stages of equal cells with residual blocks between them, and a classifier (Dong and Yang, "NAS-Bench-201",
ICLR 2020): 16, 32 and 64 channels and five cells a stage in the benchmark.
"""

from collections.abc import Sequence

import torch

#: The edges of a cell in the order of its operations: from node, to node. Node 0 is the input, node 3 the output.
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
#: What an edge of a cell can be.
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


def _relu_conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1) -> torch.nn.Module:
    convolution = torch.nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return torch.nn.Sequential(torch.nn.ReLU(), convolution, torch.nn.BatchNorm2d(outputs))


def _operation(name: str, channels: int) -> torch.nn.Module:
    if name == "skip_connect":
        return torch.nn.Identity()
    if name == "avg_pool_3x3":
        return torch.nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return _relu_conv_norm(channels, channels, 1 if name == "nor_conv_1x1" else 3)


def live_edges(operations: Sequence[str]) -> tuple[bool, ...]:
    """Which edges lie on a path from the input to the output of a cell; operations in the order of ``EDGES``.

    ValueError for other than six known operations.
    """
    if len(operations) != len(EDGES) or not set(operations) <= set(OPERATIONS):
        raise ValueError(
            f"cell: expected {len(EDGES)} operations of {', '.join(OPERATIONS)}, got {list(operations)}; correct it"
        )
    reached, leading = {0}, {3}
    for (begin, end), name in zip(EDGES, operations, strict=True):
        if name != "none" and begin in reached:
            reached.add(end)
    for (begin, end), name in reversed(list(zip(EDGES, operations, strict=True))):
        if name != "none" and end in leading:
            leading.add(begin)
    return tuple(
        name != "none" and begin in reached and end in leading
        for (begin, end), name in zip(EDGES, operations, strict=True)
    )


class _Cell(torch.nn.Module):
    """A cell: each node is the sum of the operations on its edges; node 3 of a cell without a path is zero."""

    def __init__(self, operations: Sequence[str], channels: int) -> None:
        super().__init__()
        edges = zip(EDGES, operations, live_edges(operations), strict=True)
        self._edges = [edge for edge, _, live in edges if live]
        named = dict(zip(EDGES, operations, strict=True))
        self.operations = torch.nn.ModuleList(_operation(named[edge], channels) for edge in self._edges)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        nodes: dict[int, torch.Tensor] = {0: rows}
        for (begin, end), operation in zip(self._edges, self.operations, strict=True):
            value = operation(nodes[begin])
            nodes[end] = nodes[end] + value if end in nodes else value
        return nodes.get(3, torch.zeros_like(rows))


class _Reduction(torch.nn.Module):
    """The residual block that halves the size and doubles the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 2 * channels
        self.first = _relu_conv_norm(channels, wide, 3, stride=2)
        self.second = _relu_conv_norm(wide, wide, 3)
        # ceil_mode: an odd size is halved as the convolution halves it.
        self.shortcut = torch.nn.Sequential(
            torch.nn.AvgPool2d(2, stride=2, ceil_mode=True), torch.nn.Conv2d(channels, wide, 1, bias=False)
        )

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.shortcut(rows) + self.second(self.first(rows))


class CellNetwork(torch.nn.Module):
    """The network of a cell: float32 (b, inputs, size, size) to (b, classes), for any size.

    operations: six names of ``OPERATIONS`` in the order of ``EDGES``; those that no path from input to output uses are
    left out. channels: of the first stage. cells: of each of the three stages.
    """

    def __init__(
        self, operations: Sequence[str], *, channels: int = 16, cells: int = 5, classes: int = 10, inputs: int = 3
    ) -> None:
        super().__init__()
        parts: list[torch.nn.Module] = [
            torch.nn.Conv2d(inputs, channels, 3, padding=1, bias=False),
            torch.nn.BatchNorm2d(channels),
        ]
        for stage in range(3):
            width = channels << stage
            parts += [_Reduction(width // 2)] if stage else []
            parts += [_Cell(operations, width) for _ in range(cells)]
        parts += [torch.nn.BatchNorm2d(4 * channels), torch.nn.ReLU()]
        self.body = torch.nn.Sequential(*parts)
        self.classifier = torch.nn.Linear(4 * channels, classes)

    def features(self, rows: torch.Tensor) -> torch.Tensor:
        """The output before global pooling: (b, 4 · channels, size / 4, size / 4)."""
        return self.body(rows)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(rows).mean(dim=(2, 3)))
