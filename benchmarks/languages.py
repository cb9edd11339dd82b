"""Milliseconds per program in every language whose image is built: compiler, one run, whole judgement.

    python -m benchmarks.languages [REPEATS]

Programs are the examples of the descriptions, judged one after another on one case; the smallest of REPEATS
(default 5) is shown, by the supervisor's clock for compiler and run, by ours for the whole.
"""

from __future__ import annotations

import sys
import time

from tracegen import languages
from tracegen.data import CodeTests, IoCase, StdioTests
from tracegen.recipe import CodeLimits
from tracegen.sandbox import Program, Sandbox, image, programs

LIMITS = CodeLimits(containers=1)


def measured(sandbox: Sandbox, name: str) -> tuple[float, float, float]:
    """Milliseconds of the compiler, of one run, and of the judgement of the example."""
    language = languages.load(name)
    tests = CodeTests(StdioTests((IoCase("1 2 3\n", "6"),)), language=name)
    with programs.executable(sandbox.pool_of, LIMITS, language, language.example) as made:
        run = made.run(LIMITS.seconds, b"1 2 3\n").milliseconds
        compiler = made.compiled_in
    began = time.monotonic()
    found = sandbox.judge_once(tests, Program(source=language.example))
    assert found.cause == "passed", found
    return compiler, run, (time.monotonic() - began) * 1000


def main() -> None:
    repeats = int(sys.argv[1]) if sys.argv[1:] else 5
    built = [name for name in languages.known() if name not in image.lacking(LIMITS, languages.known())]
    print(f"{'language':12} {'compile':>8} {'run':>8} {'whole':>8}  ms, least of {repeats}")
    for name in built:
        sandbox = Sandbox(LIMITS, (name,))
        try:
            sandbox.open()
            rows = [measured(sandbox, name) for _ in range(repeats)]
        finally:
            sandbox.close()
        compiler, run, whole = (min(column) for column in zip(*rows, strict=True))
        print(f"{languages.load(name).title:12} {compiler:8.0f} {run:8.0f} {whole:8.0f}", flush=True)


if __name__ == "__main__":
    main()
