"""Rewriting accepted traces in fewer words …"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from tests import runs
from tests.endpoint_double import Answer, Endpoint, Json, say
from tests.test_cli import one_line, tracegen
from tracegen import estimate, recipe, run
from tracegen.data import Record, Trace
from tracegen.plan import Plan
from tracegen.recipe import Recipe
from tracegen.records import read_records
from tracegen.run import stored_plan
from tracegen.sample import compact
from tracegen.store import Store

SHORT = "<compact>\n{a} + {b} = {c}.\n</compact>\n\nThe answer is \\boxed{{{c}}}."
WRONG = "<compact>\n{a} + {b} = 99.\n</compact>\n\nThe answer is \\boxed{{99}}."
LONG = "<compact>\n{a} and {b} {pad} are {c}.\n</compact>\n\nThe answer is \\boxed{{{c}}}."
OPEN = "<compact>\n{a} + {b} = {c}, so \\boxed{{{c}}}"
BARE = "The answer is \\boxed{{{c}}}."


def rewritten(text: str, number: int) -> str:
    a, b, c = number, number + 1, 2 * number + 1
    return text.format(
        a=a, b=b, c=c, pad="are two numbers, and whoever adds them, as one may, will find that they"
    )


def number_of(given: Json) -> int:
    """Number of the problem that a rewriter was shown."""
    return int(given["messages"][-1]["content"].partition("What is ")[2].split()[0])


def first(folder: Path, count: int = 6) -> None:
    """Sums and a first teacher who is right on all but the first."""
    runs.problems(folder, count)
    runs.recorded(folder / "first.jsonl", {n: [runs.right(n) if n else runs.wrong(n)] for n in range(count)})


def rewriter(url: str, **more: object) -> dict[str, object]:
    return {"kind": "openai", "model": "double", "base_url": url, **more}


def built(folder: Path, settings: Recipe, name: str = "run") -> tuple[list[Record], run.Built]:
    """The records of a build, and how it ended."""
    ended = run.build(settings, folder, folder / name, runs.Silent())
    with Store(folder / name, write=False) as store:
        found = list(read_records(store, stored_plan(folder / name), store.verifier(), store.problems()))
        assert store.paid_twice() == 0
    return found, ended


def saying(*texts: str) -> Any:
    """A rewriter who says the k-th text to the k-th problem that was solved."""

    def answer(given: Json) -> Answer:
        number = number_of(given)
        return say(rewritten(texts[number - 1], number))

    return answer


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Record], run.Built, list[Json], Path]:
    """Five right traces: rewritten shorter, wrong, longer, unclosed, and without thinking."""
    tmp_path = tmp_path_factory.mktemp("five")
    first(tmp_path)
    with Endpoint() as endpoint:
        endpoint.default = saying(SHORT, WRONG, LONG, OPEN, BARE)
        settings = runs.load(tmp_path, rewrite=rewriter(endpoint.url), publish={"test_share": 0.0})
        records, ended = built(tmp_path, settings)
        return records, ended, list(endpoint.requests), tmp_path


Five = tuple[list[Record], run.Built, list[Json], Path]


def test_puts_the_shorter_right_rewrite_in_the_place_of_its_trace(five: Five) -> None:
    records, _, _, folder = five
    by_key = {record.problem_key: record for record in records if record.stage == "rewrite"}
    own = {record.problem_key: record for record in records if record.stage == "first"}
    short = by_key["sum-1"]
    assert (short.status, short.thinking, short.outcome) == ("accepted", "1 + 2 = 3.", "correct")
    assert short.rewrite_of == own["sum-1"].id
    assert own["sum-1"].rewritten_as == short.id
    assert short.teacher == "double"
    assert short.messages[1].content.startswith("<think>\n1 + 2 = 3.\n</think>")
    table = pq.read_table(folder / "run/dataset/data/compact").to_pylist()
    assert {row["id"] for row in table} == {short.id, *(own[f"sum-{n}"].id for n in (2, 3, 4, 5))}


def test_says_why_a_trace_stands_for_itself(five: Five) -> None:
    records, _, _, _ = five
    why = {record.problem_key: record.not_rewritten for record in records if record.stage == "first"}
    assert why == {
        "sum-0": "",
        "sum-1": "",
        "sum-2": "1 incorrect: different",
        "sum-3": "1 not shorter",
        "sum-4": "1 no_answer: think_unclosed",
        "sum-5": "1 flag: think_empty",
    }


def test_keeps_the_originals_and_their_labels(five: Five) -> None:
    records, _, _, folder = five
    verified = pq.read_table(folder / "run/dataset/data/verified").to_pylist()
    assert {row["problem_key"] for row in verified} == {f"sum-{n}" for n in range(1, 6)}
    assert {row["stage"] for row in verified} == {"first"}
    every = pq.read_table(folder / "run/dataset/data/all").to_pylist()
    assert len(every) == len(records) == 6 + 5
    rejected = pq.read_table(folder / "run/dataset/data/rejected").to_pylist()
    assert sorted(row["reason"] for row in rejected) == [
        "flag: think_empty",
        "incorrect: different",
        "incorrect: different",
        "no_answer: think_unclosed",
    ]
    assert {
        (record.problem_accepted, record.problem_asked) for record in records if record.status == "accepted"
    } == {(1, 1)}
    assert {record.votes for record in records} == {1}


def test_reports_both_lengths(five: Five) -> None:
    _, ended, _, folder = five
    found = ended.report.rewrites
    assert found is not None
    assert (found.traces, found.rewritten, found.words, found.compact_words) == (5, 1, 13, 5)
    steps = {step.name: (step.count, step.of) for step in ended.report.funnel}
    assert steps["rewritten"] == (1, 5)
    assert steps["kept"] == (5, 6), "rewrites are counted apart"
    card = (folder / "run/dataset/README.md").read_text()
    assert "1 of 5" in card and "13 and 5" in card and "5 verified reasoning traces, of 6 sampled" in card
    done = tracegen("status", folder / "run")
    assert "1 of 5 kept traces rewritten: 13 words of thinking before, 5 after" in done.stdout


def test_shows_the_rewriter_the_trace_and_never_the_reference(tmp_path: Path) -> None:
    runs.lines(tmp_path / "problems.jsonl", [{"id": "half", "question": "What is 1 + 1?", "answer": "4/2"}])
    runs.lines(
        tmp_path / "first.jsonl",
        [{"question": "What is 1 + 1?", "response": "<think>\none and one, so two\n</think>\n\n\\boxed{2}"}],
    )
    with Endpoint() as endpoint:
        endpoint.default = lambda _: say("<compact>two</compact> \\boxed{2}")
        built(tmp_path, runs.load(tmp_path, rewrite=rewriter(endpoint.url)))
        (given,) = endpoint.requests
    said = "\n".join(message["content"] for message in given["messages"])
    assert "one and one, so two" in said and "\\boxed{2}" in said and "What is 1 + 1?" in said
    assert "4/2" not in said
    assert "<compact>" in said


@pytest.mark.slow
def test_asks_nothing_again_and_what_is_new_when_n_is_raised(tmp_path: Path) -> None:
    first(tmp_path)
    with Endpoint() as endpoint:
        endpoint.default = saying(*[SHORT] * 5)
        built(tmp_path, runs.load(tmp_path, rewrite=rewriter(endpoint.url)))
        built(tmp_path, runs.load(tmp_path, rewrite=rewriter(endpoint.url)))
        assert len(endpoint.requests) == 5
        settings = runs.load(tmp_path, rewrite=rewriter(endpoint.url, n=2))
        assert estimate.estimate(settings, tmp_path, tmp_path / "run").stages["rewrite"].owed_now == 5
        records, _ = built(tmp_path, settings)
        assert len(endpoint.requests) == 10
    same = [record.reason for record in records if record.stage == "rewrite"]
    assert sorted(same) == [""] * 5 + ["another rewrite is shorter"] * 5


def test_rewrites_what_the_second_teacher_recovered(tmp_path: Path) -> None:
    first(tmp_path, 2)
    runs.recorded(tmp_path / "second.jsonl", {0: [runs.right(0)]})
    recovery = {"kind": "replay", "model": "second", "path": "second.jsonl"}
    with Endpoint() as endpoint:
        endpoint.default = lambda given: say(rewritten(SHORT, number_of(given)))
        records, _ = built(tmp_path, runs.load(tmp_path, recovery=recovery, rewrite=rewriter(endpoint.url)))
    assert {(record.problem_key, record.stage) for record in records if record.status == "accepted"} == {
        ("sum-0", "recovery"),
        ("sum-0", "rewrite"),
        ("sum-1", "first"),
        ("sum-1", "rewrite"),
    }


@pytest.mark.slow
def test_leaves_a_rewrite_owed_where_its_teacher_fails(tmp_path: Path) -> None:
    from tests.endpoint_double import Fault

    first(tmp_path, 3)
    with Endpoint() as endpoint:
        endpoint.default = lambda given: say(rewritten(SHORT, number_of(given)))
        endpoint.script(Fault.status(400))
        settings = runs.load(tmp_path, rewrite=rewriter(endpoint.url, concurrency=1, tries=1))
        records, ended = built(tmp_path, settings)
        assert ended.failed == 1
        assert sorted(record.not_rewritten for record in records if record.stage == "first") == [
            "",
            "",
            "not answered",
        ]
        _, ended = built(tmp_path, settings)
        assert ended.failed == 0
        assert ended.report.rewrites is not None and ended.report.rewrites.rewritten == 2


@pytest.mark.slow
def test_can_be_replayed_from_a_run(tmp_path: Path) -> None:
    first(tmp_path)
    with Endpoint() as endpoint:
        endpoint.default = saying(*[SHORT] * 5)
        built(tmp_path, runs.load(tmp_path, rewrite=rewriter(endpoint.url)))
    rewrite = {"kind": "replay", "model": "recorded", "path": "run"}
    _, ended = built(tmp_path, runs.load(tmp_path, rewrite=rewrite), "again")
    assert ended.report.rewrites is not None and ended.report.rewrites.rewritten == 5


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("<compact>a</compact> b", ("a", "b", True, True)),
        ("Here it is:\n<compact>\na\n</compact>\n\nb", ("a", "b", True, True)),
        ("<compact>a b", ("a b", "", False, True)),
        ("a b", ("", "a b", True, False)),
    ],
)
def test_reads_a_rewrite_behind_the_rewriters_own_thinking(answer: str, expected: tuple[object, ...]) -> None:
    trace = Trace("r", "p", "I am to be brief.", answer, True, True, "reasoning", "stop", thinking_tokens=9)
    found = compact(trace)
    assert (found.thinking, found.answer, found.closed, found.thought) == expected
    assert found.thinking_tokens is None
    assert not compact(msgspec.structs.replace(trace, closed=False, answer="")).closed


@pytest.mark.slow
def test_asks_in_the_tags_of_a_teacher_that_is_told_or_made_to_think(tmp_path: Path) -> None:
    first(tmp_path, 2)
    for mode, prefill in (("tagged", ""), ("forced", "<think>\n")):
        rewrite = {"kind": "openai", "model": "m", "elicit": {"mode": mode}}
        settings = runs.load(tmp_path, rewrite=rewrite)
        run.build(msgspec.structs.replace(settings, rewrite=None), tmp_path, tmp_path / "run", runs.Silent())
        with Store(tmp_path / "run", write=False) as store:
            from tracegen.sample import read_attempts

            plan = Plan(settings, tmp_path)
            (problem,) = [one for one in store.problems() if one.key == "sum-1"]
            own = read_attempts(store, plan, problem, store.verifier())
            (request,) = plan.rewrites(problem, own)
        assert request.prefill == prefill
        assert ("between <think> and </think>" in request.messages[0].content) is (mode == "tagged")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("rewrite={kind='openai'}", "rewrite.model: missing - name the model that rewrites"),
        (
            "rewrite={kind='openai', model='m', stop_after=1}",
            "rewrite.stop_after: a trace is rewritten n times",
        ),
        ("rewrite={kind='openai', model='m', prompts={rewrite='nope'}}", "prompt 'nope'"),
        ("rewrite={kind='opnai', model='m'}", "unknown teacher 'opnai'"),
    ],
)
def test_says_bad_input_in_one_line_and_spends_nothing(tmp_path: Path, override: str, says: str) -> None:
    first(tmp_path)
    runs.write_recipe(tmp_path)
    assert says in one_line(tracegen("build", "recipe.toml", "--set", override, cwd=tmp_path))
    assert not list(tmp_path.rglob("run.sqlite"))


def test_is_part_of_a_recipe_that_is_written_and_read_again(tmp_path: Path) -> None:
    first(tmp_path)
    settings = runs.load(tmp_path, rewrite=rewriter("http://localhost:1/v1"))
    (tmp_path / "again.toml").write_text(recipe.dump(settings))
    assert recipe.load(tmp_path / "again.toml") == settings
