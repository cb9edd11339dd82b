"""Whether an answer is the reference: a ladder, cheapest step first, each able to say that it cannot tell.

| step          | where  | what                                                                       |
|---------------|--------|----------------------------------------------------------------------------|
| `string`      | host   | the same writing, by `latex.canonical`                                     |
| `exact`       | host   | both are rational numbers of bounded size, by integer arithmetic           |
| `text`        | host   | both are words                                                             |
| `structure`   | worker | lists, sets, intervals, relations, units, terms, by our own reader         |
| `math_verify` | worker | what our reader cannot read, by Math-Verify, both sides wrapped in a box   |

Outcomes of `compare`
- `correct` / `incorrect`, cause `equal` or `different`. Trust is weak where equality rests on a
  leniency: another counted thing, words of a longer answer, or, where the recipe has `unit_missing = "weak"`,
  a unit or percent sign on one side only.
- `incorrect`, cause `unparsed`: the reference can be read, the answer can not, and they differ as text.
- `unverifiable`, cause `reference_unreadable`: nobody can say what the reference means.
- `unverifiable`, cause `undecided`: both sides can be read, but not compared.
- `unverifiable`, causes `too_large`, `timeout`, `memory_limit`, `crashed`: deciding would take more than
  the limits allow. It is a property of the input, not a fault of the answer, nor ours.
- `error`, cause `worker_lost`: ours; the verdict is owed.

Refused before any work: more than `MAX_CHARACTERS`, or nesting deeper than `MAX_NESTING`. Math-Verify's own
timeouts are off, since they need SIGALRM; the pool kills from outside. Nothing is ever evaluated as Python.
"""

from __future__ import annotations

import re
import sys
import time
from fractions import Fraction
from functools import partial
from itertools import permutations
from typing import Literal

import msgspec

from tracegen.data import Verdict
from tracegen.verify import bearings, chemistry, clauses, dates, exact, logic, orders, rulings, words
from tracegen.verify.composed import named_values
from tracegen.verify.decision import Decision
from tracegen.verify.domains import PARAMETERS, Domain, contradict, declared
from tracegen.verify.expression import read_cleaned
from tracegen.verify.extract import NUMBER, WEAK, final_answer, value_of_sentence
from tracegen.verify.families import WHOLE
from tracegen.verify.labels import labels, only_label, option, several
from tracegen.verify.latex import balanced, canonical, clean, mended
from tracegen.verify.names import label
from tracegen.verify.pool import Crashed, Done, Lost, OutOfMemory, Pool, Raised, Result, TimedOut
from tracegen.verify.reading import is_prose, is_text, numbers_said, readings
from tracegen.verify.tree import (
    Node,
    Num,
    Op,
    Rel,
    Seq,
    Sym,
    Unreadable,
    is_set,
    substituted,
    symbols,
)  # fmt: skip
from tracegen.verify.vocabulary import DENIALS

MAX_CHARACTERS = 20_000
MAX_NESTING = 60
MATH_VERIFY_CHARACTERS = 3_000
"""Longer texts are not given to Math-Verify: its parser takes more than linear time."""
SOLUTION_CHARACTERS = 300
"""A longer reference may be a whole solution, in which `The answer is …` is looked for."""
QUICK_CHARACTERS = 300
"""Longer numbers are compared in a worker."""


UnitMissing = Literal["accept", "weak", "reject"]
"""What to make of a unit on one side only: equal, equal with weak trust, or different."""


async def compare(
    pool: Pool, reference: str, answer: str, *, seconds: float, unit_missing: UnitMissing = "weak"
) -> Verdict:
    """Whether `answer` is `reference`. Raises nothing for what they contain."""
    return (await _timed(pool, reference, answer, seconds, unit_missing))[0]


