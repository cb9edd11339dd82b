"""Answers made to hang, to explode or to bring down the verifier: decided or refused, whoever calls it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tracegen.data import MathAnswer, Verdict
from tracegen.recipe import Verify
from tracegen.verify import Verifier

LIMIT = 0.5
MEMORY_MB = 600
GUARD = 20.0
"""Seconds after which one pair counts as a hang; what it takes is measured by benchmarks/verify_math.py."""

TOWERS = [
    r"10^{10^{10}}",
    r"9^{9^{9^{9}}}",
    "9^9^9",
    r"10^{-10^9}",
    r"2^{2^{2^{2^{2^{2}}}}}",
    "-".join(["9^{9^9}"] * 5),
]
FACTORIALS = ["10000000!", "((100!)!)!", "100000000!!", r"\frac{(10^8)!}{(10^8-1)!}", r"\prod_{k=1}^{10^7} k"]
BINOMIALS = [r"\binom{10^7}{5\cdot 10^6}", r"\binom{10^9}{5\cdot 10^8}", r"C_{10^8}^{10^7}"]
SUMS = [r"\sum_{k=1}^{10^9}\frac1k", r"\sum_{k=1}^{10^6} k^k", r"\sum_{k=1}^{\infty}\frac{\sin k^3}{k}"]
LONG = [
    r"\{" + ",".join(map(str, range(300))) + r"\}",
    r"\{" + ",".join(f"\\sqrt{{{number}}}" for number in range(2, 302)) + r"\}",
    ",".join(f"x_{{{number}}}=\\frac{{1}}{{{number}}}" for number in range(1, 301)),
    "1" * 19_000,
    "+".join(f"x^{{{number}}}" for number in range(400)),
    r"\begin{pmatrix}" + r"\\".join("&".join(["x"] * 40) for _ in range(40)) + r"\end{pmatrix}",
]
DEEP = [
    "(" * 2000 + "1" + ")" * 2000,
    r"\frac{1}{" * 55 + "2" + "}" * 55,
    r"\sqrt{" * 55 + "2" + "}" * 55,
    "{" * 9000,
    "-" * 9000 + "1",
    r"\pm " * 300 + "1",
    "|" * 4000,
    "1/" * 5000 + "2",
    "x^" * 3000 + "x",
]
WIDE = [
    "$ " * 100_000,
    "1 " * 50_000,
    r"\boxed{" * 20_000,
    "\\" * 15_000,
    "a" * 20_000,
    "1," * 9_000 + "1",
    "(1,2)" * 3000,
]
SYMBOLIC = [
    "(x+y+z)^{200}",
    r"\int \frac{x\sin x}{1+\cos^2 x}\,dx",
    r"\frac{x^{800}-1}{x-1}",
    r"\sin(10^{10^6})",
    r"7^{7^{7^7}} \bmod 10",
    "x^{30}+3x^{17}-x^{5}+2=0",
    r"\lim_{x\to 0}\frac{\sin^{50} x}{x^{50}}",
]
PRECISE = [
    r"\sqrt{10^{10^{12}}+1}",
    r"13^{13^{13^{13}}} \bmod 1000",
    "99999999!!",
    r"\frac{(10^{15})!}{(10^{15}-2)!}",
    r"\sum_{i=1}^{1000}\sum_{j=1}^{1000}\sum_{k=1}^{1000} ijk",
    r"\prod_{n=1}^{2000} n^{n}",
    "(x+y+z)^{500}",
    "".join(f"(x+{number})" for number in range(1, 400)),
    r"\log" * 20 + "{10^{10^{10}}}",
    r"\begin{pmatrix}1&1\\1&0\end{pmatrix}^{10^9}",
    "(1+i)^{10^{12}}",
    r"1+2+3+\cdots+10^{9}",
]
"""Values that differ by little beside their size, and work that is easily asked for."""
CHAINS = [
    r"\cup".join(f"({number},{number + 1})" for number in range(0, 3000, 2)),
    "<".join(map(str, range(3000))),
    "=".join(["x"] * 4000),
    r"\text{ or }".join(f"x>{number}" for number in range(1200)),
    r"\mathbb{R}" + r"\setminus\{1\}" * 900,
    r"x\ne " + r", x\ne ".join(map(str, range(900))),
    ",".join(rf"\frac{{\pi}}{{{n}}}+\frac{{k\pi}}{{{n}}}" for n in range(2, 60)) + r", k\in\mathbb{Z}",
    ",".join(f"({n},{n + 1},{n + 2},{n + 3},{n + 4})" for n in range(40)) + r"\text{ and all permutations}",
    "(1) " * 4000,
    "(1,2)" + " " * 15_000 + "permutation",
    r"\forall " * 3000 + "x",
    "f(x)=c" + ", c" * 5000 + r"\in\mathbb{R}",
    "x, " + "where " * 3000 + "n is an integer",
    r"0.\overline{" + "142857" * 3000 + "}",
    "1" + ",000" * 4000,
    "12:00:" * 3000,
    "1 1/2 " * 3000,
    "1" * 15_000 + "_2",
    "x" + "_1" * 6000,
    "答案是" * 6000,
]
HOSTILE = [*TOWERS, *FACTORIALS, *BINOMIALS, *SUMS, *LONG, *DEEP, *WIDE, *SYMBOLIC, *PRECISE, *CHAINS]
REFUSALS = {"too_large", "timeout", "memory_limit", "crashed", "reference_unreadable", "undecided"}


async def through(texts: list[str], peak: list[int]) -> None:
    """Each text against a plain number and as the reference; after each, an honest pair."""
    async with Verifier(
        Verify(math_seconds=LIMIT, workers=1, memory_mb=MEMORY_MB), sandbox=False
    ) as verifier:
        honest = await judged(verifier, r"\sqrt{8}", r"2\sqrt{2}")
        assert honest.outcome == "correct"
        process = verifier._pool._zygote._process
        assert process is not None
        watch = asyncio.create_task(sample(process.pid, peak))
        for text in texts:
            for reference, answer in ((text, "7"), (r"\sqrt{2}", text)):
                started = time.monotonic()
                verdict = await judged(verifier, reference, answer)
                assert time.monotonic() - started < GUARD, text[:60]
                assert decided_or_refused(verdict), (text[:60], verdict)
                assert (await judged(verifier, r"\sqrt{8}", r"2\sqrt{2}")).outcome == "correct", text[:60]
            more = await judged(verifier, text, f"{text}+1") if text in PRECISE else None
            assert more is None or decided_or_refused(more), (text[:60], more)
        watch.cancel()


async def judged(verifier: Verifier, reference: str, answer: str) -> Verdict:
    return await verifier.judge(MathAnswer(answer=reference), answer, bare=True)


def decided_or_refused(verdict: Verdict) -> bool:
    """Never accepted, never our own error, and a refusal says why."""
    return verdict.outcome in ("incorrect", "no_answer") or (
        verdict.outcome == "unverifiable" and verdict.cause in REFUSALS
    )


async def sample(session: int, peak: list[int]) -> None:
    """The largest resident size of any process of the pool, in MB, into `peak`."""
    while True:
        peak[0] = max(peak[0], largest(session))
        await asyncio.sleep(0.02)


def largest(session: int) -> int:
    sizes = [resident(path) for path in Path("/proc").glob("[0-9]*") if of_session(path, session)]
    return max(sizes, default=0)


def of_session(path: Path, session: int) -> bool:
    try:
        return int((path / "stat").read_text().rpartition(")")[2].split()[3]) == session
    except (OSError, IndexError):
        return False


def resident(path: Path) -> int:
    try:
        lines = (path / "status").read_text().splitlines()
    except OSError:
        return 0
    return max((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS")), default=0)


def in_event_loop(work: Callable[[], None]) -> None:
    work()


def in_thread(work: Callable[[], None]) -> None:
    """As a web server's worker thread would."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def beside_an_alarm(work: Callable[[], None]) -> None:
    """In a host that uses SIGALRM for itself, and whose alarms must all arrive."""
    rung = [0]

    def ring(number: int, frame: object) -> None:
        rung[0] += 1

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        work()
    finally:
        still_set = signal.setitimer(signal.ITIMER_REAL, 0)[1]
        signal.signal(signal.SIGALRM, before)
    assert still_set == 0.05
    assert rung[0] > 10


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
@pytest.mark.parametrize("host", [in_event_loop, in_thread, beside_an_alarm])
@pytest.mark.parametrize("ground", ["gmpy", "python"])
def test_decides_or_refuses_and_goes_on(
    host: Callable[[Callable[[], None]], None], ground: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYMPY_GROUND_TYPES", ground)
    texts = HOSTILE if host is in_event_loop and ground == "python" else HOSTILE[::6]
    peak = [0]
    host(lambda: asyncio.run(through(texts, peak)))
    assert 20 < peak[0] <= MEMORY_MB


@pytest.mark.slow
def test_computes_in_python_s_integers_whatever_the_host_has_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYMPY_GROUND_TYPES", "gmpy")

    async def ground() -> object:
        async with Verifier(Verify(workers=1), sandbox=False) as verifier:
            return await verifier._pool.call("os:getenv", "SYMPY_GROUND_TYPES", seconds=20.0)

    assert getattr(asyncio.run(ground()), "value", None) == "python"
    assert os.environ["SYMPY_GROUND_TYPES"] == "gmpy"
