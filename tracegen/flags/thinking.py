"""Flags of the thinking's presence, length and end."""

from __future__ import annotations

from tracegen.data import Flag, Trace, Verdict
from tracegen.recipe import Flags


def think_empty(trace: Trace, _: Verdict, __: Flags) -> Flag | None:
    """There is no thinking: none at all, or nothing but white space between the tags."""
    if trace.thinking.strip():
        return None
    return Flag("think_empty", "empty thinking" if trace.thought else "no thinking part")


def think_short(trace: Trace, _: Verdict, settings: Flags) -> Flag | None:
    """The closed thinking has fewer words than `think_short_words`, but is not empty."""
    words = len(trace.thinking.split())
    if not trace.closed or not 0 < words < settings.think_short_words:
        return None
    return Flag("think_short", f"{words} words, fewer than {settings.think_short_words}")


def think_unclosed(trace: Trace, _: Verdict, __: Flags) -> Flag | None:
    """The thinking was opened and never closed, so the trace has no answer."""
    if trace.closed:
        return None
    return Flag("think_unclosed", f"ends with {trace.thinking[-60:]!r}")


def think_cut(trace: Trace, _: Verdict, settings: Flags) -> Flag | None:
    """The thinking was closed by its budget, not by the model (budget forcing, arXiv 2501.19393)."""
    if not trace.forced_close:
        return None
    return Flag("think_cut", f"closed by the budget after {len(trace.thinking.split())} words")


def truncated(trace: Trace, _: Verdict, __: Flags) -> Flag | None:
    """The completion ended because its tokens were spent."""
    if trace.finish_reason != "length":
        return None
    return Flag("truncated", f"finish_reason length after {trace.completion_tokens or 'unknown'} tokens")
