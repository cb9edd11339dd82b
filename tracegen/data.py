"""The nouns of tracegen: frozen structs, and the digests that are their ids.

Ids are content: the same problem, request or verdict has the same id on every machine, before any
work is done. Nothing here reads a file, a clock or the network.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

Role = Literal["system", "user", "assistant"]
Outcome = Literal["correct", "incorrect", "no_answer", "unverifiable", "error"]
Trust = Literal["strong", "weak", "none"]
Stage = Literal["first", "recovery", "rewrite", "judge"]
"""Which pass asked: the first teacher's, the second one's after the first had no accepted trace, the one that
rewrites accepted traces, or the judge's, whose replies are no traces but verdicts on them."""
NO_REFERENCE = "no_reference"
"""Cause of the verdict on an answer to a problem without a reference: nothing tells whether it is right."""


class Struct(msgspec.Struct, frozen=True):
    """Base of every noun: immutable, comparable by value."""


# --- references ------------------------------------------------------------------------------------


class MathAnswer(Struct, tag="math", frozen=True):
    """A mathematical value; LaTeX or plain text, without the derivation."""

    answer: str


class ChoiceAnswer(Struct, tag="choice", frozen=True):
    """A multiple-choice answer."""

    label: str
    """The right label, such as `B`."""
    choices: tuple[str, ...] = ()
    """Texts of the options in order of their labels A, B, C …; empty where the question lists them."""


class GymAnswer(Struct, tag="gym", frozen=True):
    """A procedural problem of reasoning_gym, verified by the dataset's own scorer."""

    dataset: str
    """Name in reasoning_gym, such as `chain_sum`."""
    answer: str
    entry: str
    """The whole generated entry as JSON: what the scorer needs."""


class IoCase(Struct, frozen=True):
    """One run of a program: what it reads, and what it has to print."""

    input: str
    output: str


class CallCase(Struct, frozen=True):
    """One call of a function: JSON list of positional arguments, JSON of the value it has to return."""

    args: str
    expected: str


class AssertTests(Struct, tag="assert", frozen=True):
    """Python assert statements that call the candidate by name (MBPP)."""

    statements: tuple[str, ...]
    setup: str = ""
    """Code that the statements need, run before them on the judging side."""


class CheckTests(Struct, tag="check", frozen=True):
    """Python source that defines `check(candidate)` (HumanEval)."""

    source: str


class StdioTests(Struct, tag="stdio", omit_defaults=True, frozen=True):
    """Programs that read standard input and print (Codeforces, CodeContests)."""

    cases: tuple[IoCase, ...]
    checker: str = ""
    """Source of a program that decides whether an output is right, for problems with several right ones:
    run as `checker input.txt output.txt answer.txt`, exit status 0 or 1; see `sandbox.programs`."""
    checker_language: str = "python"


class CallTests(Struct, tag="call", frozen=True):
    """Calls with JSON arguments (LeetCode, LiveCodeBench)."""

    cases: tuple[CallCase, ...]


class PytestTests(Struct, tag="pytest", frozen=True):
    """A pytest file, whole; it imports the program from any module that is no library (KodCode)."""

    source: str


class UnittestTests(Struct, tag="unittest", frozen=True):
    """Python source with `unittest.TestCase` classes (BigCodeBench)."""

    source: str


class CodeTests(Struct, tag="code", frozen=True):
    """A program's tests; they never enter the process that runs the candidate."""

    tests: AssertTests | CheckTests | StdioTests | CallTests | PytestTests | UnittestTests
    entry_point: str = ""
    """Name of the function to call, or `Solution().name`; empty for stdin/stdout programs."""
    prompt: str = ""
    """Code that precedes a completion (HumanEval); used where the candidate does not define `entry_point`."""
    solution: str = ""
    """A reference solution for the self-check; empty where there is none."""
    language: str = "python"
    """Name of a folder in `sandboxes/`; see `languages`. Only stdin/stdout programs have another one."""


class JudgedAnswer(Struct, tag="judged", frozen=True):
    """A reference in free text; what is not the same writing or value is left to the judge of the recipe."""

    answer: str


class NoReference(Struct, tag="none", frozen=True):
    """There is no reference: traces are not judged, but counted by what they agree on."""

    domain: Literal["math", "choice"]
    """Which prompt is asked with, and how answers are read and compared."""
    choices: tuple[str, ...] = ()
    """Texts of the options of a choice."""


Reference = MathAnswer | ChoiceAnswer | GymAnswer | CodeTests | JudgedAnswer | NoReference


# --- problems, requests, responses -----------------------------------------------------------------