async def _timed(
    pool: Pool, reference: str, answer: str, seconds: float, unit_missing: UnitMissing
) -> tuple[Verdict, float]:
    """The verdict, and the seconds that were worked on it: here and in a worker, without waiting for one."""
    started = time.perf_counter()
    verdict = decided_here(reference, answer)
    spent = time.perf_counter() - started
    if verdict is None:
        label, text = option(reference)
        if label and not labels(answer):
            return await _timed(pool, text, answer, seconds, unit_missing)
        left = max(seconds - spent, seconds / 10)
        result = await pool.call("tracegen.verify.math:decide", reference, answer, unit_missing, seconds=left)
        verdict = _from_worker(result, seconds)
        spent += result.seconds if isinstance(result, Done | TimedOut) else 0.0
    return _finished(verdict, reference, answer, started), spent


async def compare_stated(
    pool: Pool, reference: str, stated: str, *, seconds: float, unit_missing: UnitMissing = "weak"
) -> Verdict:
    """`compare` for an answer that may be wrapped: in a box, a formula of a sentence, `Answer: …`.

    A text without a box is first taken as the answer that it claims to be; where that is neither equal
    nor mathematics, what the extractor finds in it is judged.
    """
    if "\\boxed" in reference and (reference.count("\\boxed") > 1 or is_prose(reference)):
        reference = reference_of(reference)
    settled = partial(compare, pool, reference, unit_missing=unit_missing)
    if _INTEGER.fullmatch(stated):
        return await settled(stated, seconds=seconds)
    answer, rule = final_answer(stated)
    if rule in ("boxed", "boxes", "answer_tag", "hash"):
        return await settled(answer, seconds=seconds)
    verdict, spent = await _timed(pool, reference, stated, seconds, unit_missing)
    other = answer and canonical(answer) != canonical(stated[:MAX_CHARACTERS])
    long = len(stated) > MAX_CHARACTERS
    contrary = (
        _denied(stated, answer)
        or words.qualified(stated)
        or (rule in WEAK and words.opposite(reference, stated))
    )
    if contrary and not long:
        return verdict
    if other and (
        long or (verdict.outcome == "incorrect" and (verdict.step == "text" or verdict.cause == "unparsed"))
    ):
        again = await settled(answer, seconds=max(seconds - spent, seconds / 10))
        weak = "weak" if rule in WEAK else again.trust
        return msgspec.structs.replace(again, trust=weak) if long or again.outcome == "correct" else verdict
    return verdict


def _denied(stated: str, answer: str) -> bool:
    """Whether the clause that `answer` was taken from denies it or says less: `not 5`, `less than 5`."""
    clause = _CLAUSE.split(stated[: max(stated.rfind(answer), 0)])[-1]
    return bool(_BOUNDED.search(clause)) or bool(
        DENIALS & set(words.normal(re.split(r"\d", clause)[-1]).split())
    )


_BOUNDED = re.compile(
    r"\b(?:(?:less|greater|more|fewer|larger|smaller|bigger) than|(?:square |cube )?root of)[\s$]*\Z",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[.,;:!?]\s|\n|\b(?:so|thus|hence|therefore|and|but|then|because|since|as)\b")


async def readable(pool: Pool, reference: str, *, seconds: float) -> Verdict:
    """Whether `reference` can be read: `correct`, or `unverifiable` with cause `reference_unreadable`."""
    started = time.perf_counter()
    verdict = refused(reference, "")
    if verdict is None and _is_number(reference) is not None:
        verdict = Verdict(outcome="correct", cause="readable", step="exact")
    if verdict is None:
        result = await pool.call("tracegen.verify.math:can_read", reference, seconds=seconds)
        verdict = _from_worker(result, seconds)
    return _finished(verdict, reference, reference, started)


def _finished(verdict: Verdict, reference: str, answer: str, started: float) -> Verdict:
    sides = f"{_short(reference)} against {_short(answer)}"
    return msgspec.structs.replace(
        verdict,
        extracted=answer,
        evidence=f"{sides}: {verdict.evidence}" if verdict.evidence else sides,
        milliseconds=(time.perf_counter() - started) * 1000,
    )


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:150]} … {text[-40:]}"


# --- in the host -----------------------------------------------------------------------------------


