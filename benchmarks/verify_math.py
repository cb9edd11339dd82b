"""The math verifier beside Math-Verify: labelled pairs, throughput, and inputs made to hang it.

    python -m benchmarks.verify_math [FOLDER]

FOLDER holds `verifier/*.jsonl` (rows with `gold`, `pred`, `equal`, `suspect`) and `problems/gsm8k`,
`problems/math500`; it is `$TRACEGEN_SHARED/data` or `../shared/data`. What is not there is left out; the
pairs of `tests/cases/math.jsonl` always are. Rows whose label is in doubt (`suspect`) are not counted.
Math-Verify gets both sides in a box, which is how it does best, and no limit of its own: on labelled pairs
it runs in our killable workers, for throughput alone in this process. Rates are of this run and this
machine; ratios carry over to others.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path

from benchmarks import shared
from tracegen.data import MathAnswer, Verdict
from tracegen.recipe import Verify
from tracegen.verify import Verifier
from tracegen.verify.pool import Done, Pool

LIMIT = 2.0
CASES = Path(__file__).parents[1] / "tests/cases/math.jsonl"
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
Pairs = list[tuple[str, str]]


async def judged(verifier: Verifier, pairs: Pairs) -> list[Verdict]:
    """Verdicts on pairs of reference and bare answer, all asked for at once."""
    return list(
        await asyncio.gather(
            *(verifier.judge(MathAnswer(answer=gold), pred, bare=True) for gold, pred in pairs)
        )
    )


# --- labelled pairs --------------------------------------------------------------------------------


async def labelled(verifier: Verifier, pool: Pool, title: str, rows: list[tuple[str, str, bool]]) -> None:
    """One line: recall and false accepts of both."""
    pairs = [(gold, pred) for gold, pred, _ in rows]
    verdicts = await judged(verifier, pairs)
    ours = [verdict.outcome == "correct" for verdict in verdicts]
    answers = await asyncio.gather(
        *(pool.call("tracegen.verify.math:_math_verify", *pair, seconds=5.0) for pair in pairs)
    )
    theirs = [isinstance(one, Done) and one.value[2] for one in answers]
    cells = [_share(said, rows, equal=equal) for said in (ours, theirs) for equal in (True, False)]
    weak = sum(one.trust == "weak" for one in verdicts if one.outcome == "correct")
    print(f"{title:24}" + "".join(f"{cell:>19}" for cell in cells) + f"{weak:>8}")


def _share(said: list[bool], rows: list[tuple[str, str, bool]], *, equal: bool) -> str:
    """Accepted among those labelled `equal`."""
    accepted = [one for one, row in zip(said, rows, strict=True) if row[2] == equal]
    return f"{sum(accepted)}/{len(accepted)} {100 * sum(accepted) / max(1, len(accepted)):.1f} %"


def labelled_files(folder: Path) -> dict[str, list[tuple[str, str, bool]]]:
    """Pairs and labels by title, of the files that are there."""
    found = {}
    for path in sorted((folder / "verifier").glob("math_*.jsonl")):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        found[path.stem] = [(row["gold"], row["pred"], row["equal"]) for row in rows if not row["suspect"]]
    rows = [json.loads(line) for line in CASES.read_text().splitlines()]
    found["tests/cases"] = [(row["reference"], row["answer"], row["equal"]) for row in rows]
    return found


# --- throughput ------------------------------------------------------------------------------------


def math_verify(pairs: Pairs) -> tuple[list[bool], float]:
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


ENOUGH = 0.5
"""Seconds that are long enough to be timed."""


async def rate(pairs: Pairs, workers: int) -> tuple[list[Verdict], float]:
    """Verdicts with so many workers, and pairs a second."""
    async with Verifier(Verify(workers=workers), sandbox=False) as verifier:
        await judged(verifier, [("x", "y"), *pairs[:10]])  # waits until the workers are loaded
        seconds, passes = 0.0, 0
        while seconds < ENOUGH:  # one pass over the easy ones is over before it can be timed
            started = time.perf_counter()
            verdicts = await judged(verifier, pairs)
            seconds, passes = seconds + time.perf_counter() - started, passes + 1
        return verdicts, passes * len(pairs) / seconds


async def throughput(title: str, pairs: Pairs) -> list[str]:
    """One line of rates; returns a line for each pair on which the two disagree."""
    theirs, seconds = math_verify(pairs)
    alone = len(pairs) / seconds
    verdicts, one = await rate(pairs, 1)
    _, two = await rate(pairs, 2)
    apart = [
        f"{gold[:60]!r} against {pred[:60]!r}: tracegen {verdict.outcome} by {verdict.step}"
        for (gold, pred), verdict, same in zip(pairs, verdicts, theirs, strict=True)
        if (verdict.outcome == "correct") != same
    ]
    rates = f"{alone:>12,.0f}{one:>12,.0f}{two:>12,.0f}{one / alone:>9.1f}{two / alone:>9.1f}{len(apart):>7}"
    print(f"{title:24}{len(pairs):>7}{rates}")
    return apart


def problems(folder: Path) -> dict[str, list[str]]:
    """Reference answers by the title of their dataset, of the files that are there."""
    found = {}
    gsm8k, math500 = folder / "problems/gsm8k/test.jsonl", folder / "problems/math500/math500_test.json"
    if gsm8k.exists():
        lines = gsm8k.read_text().splitlines()
        found["GSM8K integers"] = [json.loads(line)["answer"].rpartition("####")[2].strip() for line in lines]
    if math500.exists():
        found["MATH-500 answers"] = [row["answer"] for row in json.loads(math500.read_text())]
    return found


# --- hostile inputs --------------------------------------------------------------------------------


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
    print(f"\nhostile: {count} pairs, slowest {worst / LIMIT:.2f} times the limit of {LIMIT:g} s,", end=" ")
    print(f"the next pair right after {unharmed} of them")
    print("  " + ", ".join(f"{name} {number}" for name, number in outcomes.most_common()))


async def main(folder: Path) -> None:
    if not (folder / "verifier").exists():
        print(f"no labelled pairs in {folder}; only those of tests/cases", file=sys.stderr)
    print(f"{'labelled pairs':24}{'tracegen recall':>19}{'false accepts':>19}", end="")
    print(f"{'math-verify recall':>19}{'false accepts':>19}{'weak':>8}")
    async with Verifier(Verify(), sandbox=False) as verifier:
        with Pool(preload=("tracegen.verify.math:warm",)) as pool:
            for title, rows in labelled_files(folder).items():
                await labelled(verifier, pool, title, rows)
    print(f"\n{'pairs a second':24}{'pairs':>7}{'math-verify':>12}{'1 worker':>12}{'2 workers':>12}", end="")
    print(f"{'times':>9}{'times':>9}{'apart':>7}")
    apart: list[str] = []
    for title, values in problems(folder).items():
        shuffled = random.Random(0).sample(values, len(values))
        apart += await throughput(f"{title}, right", list(zip(values, values, strict=True)))
        apart += await throughput(f"{title}, shuffled", list(zip(values, shuffled, strict=True)))
    for line in apart:
        print(f"  apart: {line}")
    await hostile()
    print(f"math-verify {version('math-verify')}, sympy {version('sympy')}, python {sys.version.split()[0]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=shared.FOLDER)
    asyncio.run(main(parser.parse_args().folder))