class Problem(Struct, frozen=True):
    """A question and its reference."""

    question: str
    reference: Reference
    key: str = ""
    """The user's own id of the row, if it has one; not part of our id."""
    source: str = ""
    licence: str = ""

    @property
    def id(self) -> str:
        return digest("problem", self.question, self.reference)

    @property
    def domain(self) -> str:
        """`math`, `choice`, `gym`, `code` or `judged`."""
        if isinstance(self.reference, NoReference):
            return self.reference.domain
        return str(self.reference.__struct_config__.tag)


class Message(Struct, frozen=True):
    """One turn of a chat."""

    role: Role
    content: str


class Sampling(Struct, forbid_unknown_fields=True, frozen=True):
    """How a completion is drawn. Everything here but `max_tokens` is part of a request's slot."""

    temperature: float = 0.6
    top_p: float = 0.95
    top_k: int = 0
    """0 keeps every token."""
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    thinking_tokens: int = 0
    """Budget of thinking tokens under `forced` elicitation, after which the thinking is closed
    (s1, arXiv 2501.19393); 0 means no budget of its own."""
    max_tokens: int = 4096
    """Tokens of one completion, thinking included."""


class Request(Struct, frozen=True):
    """One completion, known before it is asked for."""

    problem: str
    """Problem id."""
    teacher: str
    """Digest of what makes a teacher another one: model, revision, elicitation, extra body."""
    stage: Stage
    messages: tuple[Message, ...]
    prefill: str
    """What the assistant's turn is started with; empty for native elicitation."""
    sampling: Sampling
    index: int
    """0 … n-1 among the samples of this problem by this teacher."""
    source: str = ""
    """Of a rewrite: the id of the trace that it is made from, whose text is in the messages."""

    @property
    def slot(self) -> str:
        """The same for every `max_tokens`: a truncated slot may be asked again with a larger budget."""
        sampling = msgspec.structs.replace(self.sampling, max_tokens=0)
        return digest("slot", self.problem, self.teacher, self.messages, self.prefill, sampling, self.index)

    @property
    def id(self) -> str:
        return digest("request", self.slot, self.sampling.max_tokens)

    @property
    def seed(self) -> int:
        """31-bit seed of every random draw for this request."""
        return int(self.id[:8], 16) & 0x7FFF_FFFF


class Response(Struct, frozen=True):
    """The raw answer as it came, stored before anything parses it."""

    request: str
    """Request id."""
    body: bytes
    """JSON: `{"kind": …, "prefill": …, "replies": [raw reply, …]}`; see `teachers.dialects`."""
    seconds: float
    """Wall seconds from the first byte asked to the last received; a batch's time is shared out."""
    received: float
    """Unix seconds."""


# --- what is made of a response --------------------------------------------------------------------


class Logprobs(Struct, frozen=True):
    """A teacher's distribution over the tokens of one completion."""

    tokenizer: str
    """Hash of the teacher's tokenizer, as `teachers.distribution.tokenizer_hash` makes it."""
    ids: tuple[int, ...]
    """Token ids of the completion."""
    top_ids: tuple[tuple[int, ...], ...]
    """For each of them the ids of the k likeliest tokens …"""
    top_logprobs: tuple[tuple[float, ...], ...]
    """… and their natural logarithms, at temperature 1 and not renormalised."""