def decided_here(reference: str, answer: str) -> Verdict | None:
    """A verdict of the cheap steps, or None: ask a worker. Linear in the texts."""
    digits = _INTEGER.fullmatch(reference), _INTEGER.fullmatch(answer)
    if digits[0] and digits[1]:
        same = digits[0][1] == digits[1][1]
        return _verdict(same, "string" if reference == answer else "exact")
    refusal = refused(reference, answer)
    if refusal is not None:
        return refusal
    sides = canonical(reference), canonical(answer)
    if sides[0] and sides[0] == sides[1] and balanced(sides[0]):
        return Verdict(outcome="correct", cause="equal", step="string")
    if _PARTED.fullmatch(reference) and _PARTED.fullmatch(answer):
        parts = [[int(part) for part in re.findall(r"\d+", side)] for side in (reference, answer)]
        return _verdict(parts[0] == parts[1], "exact")
    first, second = _is_number(reference), _is_number(answer)
    if first is not None and second is not None:
        (node, value), (other, answered) = first, second
        same = exact.equal(node, other, value, answered)
        commas = [side for side in (reference, answer) if "," in side]
        if same or not commas or (len(commas) == 1 and _THOUSANDS.fullmatch(commas[0])):
            return _verdict(same, "exact")
    if words.same(reference, answer):
        return Verdict(outcome="correct", cause="equal", step="text")
    label = only_label(reference) or option(reference)[0]
    if label and labels(answer) == {label}:
        return Verdict(outcome="correct", cause="equal", step="label")
    marked = option(reference)[0], option(answer)[0]
    if all(marked) and marked[0] != marked[1]:
        return _verdict(False, "label")
    if several(reference) and several(reference) == several(answer):
        return Verdict(outcome="correct", cause="equal", step="label")
    replies = words.reply(reference), words.reply(answer)
    if all(replies):
        counts = [set(NUMBER.findall(clean(side))) for side in (reference, answer)]
        same = replies[0] == replies[1] and (not all(counts) or counts[0] == counts[1])
        if same and words.restricted(reference, answer):
            return None
        return _verdict(same, "text", weak=True, why="yes or no")
    spans = _SPAN.fullmatch(reference), _SPAN.fullmatch(answer)
    if spans[0] and spans[1] and spans[0].group(2, 4) == spans[1].group(2, 4):
        return _verdict(spans[0].group(1, 3) == spans[1].group(1, 3), "text")
    for kind in (dates, bearings, chemistry, rulings, logic, orders):
        if (same_text := kind.same(reference, answer)) is not None:
            return _verdict(same_text, "text")
    return None


def refused(reference: str, answer: str) -> Verdict | None:
    """A verdict where a side is too long, too deep or empty."""
    for name, text in (("reference", reference), ("answer", answer)):
        if len(text) > MAX_CHARACTERS:
            return Verdict(
                outcome="unverifiable",
                cause="too_large",
                step="size",
                evidence=f"{name} of {len(text)} characters",
            )
        if _nesting(text) > MAX_NESTING:
            return Verdict(
                outcome="unverifiable",
                cause="too_large",
                step="size",
                evidence=f"{name} nested {_nesting(text)} deep",
            )
    if not re.search(r"[^\s{}$\\?.,;:!_*-]", reference):
        return Verdict(
            outcome="unverifiable", cause="reference_unreadable", step="string", evidence="an empty reference"
        )
    return None


def _nesting(text: str) -> int:
    depth = deepest = 0
    for match in re.finditer(r"[{(\[]|[})\]]|\\left|\\right", text):
        if match[0] in "{([":
            depth += 1
            deepest = max(deepest, depth)
        elif match[0] in "})]":
            depth = max(0, depth - 1)
    return deepest


_SPAN = re.compile(
    r"\s*(?:from )?0?(\d{1,2}:\d\d) ?([ap]m)?\s*(?:-|–|to|until|till)\s*0?(\d{1,2}:\d\d) ?([ap]m)?[\s.]*",
    re.ASCII,
)
"""From when to when, which is no difference of numbers."""
_INTEGER = re.compile(r"\s*(0|-?[1-9]\d{0,4000})(?:\.0+)?\s*", re.ASCII)
"""What most references are; one look each."""
_PARTED = re.compile(r"\s*\$?(?:\d{1,30}-\d{1,30}(?:-\d{1,30})?|\d{1,2}/\d{1,2}/\d{4})\$?\s*", re.ASCII)
"""Scores, ranges, telephone numbers and dates, of which two are the same only part by part."""
_THOUSANDS = re.compile(r"\s*-?\d{1,3}(?:,\d{3})+(?:\.\d+)?\s*", re.ASCII)
"""Beside a text without commas this is one number, and no list."""
_NUMERIC = re.compile(
    r"(?:[\d.,\s+\-*/^(){}$!%]|\\[dt]?frac|\\[,!;: $()\[\]]|\\(?:times|cdot|left|right|boxed)|e(?=[-+\d]))+\Z"
)


