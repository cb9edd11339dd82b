"""Times of day to the second, and ratios by their proportions."""

from __future__ import annotations

from tracegen.verify import words
from tracegen.verify.decision import NO, Compare, Decision, every
from tracegen.verify.terms import compare_terms
from tracegen.verify.tree import Clock, Group, Node, Num, Op, Ratio, Rel, Seq, SetOf, Words


def is_clock(node: Node) -> bool:
    """The answer is a time of day."""
    return isinstance(node, Clock)


def compare_clocks(reference: Node, answer: Node, compare: Compare) -> Decision | None:
    """To the second; where one side lacks am or pm, by the clock's face, with weak trust."""
    if isinstance(reference, Clock) and isinstance(answer, Clock):
        times = [
            clock.seconds if not clock.half else clock.seconds % 43200 + 43200 * (clock.half == "pm")
            for clock in (reference, answer)
        ]
        face = range(3600, 13 * 3600)  # 0:30 and 13:30 are not on a clock's face
        by_day = any(not clock.half and clock.seconds not in face for clock in (reference, answer))
        if bool(reference.half) == bool(answer.half) or by_day:
            return Decision(equal=times[0] == times[1])
        return Decision(equal=times[0] % 43200 == times[1] % 43200, weak=True, why="am or pm on one side")
    sides = _as_clock(reference), _as_clock(answer)
    return NO if sides == (reference, answer) else compare_clocks(*sides, compare)


def _as_clock(node: Node) -> Node:
    """`15:15`, which may be a ratio, and `noon`, beside a time of day."""
    match node:
        case Ratio(parts=(Num(value=hours), Num(value=minutes, significant=digits))) if (
            hours.denominator == minutes.denominator == 1
            and 0 <= hours <= 24
            and 0 <= minutes < 60
            and digits == 2
        ):
            return Clock(int(hours) * 3600 + int(minutes) * 60, "")
        case Words(text=text) if words.normal(text) in _TIMES:
            return _TIMES[words.normal(text)]
        case _:
            return node


_TIMES = {"noon": Clock(43200, "pm"), "midnight": Clock(43200, "am")}


def is_ratio(node: Node) -> bool:
    """The answer is a ratio."""
    return isinstance(node, Ratio)


def compare_ratios(reference: Node, answer: Node, compare: Compare) -> Decision | None:
    """Proportional; a ratio of two parts is also their quotient. Two that may be times are equal as such."""
    if isinstance(reference, Ratio) and isinstance(answer, Ratio):
        if len(reference.parts) != len(answer.parts):
            return NO
        if all(isinstance(_as_clock(side), Clock) for side in (reference, answer)):
            return Decision(equal=reference == answer)
        pairs = list(zip(reference.parts, answer.parts, strict=True))
        return every(
            [
                compare_terms(
                    Op("mul", (first, pairs[index + 1][1])), Op("mul", (second, pairs[index + 1][0]))
                )
                for index, (first, second) in enumerate(pairs[:-1])
            ]
        )
    ratio, other = (reference, answer) if isinstance(reference, Ratio) else (answer, reference)
    if (
        isinstance(ratio, Ratio)
        and len(ratio.parts) == 2
        and not isinstance(other, Group | Seq | SetOf | Rel)
    ):
        division = Op("div", ratio.parts)
        return compare(division, answer) if ratio is reference else compare(reference, division)
    return NO
