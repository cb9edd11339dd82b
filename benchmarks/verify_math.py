"""The math verifier against Math-Verify alone: labelled pairs, throughput, and inputs made to hang it.

    python benchmarks/verify_math.py [FOLDER]

FOLDER holds `verifier/*.jsonl` with `gold`, `pred`, `equal`, `suspect` and `math_verify_090` (what
Math-Verify 0.9.0 says of the wrapped pair), and `problems/gsm8k`, `problems/math500`; it is
`$TRACEGEN_SHARED/data` or `../shared/data`. Rows whose label is in doubt (`suspect`) are counted apart.
Prints figures of this run only; ratios carry over to other machines, rates do not.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tracegen.data import MathAnswer, Verdict
from tracegen.recipe import Verify
from tracegen.verify import Verifier

LIMIT = 2.0
HOSTILE = (
    (r"10^{10^{10}}", "5"),
    (r"9^{9^{9^{9}}}", "1"),
    ("((100!)!)!", "7"),
    (r"\prod_{k=1}^{10^7} k", "7"),
    (r"\sum_{k=1}^{10^9}\frac1k", "21.3"),
    (r"\sin(10^{10^6})", "0.5"),
    (r"\binom{10^9}{5\cdot 10^8}", "1"),
    (r"\{" + ",".join(map(str, range(2000))) + r"\}", r"\{" + ",".join(map(str, range(1, 2001))) + r"\}"),
    ("(" * 2000 + "1" + ")" * 2000, "2"),
    (r"\frac{1}{" * 200 + "2" + "}" * 200, "1"),
    (r"\int \frac{x\sin x}{1+\cos^2 x}\,dx", "1"),
    ("(x+y+z)^{200}", "(x+y+z)^{199}(x+y)"),
    ("$ " * 100_000, "5"),
    ("1 " * 50_000, "5"),
    ("1" * 19_000, "1" * 18_999 + "2"),
    ("|" * 2_000, "1"),
)


async def judged(verifier: Verifier, pairs: list[tuple[str, str]]) -> list[Verdict]:
    """Verdicts on pairs of reference and bare answer, all asked for at once."""
    return list(
        await asyncio.gather(
            *(verifier.judge(MathAnswer(answer=gold), pred, bare=True) for gold, pred in pairs)
        )
    )


async def labelled(verifier: Verifier, name: str, lines: list[str]) -> None:
    """Recall and false accepts on one file of labelled pairs."""
    rows = [json.loads(line) for line in lines]
    verdicts = await judged(verifier, [(row["gold"], row["pred"]) for row in rows])
    for title, doubtful in (("clean", False), ("suspect", True)):
        kept = [
            (row, verdict)
            for row, verdict in zip(rows, verdicts, strict=True)
            if bool(row["suspect"]) == doubtful
        ]
        ours = _table(kept, lambda row, verdict: verdict.outcome == "correct")
        theirs = _table(kept, lambda row, verdict: bool(row["math_verify_090"]))
        print(f"{name:17} {title:8} tracegen     {ours}")
        print(f"{'':17} {'':8} math-verify  {theirs}")
    steps = Counter(f"{verdict.step}: {verdict.outcome}" for verdict in verdicts)
    print("  " + ", ".join(f"{name} {count}" for name, count in steps.most_common()))


def _table(
    kept: list[tuple[dict[str, Any], Verdict]], accepts: Callable[[dict[str, Any], Verdict], bool]
) -> str:
    equal = [accepts(row, verdict) for row, verdict in kept if row["equal"]]
    other = [accepts(row, verdict) for row, verdict in kept if not row["equal"]]
    return f"recall {_share(equal)}, false accepts {_share(other)}"


def _share(said: list[bool]) -> str:
    return f"{sum(said)} of {len(said)} ({100 * sum(said) / max(1, len(said)):.1f} %)"


def math_verify(pairs: list[tuple[str, str]]) -> tuple[list[bool], float]:
    """Math-Verify in this process, both sides wrapped in a box; its verdicts and seconds."""
    import logging

    from math_verify import parse, verify

    logging.disable(logging.CRITICAL)
    parse(r"\boxed{\frac{1}{2}}")
    started = time.perf_counter()
    said = []
    for gold, pred in pairs:
        sides = [parse(f"\\boxed{{{text}}}", parsing_timeout=None) for text in (gold, pred)]
        said.append(bool(verify(sides[0], sides[1], timeout_seconds=None)))
    return said, time.perf_counter() - started


async def throughput(verifier: Verifier, title: str, pairs: list[tuple[str, str]]) -> None:
    """Pairs a second of both, and where they disagree."""
    await judged(verifier, pairs[:10])
    started = time.perf_counter()
    verdicts = await judged(verifier, pairs)
    seconds = time.perf_counter() - started
    theirs, their_seconds = math_verify(pairs)
    apart = [
        (pair, verdict)
        for pair, verdict, equal in zip(pairs, verdicts, theirs, strict=True)
        if (verdict.outcome == "correct") != equal
    ]
    rate, their_rate = len(pairs) / seconds, len(pairs) / their_seconds
    rates = f"tracegen {rate:,.0f}/s, math-verify {their_rate:,.0f}/s, {rate / their_rate:.1f} times"
    print(f"{title}: {len(pairs)} pairs, {rates}, {len(apart)} apart")
    for (gold, pred), verdict in apart:
        print(f"  apart: {gold[:50]!r} against {pred[:50]!r}: ours {verdict.outcome} by {verdict.step}")


async def hostile() -> None:
    """The slowest of the hostile inputs, as a share of the limit, and whether the next pair is unaffected."""
    async with Verifier(Verify(math_seconds=LIMIT), sandbox=False) as verifier:
        await verifier.judge(MathAnswer(answer="x"), "y", bare=True)
        worst, outcomes, unharmed = 0.0, Counter[str](), 0
        for left, right in HOSTILE:
            for gold, pred in ((left, right), (right, left)):
                started = time.perf_counter()
                verdict = await verifier.judge(MathAnswer(answer=gold), pred, bare=True)
                worst = max(worst, time.perf_counter() - started)
                outcomes[f"{verdict.outcome}: {verdict.cause}"] += 1
                after = await verifier.judge(MathAnswer(answer=r"\sqrt{8}"), r"2\sqrt{2}", bare=True)
                unharmed += after.outcome == "correct"
    count = 2 * len(HOSTILE)
    print(f"hostile: {count} pairs, slowest {worst / LIMIT:.2f} times the limit,", end=" ")
    print(f"the next pair right {unharmed} of {count}")
    print("  " + ", ".join(f"{name} {number}" for name, number in outcomes.most_common()))


async def main(pairs: dict[str, list[str]], numbers: list[str], golds: list[str]) -> None:
    for workers in (1, 2):
        async with Verifier(Verify(workers=workers), sandbox=False) as verifier:
            await verifier.judge(MathAnswer(answer="x"), "y", bare=True)  # waits until the workers are loaded
            if workers == 1:
                for name, lines in pairs.items():
                    await labelled(verifier, name, lines)
            print(f"with {workers} worker{'s' * (workers > 1)}:")
            for title, values in (("GSM8K integers", numbers), ("MATH-500 answers", golds)):
                shuffled = random.Random(0).sample(values, len(values))
                await throughput(verifier, f"{title}, right", list(zip(values, values, strict=True)))
                await throughput(verifier, f"{title}, shuffled", list(zip(values, shuffled, strict=True)))
    await hostile()


def read(folder: Path) -> tuple[dict[str, list[str]], list[str], list[str]]:
    """Labelled pairs by file, GSM8K's numbers, and MATH-500's answers."""
    names = ("math_public_dev", "math_hard_dev")
    pairs = {name: (folder / "verifier" / f"{name}.jsonl").read_text().splitlines() for name in names}
    lines = (folder / "problems/gsm8k/test.jsonl").read_text().splitlines()
    numbers = [json.loads(line)["answer"].rpartition("####")[2].strip() for line in lines]
    golds = [row["answer"] for row in json.loads((folder / "problems/math500/math500_test.json").read_text())]
    return pairs, numbers, golds


if __name__ == "__main__":
    shared = Path(os.environ.get("TRACEGEN_SHARED", Path(__file__).parents[2] / "shared")) / "data"
    asyncio.run(main(*read(Path(sys.argv[1]) if len(sys.argv) > 1 else shared)))