def _is_number(text: str) -> tuple[Node, Fraction] | None:
    """Tree and value of a text that is one plain number; no units, no percents, no symbols."""
    if len(text) > QUICK_CHARACTERS or not _NUMERIC.match(text):
        return None
    try:
        node = read_cleaned(clean(text), "thousands")
        value = exact.value(node) if isinstance(node, Num | Op) and not _has_percent(node) else None
    except (Unreadable, exact.TooLarge, ValueError, RecursionError):
        return None
    return None if value is None else (node, value)


def _has_percent(node: Node) -> bool:
    return isinstance(node, Op) and (node.name == "percent" or any(_has_percent(arg) for arg in node.args))


def _verdict(same: bool, step: str, *, weak: bool = False, why: str = "") -> Verdict:
    return Verdict(
        outcome="correct" if same else "incorrect",
        cause="equal" if same else "different",
        step=step,
        evidence=why,
        trust="weak" if weak else "strong",
    )


def _from_worker(result: Result, seconds: float) -> Verdict:
    match result:
        case Done(value=[outcome, cause, step, why, trust]):
            return Verdict(outcome=outcome, cause=cause, step=step, evidence=why, trust=trust)
        case _:
            return failed(result, seconds)


def failed(result: Result, seconds: float) -> Verdict:
    """The verdict where a worker gave none: the input's doing is `unverifiable`, ours is `error`."""
    match result:
        case TimedOut():
            return Verdict(
                outcome="unverifiable", cause="timeout", step="pool", evidence=f"not decided in {seconds:g} s"
            )
        case OutOfMemory():
            return Verdict(outcome="unverifiable", cause="memory_limit", step="pool")
        case Crashed(status=status):
            return Verdict(
                outcome="unverifiable",
                cause="crashed",
                step="pool",
                evidence=f"a worker died with status {status}",
            )
        case Raised(kind="RecursionError"):
            return Verdict(
                outcome="unverifiable", cause="too_large", step="pool", evidence="too deeply nested"
            )
        case Raised(kind=kind, message=message):
            return Verdict(
                outcome="error",
                cause="worker_failed",
                step="pool",
                evidence=f"{kind}: {message}",
                trust="none",
            )
        case Lost(reason=reason):
            return Verdict(outcome="error", cause="worker_lost", step="pool", evidence=reason, trust="none")
        case _:
            return Verdict(
                outcome="error",
                cause="worker_failed",
                step="pool",
                evidence="no answer of a known kind",
                trust="none",
            )


# --- in a worker -----------------------------------------------------------------------------------


def warm() -> None:
    """Load what the workers need, in the zygote: Math-Verify, and its parser's tables."""
    import logging

    from tracegen.verify import structure

    sys.setrecursionlimit(10_000)  # a text nested MAX_NESTING deep is some 1,000 frames deep
    logging.disable(logging.CRITICAL)  # Math-Verify logs every text that it cannot parse
    structure.compare(Num(Fraction(1)), Num(Fraction(1)))
    for text in (
        r"\frac{1}{2}x^2+\sqrt{3}",
        r"(1,2]\cup\{3\}",
        r"\begin{pmatrix}1\\2\end{pmatrix}",
        r"x=\sin 2",
    ):
        _math_verify(text, text)


