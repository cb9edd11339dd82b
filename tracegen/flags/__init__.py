"""Labels of a trace, one pure function each: a flag with its evidence, or None.

A flag says what a trace is like, not whether it is right; `select.reject` in the recipe names those
that keep a correct trace out of `verified`. Lengths are in words (runs of non-space characters), so
that they mean the same for every teacher. `gold_suspect` is a flag of a problem's traces together: see
`tracegen.vote`.
"""

from __future__ import annotations

from collections.abc import Callable

from tracegen.data import Flag, Trace, Verdict
from tracegen.flags.answer import answer_not_in_thinking
from tracegen.flags.looping import looping
from tracegen.flags.thinking import think_cut, think_empty, think_short, think_unclosed, truncated
from tracegen.recipe import Flags

FLAGS: dict[str, Callable[[Trace, Verdict, Flags], Flag | None]] = {
    "think_empty": think_empty,
    "think_short": think_short,
    "think_unclosed": think_unclosed,
    "think_cut": think_cut,
    "truncated": truncated,
    "looping": looping,
    "answer_not_in_thinking": answer_not_in_thinking,
}
"""Every flag by its name, in the order in which they are reported."""


def label(trace: Trace, verdict: Verdict, settings: Flags) -> tuple[Flag, ...]:
    """All flags of a trace."""
    found = (judge(trace, verdict, settings) for judge in FLAGS.values())
    return tuple(flag for flag in found if flag is not None)
