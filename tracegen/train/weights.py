"""The weight of each token, from the recipe: preset, overrides, row, first and last tokens, balance. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Mapping

import msgspec

from tracegen.data import Struct
from tracegen.student import Region, Stage, Train
from tracegen.train.example import CODES, REGIONS

PRESETS: dict[str, dict[Region, float]] = {
    "include": {},
    "exclude": {"think": 0.0},
    "answer_only": {"open": 0.0, "think": 0.0, "close": 0.0},
    "anti_collapse": {"close": 5.0},
}
"""What a preset changes; every other region but the prompt has weight 1."""
LEADS = {"anti_collapse": 4.0}
"""By what a preset multiplies the weight of the first tokens of the thinking."""


class Scheme(Struct, frozen=True):
    """How the tokens of one row are weighed."""

    by_region: dict[Region, float]
    think_first: int = 0
    """Only the first so many tokens of the thinking; 0 is all …"""
    think_last: int = 0
    """… and the last so many; where both are given, both ends."""
    lead: float = 1.0
    """Factor of the first …"""
    lead_tokens: int = 0
    """… so many tokens of the thinking."""
    balanced: bool = False
    """The thinking is scaled to the mass of the answer, the lead with it."""


def scheme(train: Train, stage: Stage | None = None) -> Scheme:
    """The weights of `[train]`, or of one of its stages."""
    preset = (stage.preset if stage else "") or train.preset
    weights: dict[Region, float] = {**dict.fromkeys(REGIONS, 1.0), **PRESETS[preset], **train.weights}
    if stage:
        if stage.preset:
            weights = {**dict.fromkeys(REGIONS, 1.0), **PRESETS[preset]}
        weights.update(stage.weights)
    weights["prompt"] = 0.0
    return Scheme(
        weights,
        train.think_first,
        train.think_last,
        train.lead or LEADS.get(preset, 1.0),
        train.lead_tokens,
        train.think_balance == "per_example",
    )


def leading(given: Scheme) -> str:
    """What the beginning of a thinking weighs more, in words; empty where it is like the rest."""
    if given.lead == 1 or not given.lead_tokens or not given.by_region["think"]:
        return ""
    return f"the first {given.lead_tokens} tokens of a thinking weigh {given.lead:g} times as much"


def without(given: Scheme, *regions: Region) -> Scheme:
    """The same with weight 0 on some regions."""
    return msgspec.structs.replace(given, by_region={**given.by_region, **dict.fromkeys(regions, 0.0)})


def weigh(codes: bytes, given: Scheme, row: float = 1.0) -> array[float]:
    """The weight of each token of a row; the first one has nothing before it and weighs 0."""
    by_code = [given.by_region[region] for region in REGIONS]
    found = array("f", (by_code[code] for code in codes))
    thinking = [index for index, code in enumerate(codes) if code == CODES["think"]]
    for index in set(thinking) - _wanted(thinking, given.think_first, given.think_last):
        found[index] = 0.0
    for index in thinking[: given.lead_tokens]:
        found[index] *= given.lead
    if given.balanced:
        _balance(found, codes, thinking)
    if row != 1.0:
        found = array("f", (weight * row for weight in found))
    if found:
        found[0] = 0.0
    return found


def mass_by_region(codes: bytes, weights: array[float]) -> dict[Region, float]:
    """Sum of the weights in each region."""
    sums = [0.0] * len(REGIONS)
    for code, weight in zip(codes, weights, strict=True):
        sums[code] += weight
    return dict(zip(REGIONS, sums, strict=True))


def added(sums: Mapping[Region, float], more: Mapping[Region, float]) -> dict[Region, float]:
    """Both together."""
    return {region: sums.get(region, 0.0) + more.get(region, 0.0) for region in REGIONS}


def _wanted(thinking: list[int], first: int, last: int) -> set[int]:
    if not first and not last:
        return set(thinking)
    return {*thinking[:first], *(thinking[-last:] if last else ())}


def _balance(weights: array[float], codes: bytes, thinking: list[int]) -> None:
    """Scale the thinking to the mass of the answer, where both have one."""
    answer = sum(weight for weight, code in zip(weights, codes, strict=True) if code == CODES["answer"])
    mass = sum(weights[index] for index in thinking)
    if answer > 0 and mass > 0:
        for index in thinking:
            weights[index] *= answer / mass