def decide(reference: str, answer: str, unit_missing: UnitMissing = "weak") -> list[str]:
    """Outcome, cause, step, evidence and trust; by our own reader, else by Math-Verify."""
    try:
        for said, written in ((reference, answer), (answer, reference)):
            sign = clauses.sign_said(said)
            if sign and any(clauses.has_sign(node, *sign) for node in readings(written)):
                return _settled(True, "text", "its sign in words", weak=True)
        decision = _structure(reference, answer, unit_missing)
    except exact.TooLarge as error:
        return ["unverifiable", "too_large", "structure", str(error), "strong"]
    if decision is not None:
        return decision
    return _fall_back(reference, answer, unit_missing)


def _settled(same: bool, step: str, why: str = "", *, weak: bool = False) -> list[str]:
    return [
        "correct" if same else "incorrect",
        "equal" if same else "different",
        step,
        why,
        "weak" if weak else "strong",
    ]


def _structure(reference: str, answer: str, unit_missing: UnitMissing) -> list[str] | None:
    """By trees, in every reading of the commas; None where a side cannot be read or compared."""
    if (in_turn := _in_turn(reference, answer, unit_missing)) is not None:
        return in_turn
    cleaned = clean(reference), clean(answer)
    if _CAPITALS.fullmatch(cleaned[0]) and _DIGITS.fullmatch(cleaned[1]):
        answer = cleaned[1].upper()
        cleaned = cleaned[0], answer
    named = [named_values(text) for text in cleaned]
    if named[0] and named[0].keys() == named[1].keys():
        parts = [_structure(part, named[1][name], unit_missing) for name, part in named[0].items()]
        if all(part is not None and (part[0], part[-1]) == ("correct", "strong") for part in parts):
            return _settled(True, "structure")
    domains = declared(cleaned[0]), declared(cleaned[1])
    if contradict(*domains):
        return _settled(False, "structure", "letters of another kind")
    conditions = [_CONDITION.search(text) for text in cleaned]
    if conditions[0] and conditions[1]:
        bounds = [readings(condition[1]) for condition in conditions if condition]
        alike = _compared(bounds[0], bounds[1], unit_missing)
        if alike and alike[0] != "correct":
            return _settled(False, "structure", "other conditions")
    remarks = [_REMARK.search(text) for text in cleaned]
    if remarks[0] and remarks[1]:
        numbers = [NUMBER.findall(remark[1]) for remark in remarks if remark]
        whole = all(number.isdigit() for side in numbers for number in side)
        if whole and all(numbers) and sorted(numbers[0]) != sorted(numbers[1]):
            return _settled(False, "structure", "other places")
    found = _compared(readings(reference), readings(answer), unit_missing)
    periodic = domains == (None, None) and all(map(_repeats, (reference, answer)))
    if (found is None or found[0] != "correct") and (periodic or _bound(domains)):
        heads = [
            readings(domain.head if domain else text)
            for domain, text in zip(domains, (reference, answer), strict=True)
        ]
        heads = [[_in_one_letter(node) for node in side] for side in heads] if periodic else heads
        letters = [_running(domain, side) for domain, side in zip(domains, heads, strict=True)]
        if all(letters) and (periodic or any(domain and domain.kind == "Z" for domain in domains)):
            heads = [
                [substituted(node, letter, Sym(WHOLE + "n")) for node in side]
                for letter, side in zip(letters, heads, strict=True)
            ]
        elif domains[0] and domains[1]:
            heads[1] = [_named_alike(node, domains[1].letters, domains[0].letters) for node in heads[1]]
        elif any(domain and "" not in domain.letters for domain in domains):
            heads[1] = _constants_alike(domains, *heads)
        again = _compared(heads[0], heads[1], unit_missing)
        return again if found is None or (again and again[0] == "correct") else found
    return found


def _in_turn(reference: str, answer: str, unit_missing: UnitMissing) -> list[str] | None:
    """`6 and 4, respectively`, part by part; None where no side says so, or one has brackets."""
    if not any("respectively" in side.lower() for side in (reference, answer)):
        return None
    said = [_RESPECTIVELY.subn("", side) for side in (reference, answer)]
    parts = [[part.strip(" .") for part in _JOINTS.split(side)] for side, _ in said]
    plain = all(
        1 < len(side) < 9 and all(side) and not re.search(r"[()\[\]]", "".join(side)) for side in parts
    )
    if not plain:
        return None
    if len(parts[0]) != len(parts[1]):
        return _settled(False, "structure", "another number of parts")
    found = [_structure(first, second, unit_missing) for first, second in zip(*parts, strict=True)]
    same = all(decision is not None and decision[0] == "correct" for decision in found)
    return _settled(
        same, "structure", "part by part", weak=any(one is None or one[-1] == "weak" for one in found)
    )


