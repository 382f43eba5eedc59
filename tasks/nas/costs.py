"""What an architecture costs on any device: multiply-accumulates, parameters and peak activation memory."""

from dataclasses import dataclass

from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.operators import Operator, block_operators, operators_of


@dataclass(frozen=True)
class Placed:
    """An operator and its place: the stage (0 for the stem, then from 1; the ending has one more than the last stage), the
    block in it from 0, and the position of the operator whose output it adds (-1 for none)."""

    operator: Operator
    stage: int
    block: int
    added_from: int = -1


@dataclass(frozen=True)
class Costs:
    """macs: multiply-accumulates of one image. parameters: weights and biases, batch norm folded in. peak_values: the
    largest number of activation values that are alive at once; times the bytes of a value, the peak activation memory."""

    macs: int
    parameters: int
    peak_values: int


def placed_operators(architecture: Architecture) -> tuple[Placed, ...]:
    """The operators in the order in which they run, with their places."""
    operators = operators_of(architecture)
    found = [Placed(operators[0], 0, 0)]
    for number, stage in enumerate(architecture.stages, start=1):
        for block, chosen in enumerate(stage.blocks):
            source = len(found) - 1
            before = found[-1].operator
            stride = stage.stride if block == 0 else 1
            own = block_operators(chosen, before.output_size, before.outputs, stage.channels, stride)
            found += [Placed(each, number, block, source if each.added else -1) for each in own]
    ending = len(architecture.stages) + 1
    return (*found, *(Placed(each, ending, 0) for each in operators[len(found) :]))


def costs_of(architecture: Architecture) -> Costs:
    """The costs of an architecture.

    While an operator runs, its input and its output are alive, and what its block adds later on; nothing is computed in
    place, and the pixels of an image count as values of the network's resolution.
    """
    placed = placed_operators(architecture)
    alive = [own_values(each.operator) for each in placed]
    for position, each in enumerate(placed):
        # From its second reader on, the input of a block is not the input of the operator that runs.
        for later in range(each.added_from + 2, position + 1) if each.added_from >= 0 else ():
            alive[later] += placed[each.added_from].operator.output_values
    return Costs(
        sum(each.operator.macs for each in placed),
        sum(each.operator.parameters for each in placed),
        max(alive),
    )


def own_values(operator: Operator) -> int:
    """Values of an operator's own input and output, without what it adds."""
    return operator.size**2 * operator.inputs + operator.output_values
