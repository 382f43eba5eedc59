"""Advice: what edits save is what the costs say, plans keep limits and the accuracy that may be lost."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from fingerpost.tasks.nas.accelerator import Accelerator
from fingerpost.tasks.nas.advice import AdviceParams, advise, applied, plan
from fingerpost.tasks.nas.advice_text import COLUMNS, NOT_MEASURED, advice_records, advice_rows, effect_text
from fingerpost.tasks.nas.architecture import Architecture, Block
from fingerpost.tasks.nas.architecture_toml import architecture_toml, parse_architecture
from fingerpost.tasks.nas.costs import costs_of
from fingerpost.tasks.nas.edits import Edit, EditKind, edited
from fingerpost.tasks.nas.limits import CandidateCosts, LimitParams, limits_of
from fingerpost.tasks.nas.patterns import built_in_patterns, expected_change
from fingerpost.tasks.nas.spaces import reference_for_images

REFERENCE = reference_for_images(28, 1, 10)
PATTERNS = built_in_patterns()


def costs(networks: Sequence[Architecture]) -> list[CandidateCosts]:
    """The costs on the simulated accelerator."""
    found = []
    for one, ms in zip(networks, Accelerator().measure_networks(networks).ms.tolist(), strict=True):
        counted = costs_of(one)
        found.append(CandidateCosts(ms, 0.0, counted.macs, counted.parameters, counted.peak_values))
    return found


def test_advice_says_what_the_device_says() -> None:
    found = advise(REFERENCE, costs, PATTERNS, params=AdviceParams())
    before = costs([REFERENCE])[0]
    assert [one.latency_saving for one in found] == sorted((one.latency_saving for one in found), reverse=True)
    for one in found:
        (after,) = costs([edited(REFERENCE, one.edit)])
        assert one.latency_saving == pytest.approx(1 - after.latency_ms / before.latency_ms)
        assert one.memory_saving == pytest.approx(1 - after.memory_bytes / before.memory_bytes)
        assert one.size_saving == pytest.approx(1 - after.parameters / before.parameters)
        assert max(one.latency_saving, one.memory_saving, one.size_saving) > 0
    kinds = {one.edit.kind for one in found}
    assert {"fuse", "replace_depthwise", "round"} <= kinds
    few = advise(REFERENCE, costs, PATTERNS, params=AdviceParams(kinds=("fuse",)))
    assert {one.edit.kind for one in few} == {"fuse"}
    # Fusing late, where channels are many, takes longer on this device and saves nothing.
    assert all(one.edit.stage < 3 for one in few if one.edit.block >= 0)


def test_a_plan_keeps_what_may_be_lost_and_each_step_saves() -> None:
    for allowed in (0.0, 0.002, 0.01):
        steps = plan(REFERENCE, costs, PATTERNS, params=AdviceParams(accuracy=allowed))
        current = REFERENCE
        for one in steps:
            assert one.base == current
            # Rounding up a stage that has just been replaced takes a part of what replacing saved.
            assert one.latency_saving > 0 or one.edit.kind == "round"
            current = one.architecture
        assert -expected_change(PATTERNS, REFERENCE, current)[0] <= allowed + 1e-12
    assert costs([current])[0].latency_ms < 0.5 * costs([REFERENCE])[0].latency_ms


def test_replaced_stages_keep_their_channels_and_are_rounded_up() -> None:
    kinds: tuple[EditKind, ...] = ("replace_depthwise", "round", "narrow", "even")
    # What would make fewer channels seem to cost nothing.
    free = [replace(one, accuracy_change=0.0, accuracy_spread=0.0) for one in PATTERNS]
    steps = plan(REFERENCE, costs, free, params=AdviceParams(accuracy=0.05, kinds=kinds, caution=0.0))
    found = steps[-1].architecture
    assert {block.kind for stage in found.stages for block in stage.blocks} == {"conv"}
    # Multiples of 16, at least 0.9 of 12, 20 and 36 (and of the stem's 12): 16 would be too few for 20, and 32 for 36.
    assert (found.stem, [stage.channels for stage in found.stages]) == (16, [16, 32, 48])
    replaced = 0.0
    for one in steps:
        if one.edit.kind != "round":
            replaced = one.before.latency_ms
        assert one.after.latency_ms <= replaced
        if one.edit.kind == "round":
            assert {block.kind for block in one.base.stages[max(one.edit.stage, 1) - 1].blocks} == {"conv"}
    kinds = kinds[:2]
    without = plan(REFERENCE, costs, PATTERNS, params=AdviceParams(accuracy=0.05, kinds=kinds[:1]))
    assert [stage.channels for stage in without[-1].architecture.stages] == [12, 20, 36]
    # Toward limits, nothing is rounded up that takes a network further away from them.
    limits = limits_of(LimitParams(parameter_share=0.7), costs([REFERENCE])[0])
    toward = plan(REFERENCE, costs, PATTERNS, params=AdviceParams(accuracy=0.05, kinds=kinds), limits=limits)
    assert toward
    assert all(limits.excess(one.after) <= limits.excess(one.before) for one in toward)


def test_a_plan_ends_where_the_limits_are_kept() -> None:
    limits = limits_of(LimitParams(memory_share=0.6, parameter_share=0.6), costs([REFERENCE])[0])
    steps = plan(REFERENCE, costs, PATTERNS, params=AdviceParams(accuracy=0.05), limits=limits)
    assert limits.keeps(steps[-1].after)
    assert not any(limits.keeps(one.before) for one in steps)
    # No edit is in it that the limits do not need.
    for one in steps:
        others = [step.edit for step in steps if step is not one]
        assert not limits.keeps(costs([applied(REFERENCE, others)])[0])
    assert plan(steps[-1].architecture, costs, PATTERNS, params=AdviceParams(), limits=limits) == ()
    # Without a search, all is assumed.
    assert plan(REFERENCE, costs, PATTERNS, params=AdviceParams(assumed=False), limits=limits) == ()
    # What cannot be reached at the accuracy that may be lost is not forced.
    none = plan(REFERENCE, costs, PATTERNS, params=AdviceParams(accuracy=0.0), limits=limits)
    assert not none or not limits.keeps(none[-1].after)


def test_chosen_edits_are_applied_together() -> None:
    edits = [
        Edit("shrink_depth", 2, value=1),
        Edit("fuse", 1, 0),
        Edit("round", 3, value=32),
        Edit("replace_depthwise", 2, 0),
    ]
    found = applied(REFERENCE, edits)
    assert found == applied(REFERENCE, edits[::-1])
    assert [block.kind for block in found.stages[0].blocks] == ["fused", "ibn"]
    assert [block.kind for block in found.stages[1].blocks] == ["conv"]
    assert found.stages[2].channels == 32
    both = [Edit("replace_depthwise", 1, 0), Edit("shrink_expansion", 1, 0, 2)]
    assert applied(REFERENCE, both).stages[0].blocks[0].expansion == 1
    assert parse_architecture(architecture_toml(found)) == found
    assert applied(REFERENCE, []) == REFERENCE
    with pytest.raises(ValueError, match="expected one edit for each place, got 2 that change the kind of stage 1"):
        applied(REFERENCE, [Edit("fuse", 1, 0), Edit("replace_depthwise", 1, 0)])


@pytest.mark.parametrize("swapped", [False, True])
def test_of_overlapping_edits_the_special_one_counts(swapped: bool) -> None:
    def both(*edits: Edit) -> Architecture:
        return applied(REFERENCE, edits[::-1] if swapped else edits)

    found = both(Edit("replace_depthwise", 1), Edit("fuse", 1, 0)).stages[0].blocks
    assert found == (Block("fused", 3, 4), Block("conv", 3, 1))
    found = both(Edit("fuse", 1), Edit("replace_depthwise", 1, 1)).stages[0].blocks
    assert found == (Block("fused", 3, 4), Block("conv", 3, 1))
    stages = both(Edit("fuse"), Edit("replace_depthwise", 2)).stages
    assert [[block.kind for block in stage.blocks] for stage in stages] == [["fused"] * 2, ["conv"] * 2, ["fused"] * 2]
    channels = both(Edit("even", value=16), Edit("round", 1, value=32), Edit("round", 0, value=16))
    assert [channels.stem, *(stage.channels for stage in channels.stages)] == [16, 32, 16, 16]


def test_texts_and_records_say_the_same() -> None:
    found = advise(REFERENCE, costs, PATTERNS, params=AdviceParams())
    rows, records = advice_rows(found), advice_records(found)
    assert [row[0] for row in rows] == [str(number) for number in range(1, len(rows) + 1)]
    assert {len(row) for row in rows} == {len(COLUMNS)}
    assert {row[-1] for row in rows} == {NOT_MEASURED}
    for row, record in zip(rows, records, strict=True):
        assert row[1] == record["text"]
        assert row[2] == f"{100 * float(str(record['latency_saving'])):.1f} %"
    text = effect_text(found[0].before, found[0].after)
    assert "latency 0.1494 to" in text
    assert "parameters" in text


@pytest.mark.parametrize("wrong", [{"parallelism": 0}, {"accuracy": -1.0}, {"most": 0}, {"kinds": ("grow",)}])
def test_parameters_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="advice: expected"):
        AdviceParams(**wrong)  # type: ignore[arg-type]