_RESPECTIVELY = re.compile(r"(?:\\text\s*\{)?[\s,(]*\brespectively\b[\s)}.]*\Z", re.IGNORECASE)
_JOINTS = re.compile(r",\s*(?:\\text\s*\{\s*)?and\b\s*\}?|,|\\text\s*\{\s*and\s*\}|\band\b")
_CONDITION = re.compile(
    r"\b(?:for|where|when|with|such that|provided)\b[\s}]*(?:(?:all|any|every)\b[\s}]*)?"
    r"([^,;]*(?:[<>]|\\(?:le|ge|ne)\b)[^,;]*)\Z"
)
"""An inequality at the end that says where a value holds: two of them must agree."""
_REMARK = re.compile(r"\b(?:at|attained|achieved|when|coprime to)\b([^,;<>./\\]*)\Z")
"""Where a value is taken: `maximum value 5 at x = 2`; fractions are not looked at."""
_CAPITALS = re.compile(r"\(?(?=\d*[A-F])[\dA-F]+\)?_\{?1[1-6]\}?")
_DIGITS = re.compile(r"\(?[\da-f]+\)?_\{?1[1-6]\}?")
"""`2A_{16}` and `2a_{16}`, which is a product elsewhere."""
_PERIOD = re.compile(r"\\pi|\\circ")


def _repeats(text: str) -> bool:
    """A sum with a multiple of an angle: its letter runs through the integers without being declared."""
    cleaned = clean(text)
    return (
        bool(_PERIOD.search(cleaned))
        and bool(re.search(r"[^\s({\[=,]\s*[-+]", cleaned))
        and bool(re.search(r"[kn]", _LETTERS.sub(" ", cleaned)))
    )


_LETTERS = re.compile(r"\\[A-Za-z]+")


def _bound(domains: tuple[Domain | None, Domain | None]) -> bool:
    """Whether the letters that are declared are parameters, not the variable of an inequality."""
    known = [domain for domain in domains if domain is not None]
    over_reals = all(domain.kind in ("", "R") for domain in known)
    return len(known) == 2 or (
        len(known) == 1
        and known[0].kind in PARAMETERS
        and (over_reals or not re.search(r"[<>]|\\(?:le|ge|ne)\b", known[0].head))
    )


def _running(domain: Domain | None, nodes: list[Node]) -> str:
    """The letter that runs through the integers: the declared one, or the only usual one that occurs."""
    if domain is not None:
        letter = domain.letters[0] if len(domain.letters) == 1 and domain.kind in ("", "Z") else ""
        return "" if any(letter in _arguments(node) for node in nodes) else letter
    used = {name for node in nodes for name in symbols(node)} & {"k", "n", "m", "l"}
    return used.pop() if len(used) == 1 else ""


def _arguments(node: Node) -> set[str]:
    """The letters that a function is defined for: `n` of `f(n) = n + 1`, which is no set of numbers."""
    match node:
        case Rel(sides=(Op(name=name) as defined, *_)) if name.startswith("call "):
            return symbols(defined)
        case _:
            return set()


def _in_one_letter(node: Node) -> Node:
    """`x = π/4 + πk, x = πn` with one letter: each family of one unknown runs through all integers."""
    if not isinstance(node, Seq):
        return node
    items = node.items
    used = [symbols(item) & {"k", "n", "m", "l"} for item in items]
    if not used or any(len(names) != 1 for names in used) or len({label(item) for item in items}) > 1:
        return node
    alike = (substituted(item, next(iter(names)), Sym("k")) for item, names in zip(items, used, strict=True))
    return Seq(tuple(alike), node.joint)


