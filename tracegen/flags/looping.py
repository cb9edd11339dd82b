"""The flag of a response that repeats itself."""

from __future__ import annotations

import re
from collections import Counter

from tracegen.data import Flag, Trace, Verdict
from tracegen.recipe import Flags

PIECE = re.compile(r"\w+|[^\w\s]")


def looping(trace: Trace, _: Verdict, settings: Flags) -> Flag | None:
    """A run of `loop_ngram_words` pieces (words or single signs) occurs `loop_repeats` times, and the
    runs that repeat so often cover at least `loop_share` of the text.

    Both conditions are needed: honest reasoning repeats a formula, a loop is made of one. Linear in
    the text's length (the repetition filters of Gopher, arXiv 2112.11446, with a count beside the share).
    """
    pieces = PIECE.findall(f"{trace.thinking}\n{trace.answer}")
    size = settings.loop_ngram_words
    runs = [tuple(pieces[i : i + size]) for i in range(len(pieces) - size + 1)]
    counts = Counter(runs)
    often = {run for run, count in counts.items() if count >= settings.loop_repeats}
    if not often:
        return None
    covered = _covered([run in often for run in runs], size)
    share = covered / len(pieces)
    if share < settings.loop_share:
        return None
    worst, count = counts.most_common(1)[0]
    return Flag("looping", f"{count} times {' '.join(worst)!r}, {share:.0%} of {len(pieces)} words and signs")


def _covered(starts: list[bool], size: int) -> int:
    """How many pieces lie in at least one of the runs that start where `starts` is true."""
    covered = until = 0
    for index, repeated in enumerate(starts):
        if repeated:
            covered += index + size - max(index, until)
            until = index + size
    return covered