class Trace(Struct, frozen=True):
    """A parsed response."""

    request: str
    """Request id; also the trace's id."""
    problem: str
    thinking: str
    answer: str
    """What follows the closed thinking; empty while it is open."""
    closed: bool
    """The thinking was closed, or there was none to close."""
    thought: bool
    """The response had a thinking part, even an empty one."""
    dialect: str
    """Where the thinking was found: reasoning, reasoning_content, reasoning_details, parts, tags,
    orphan, channels, roles, none; see `teachers.dialects`."""
    finish_reason: str
    """stop, length, content_filter …, as the server said; `unknown` where it said nothing."""
    forced_close: bool = False
    """The thinking was closed by the budget, not by the model."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    thinking_tokens: int | None = None
    logprobs: Logprobs | None = None
    """Where the recipe asks the teacher for it, and its server tells the ids of its tokens."""


class Verdict(Struct, frozen=True):
    """What a verifier found, with its cause. Never a bool: a timeout is not a wrong answer."""

    outcome: Outcome
    """`error` is ours (dead sandbox, lost worker) and is owed again."""
    cause: str
    """Why: equal, different, no_boxed …, wrong_answer, exception, timeout, too_large, docker_unavailable …"""
    step: str = ""
    """Which step decided: string, math_verify, label, scorer, split_judge, shared_judge, judge, vote …"""
    extracted: str = ""
    """The answer or code that was judged."""
    evidence: str = ""
    """What a reader needs to believe it: the failing test, the message, the two sides compared."""
    trust: Trust = "strong"
    milliseconds: float = 0.0


class Flag(Struct, frozen=True):
    """A named property of a trace, with evidence."""

    name: str
    evidence: str


class Record(Struct, frozen=True):
    """A published row: one trace with everything that is known of it."""

    id: str
    """Trace id, which is the request's."""
    problem_id: str
    """Digest of the question and its reference; every trace of a problem is in the same split."""
    problem_key: str
    """The problem's id in its source, if it has one."""
    question: str
    """The problem as its source has it."""
    reference: str
    """The answer or label as text; for code, the tests as JSON; empty where the problem has none."""
    domain: str
    """`math`, `choice`, `gym`, `code` or `judged`: which verifier judged it."""
    source: str
    """Where the problem comes from."""
    licence: str
    """The licence of the problem, as its source states it."""
    split: Literal["train", "test"]
    """Drawn per problem, never per trace."""
    status: Literal["accepted", "rejected", "surplus", "unjudged"]
    """`accepted`, `rejected`, `surplus` (accepted, but a duplicate or more than `select.per_problem`), or
    `unjudged`: an answer to a problem without a reference."""
    reason: str
    """Why it is not accepted: `incorrect: different`, `flag: truncated`, `duplicate` …; empty if it is."""
    stage: Stage
    """`first`; `recovery`: asked of the second teacher where the first had no accepted trace; or `rewrite`:
    an accepted trace of either, written again in fewer words."""
    recovery_reason: str
    """Why the problem went to the second teacher; empty in the first pass."""
    teacher: str
    """Model name."""
    teacher_id: str
    """Digest of what makes a teacher another one: model, revision, elicitation, extra options."""
    index: int
    """Number of the sample, from 0, among this teacher's samples of the problem."""
    messages: tuple[Message, ...]
    """User and assistant turns. The user's has the question with what has to be known besides: the options of
    a choice, what a program is to be. The assistant's has the thinking inline between `<think>` and
    `</think>`."""
    thinking: str
    """The text of the thinking, without its tags."""
    answer: str
    """What follows the closed thinking; empty where it was never closed."""
    finish_reason: str
    """`stop`, `length` … as the server said; `unknown` where it said nothing."""
    closed: bool
    """The thinking was closed, or there was none to close."""
    forced_close: bool
    """The thinking was closed because its budget was spent, not by the model."""
    outcome: Outcome
    """The verdict: `correct`, `incorrect`, `no_answer`, `unverifiable`, or `error` (of ours)."""
    cause: str
    """Why the verdict is what it is, such as `equal`, `different`, `no_boxed`, `wrong_answer`, `timeout`."""
    step: str
    """Which step of the verifier decided, such as `string` or `math_verify`."""
    extracted: str
    """The answer or the code that was judged."""
    evidence: str
    """What the verdict rests on: the two sides compared, the failing test, the message."""
    trust: Trust
    """How far to rely on the verdict: `strong`, `weak` or `none`."""
    flags: tuple[str, ...]
    """Labels of the trace, whatever its verdict."""
    prompt_tokens: int | None
    """Tokens of the prompt as the teacher counted them; null where it did not."""
    completion_tokens: int | None
    """Tokens of the whole completion, thinking included."""
    thinking_tokens: int | None
    """Tokens of the thinking."""
    sampling: Sampling
    """How the completion was drawn."""
    seed: int
    """The 31-bit seed that was asked for."""
    problem_accepted: int
    """Accepted traces of this problem; divided by `problem_asked`, its pass rate."""
    problem_asked: int
    """Answered requests of this problem."""
    majority: str
    """The answer that most independent traces of this problem give, by the verifier's equivalence, never by
    text alone; empty for programs and where no trace has an answer."""
    votes: int
    """Independent traces that give `majority`; all samples of a teacher at temperature 0 count as one."""
    agreement: float
    """`votes` divided by the independent traces with an answer, from 0 to 1."""
    rewrite_of: str = ""
    """Of a rewrite: the id of the trace that it was made from."""
    rewritten_as: str = ""
    """Of an accepted trace: the id of the rewrite that stands for it in the config `compact`."""
    not_rewritten: str = ""
    """Why an accepted trace stands for itself there, such as `1 incorrect: different`, `1 not shorter`."""
    language: str = ""
    """Programming language of a code problem, such as `python` or `cpp`."""
    logprobs: Logprobs | None = None
    """The teacher's distribution over its tokens, as the recipe asked for with `logprobs`; null without."""


def digest(*parts: object) -> str:
    """24 hex digits (96 bits) of SHA-256 over the canonical JSON of `parts`."""
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()[:24]