def _constants_alike(
    domains: tuple[Domain | None, Domain | None], ours: list[Node], theirs: list[Node]
) -> list[Node]:
    """The answer with its constants named as in the reference, where one side says that they are such."""
    names = [{name for node in side for name in symbols(node)} for side in (ours, theirs)]
    own, wanted = sorted(names[1] - names[0]), sorted(names[0] - names[1])
    declared_ones = {letter for domain in domains if domain for letter in domain.letters}
    if (
        not 1 <= len(own) == len(wanted) <= 3
        or any(domain and domain.kind not in ("", "R") for domain in domains)
        or not any(declared_ones.issuperset(side) for side in (own, wanted))
        or not {*own, *wanted} <= _CONSTANTS | declared_ones
    ):
        return theirs
    found: list[Node] = []
    for order in permutations(wanted):
        for node in theirs:
            for old, new in zip(own, order, strict=True):
                node = substituted(node, old, Sym(new))
            found.append(node)
    return found


_CONSTANTS = frozenset("aAbBcCdDkKm")
"""Letters that may be constants without being declared, beside ones that are."""


def _named_alike(node: Node, letters: tuple[str, ...], wanted: tuple[str, ...]) -> Node:
    """The tree with its declared letters named as in the reference, where it has none of these names."""
    renamed = [pair for pair in zip(letters, wanted, strict=False) if pair[0] != pair[1]]
    if (
        len(letters) != len(wanted)
        or "" in (*letters, *wanted)
        or any(new in symbols(node) for _, new in renamed)
    ):
        return node
    for old, new in renamed:
        node = substituted(node, old, Sym(new))
    return node


def _compared(ours: list[Node], theirs: list[Node], unit_missing: UnitMissing) -> list[str] | None:
    from tracegen.verify import structure

    sides = ours, theirs
    if not sides[0] or not sides[1]:
        return None
    decisions: list[Decision] = []
    for one in sides[0]:
        for other in sides[1]:
            decision = structure.compare(one, other)
            if decision.equal and decision.unit_missing and unit_missing == "reject":
                decision = msgspec.structs.replace(decision, equal=False)
            if decision.equal:
                weak = decision.weak or (decision.unit_missing and unit_missing == "weak")
                return _settled(True, "structure", decision.why, weak=weak)
            decisions.append(decision)
    if all(decision.equal is False for decision in decisions):
        return _settled(False, "structure", decisions[0].why)
    if all(isinstance(side, Op) and not is_set(side) for both in sides for side in both):
        return None
    return ["unverifiable", "undecided", "structure", "both can be read, but not compared", "strong"]


def _fall_back(reference: str, answer: str, unit_missing: UnitMissing) -> list[str]:
    """Words by their letters, the rest by Math-Verify."""
    if words.same(reference, answer):
        return _settled(True, "text")
    alike = is_text(reference) and is_text(answer) and words.same_signs(reference, answer)
    if alike and words.said(reference, answer):
        return _settled(True, "text", "words of the reference", weak=True)
    if is_prose(reference) and is_prose(answer) and words.same_gist(reference, answer):
        return _settled(True, "text", "the same words and signs", weak=True)
    if clauses.same_alternatives(reference, answer) or _same_stretches(reference, answer, unit_missing):
        return _settled(True, "text", "the same parts of a statement", weak=True)
    known = bool(readings(reference))
    inner = "" if known else value_of_sentence(reference)
    stated = value_of_sentence(answer) if known and _SEVERAL.search(answer) and not readings(answer) else ""
    if inner or (stated and not _denied(answer, stated) and not words.opposite(reference, answer)):
        decision = _structure(inner or reference, stated or answer, unit_missing)
        if decision is not None and decision[0] == "correct":
            return _settled(True, "structure", "the value of a sentence", weak=True)
    if not known and numbers_said(reference, answer):
        return _settled(True, "structure", "the numbers of a sentence", weak=True)
    if is_prose(reference) or is_prose(answer):
        return _settled(False, "text") if known or is_text(reference) else _unreadable()
    if _DROPPED.search(clean(reference)) or _DROPPED.search(clean(answer)):
        return _settled(False, "text") if known else _unreadable()
    if _of_others(reference, answer):
        return _settled(False, "structure", "of other terms")
    if max(len(reference), len(answer)) > MATH_VERIFY_CHARACTERS:
        return ["unverifiable", "too_large", "math_verify", "too long for Math-Verify", "strong"]
    ours, theirs, same = _math_verify(reference, answer)
    if same:
        return _settled(True, "math_verify")
    if not ours and not known and not is_text(reference):
        return _unreadable()
    if not theirs and not readings(answer):
        return ["incorrect", "unparsed", "math_verify", "the answer cannot be read", "strong"]
    return _settled(False, "math_verify")


_SEVERAL = re.compile(r",|\band\b")
"""What a list has; a single value of a sentence is for the extractor."""


def _same_stretches(reference: str, answer: str, unit_missing: UnitMissing) -> bool:
    """Whether both say of the same numbers that a function rises, falls and so on there."""
    ours, theirs = clauses.stretches(reference), clauses.stretches(answer)
    if ours is None or theirs is None or ours.keys() != theirs.keys():
        return False
    found = [_structure(ours[name], theirs[name], unit_missing) for name in ours]
    return all(decision and decision[0] == "correct" for decision in found)


def _of_others(reference: str, answer: str) -> bool:
    """Whether both are limits to other places, or divisors of more numbers: Math-Verify tells neither."""
    sides = [canonical(side) for side in (reference, answer)]
    limits = [_LIMIT.findall(side) for side in sides]
    divisors = [[inside.count(",") for inside in _DIVISOR.findall(side)] for side in sides]
    return any(all(found) and found[0] != found[1] for found in (limits, divisors))


_LIMIT = re.compile(r"\\lim_\{[^{}]*?\\to([^{}]*)\}")
_DIVISOR = re.compile(r"(?:\\?gcd|\\?lcm)\(([^()]*)\)")
_DROPPED = re.compile(r"[\d)]\s*_\s*\{?\s*(?:\d|\\text)")
"""Digits in a base, which Math-Verify drops."""


def _unreadable() -> list[str]:
    return ["unverifiable", "reference_unreadable", "math_verify", "the reference cannot be read", "strong"]


def can_read(reference: str) -> list[str]:
    """Whether anything here can read `reference`, as outcome, cause, step, evidence and trust."""
    step = "structure" if readings(reference) else "text" if is_text(reference) else ""
    if not step and balanced(clean(reference)) and len(reference) <= MATH_VERIFY_CHARACTERS:
        step = "math_verify" if _math_verify(reference, reference)[0] else ""
    return ["correct", "readable", step, "", "strong"] if step else _unreadable()


def _math_verify(reference: str, answer: str) -> tuple[bool, bool, bool]:
    """Whether Math-Verify reads the reference, reads the answer, and takes them for equal."""
    from math_verify import LatexExtractionConfig, parse, verify

    sides = []
    for text in (mended(reference), mended(answer)):
        wrapped = f"\\boxed{{{text}}}" if balanced(text) else ""
        config = [LatexExtractionConfig(boxed_match_priority=0)]
        sides.append(parse(wrapped, extraction_config=config, parsing_timeout=None) if wrapped else [])
    read = [any(not isinstance(part, str) for part in side) for side in sides]
    same = bool(all(read) and verify(sides[0], sides[1], timeout_seconds=None))
    return read[0], read[1], same


def said_in_words(reference: str, text: str) -> bool:
    """Whether a reference in words is what the last sentence says: `east` of `She ends up facing east.`

    Not of words that a sentence holds without saying so, such as `yes` and `no`.
    """
    if not words.plain(reference) or words.meaning(reference) is not None:
        return False
    sentence = re.split(r"(?<=[.!?])\s+|\n", text.strip()[-2000:])[-1]
    return words.contained(reference, re.sub(r"[*_`$\\]", " ", sentence))


def reference_of(text: str) -> str:
    """The answer in a reference that is a whole solution (`#### 5`, `\\boxed{5}`), else the text itself."""
    if "####" in text or "\\boxed" in text or "\\fbox" in text or len(text) > SOLUTION_CHARACTERS:
        answer, rule = final_answer(text)
        return answer if rule in ("hash", "boxed", "boxes", "answer_tag", "phrase") else text
    return text
