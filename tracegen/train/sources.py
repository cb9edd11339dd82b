"""The rows that a student is trained on, whatever they come from.

A source is a run directory, a dataset of ours (folder or Hub id, any config), or a foreign file, folder or
Hub dataset. A foreign row is a question with a response (thinking inline between tags), a question with an
answer and maybe its thinking, or a conversation, of which every assistant turn becomes a row with the turns
before it. A row that cannot be trained on is yielded with the reason, so that whoever reads them counts it.

Not covered: tool calls, images, and preference pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from tracegen import prompts, run
from tracegen import rows as files
from tracegen.data import (
    CodeTests,
    Logprobs,
    MathAnswer,
    Problem,
    PytestTests,
    Role,
    Struct,
    digest,
)
from tracegen.errors import UserError
from tracegen.recipe import Elicit
from tracegen.store import FILE, Store
from tracegen.student import RowRule, Train, TrainSource

USUAL: dict[str, tuple[str, ...]] = {
    "id": ("id", "uuid", "unique_id", "task_id", "idx"),
    "question": ("question", "problem", "instruction", "prompt", "query", "input"),
    "response": ("response", "completion", "generation", "output"),
    "thinking": ("thinking", "reasoning", "reasoning_content"),
    "answer": ("answer", "final_answer", "solution"),
    "messages": ("messages", "conversations"),
    "reference": ("reference",),
    "domain": ("domain",),
    "logprobs": ("logprobs",),
}
"""Columns that are found without being named, tried in order."""
ROLES: dict[str, Role] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
}
PARTS = {"text": "text", "reasoning": "reasoning", "thinking": "reasoning"}
"""Kinds of parts of a message."""
OURS = {"problem_id", "question", "thinking", "answer", "closed", "messages", "status"}
"""Columns that tell a dataset of ours."""


class Turn(Struct, frozen=True):
    """One turn of a chat."""

    role: Role
    content: str
    thinking: str = ""
    """Of an earlier assistant turn, without its tags."""


class Row(Struct, frozen=True):
    """One turn to train on."""

    id: str
    """Id of the row in its dataset, or a digest of its text; in a conversation with the turn's number."""
    problem: str
    """Digest of the question's words: all rows of one question have it, whatever source they come from."""
    source: str
    """Name of the source, one of `names`."""
    turns: tuple[Turn, ...]
    """What stands before the trained turn; the last one is the user's."""
    thinking: str | None
    """None: answered without thinking."""
    answer: str
    weight: float = 1.0
    """Of every token of the row: its source's weight times that of each rule that fits."""
    question: str = ""
    """The bare question, as the dataset has it."""
    reference: str = ""
    """The right answer, where the dataset has it; never shown to the student."""
    domain: str = ""
    problem_id: str = ""
    """The dataset's own id of the problem."""
    flags: tuple[str, ...] = ()
    stage: str = ""
    options: dict[str, bool | str] = {}
    """Options of the chat template for this row."""
    logprobs: Logprobs | None = None
    refused: str = ""
    """Why it cannot be trained on; the other fields may then be empty."""


class _Refusal(Exception):
    """A row that cannot be trained on."""


class _Reader(Struct, frozen=True):
    """What is known of a source before its rows are read."""

    name: str
    source: TrainSource
    train: Train
    base: Path
    problems: Mapping[str, Problem]
    """Of a run: its problems by id."""

    @property
    def tags(self) -> tuple[str, str]:
        return self.source.open or self.train.open, self.source.close or self.train.close


def names(train: Train) -> tuple[str, ...]:
    """A name for each source, in the recipe's order: the last part of its path, numbered if it repeats."""
    found: list[str] = []
    for source in train.data:
        name = Path(source.path).name or source.path
        name = f"{name}/{source.config}" if source.config not in ("", "verified", "default") else name
        same = sum(one == name or one.startswith(f"{name}#") for one in found)
        found.append(f"{name}#{same + 1}" if same else name)
    return tuple(found)


def rows(train: Train, base: Path = Path()) -> Iterator[Row]:
    """Every row of every source, in order; a row that cannot be trained on has its reason in `refused`.

    Raises UserError where a source, config, column or prompt is not there, where a source has no row, and
    where a row rule names a column that no row has.
    """
    matched: set[str] = set()
    said: set[str] = set()
    for number, (name, source) in enumerate(zip(names(train), train.data, strict=True)):
        try:
            for row in _source_rows(name, source, train, base, matched):
                yield row if train.repeated == "keep" else _once(row, said)
        except UserError as error:
            raise UserError(f"train.data.{number}: {error}") from None
    for number, rule in enumerate(train.row_weights):
        if rule.column not in matched:
            raise UserError(f"train.row_weights.{number}.column: no source has a column {rule.column!r}")


def split_thinking(text: str, opened: str, closed: str) -> tuple[str | None, str] | str:
    """Thinking (None without any) and answer of a response with inline tags, or why it has none.

    A closing tag without an opening one is what a model writes whose prompt opened the thinking.
    """
    head, tag, answer = text.partition(closed)
    if not tag:
        return "the thinking is never closed" if opened in text else (None, text)
    before, opening, thinking = head.partition(opened)
    if opening and before.strip():
        return "text before the thinking"
    thinking = thinking if opening else head
    if opened in thinking or opened in answer or closed in answer:
        return "more than one thinking block"
    return thinking, answer


# --- places


def _source_rows(
    name: str, source: TrainSource, train: Train, base: Path, matched: set[str]
) -> Iterator[Row]:
    folder = _dataset_folder(base / source.path) if source.path else base
    with_problems = _problems_of(base / source.path)
    reader = _Reader(name, source, train, base, with_problems)
    count = 0
    for found in _read(source, folder, base):
        if source.limit and count >= source.limit:
            break
        count += 1
        if isinstance(found, files.BadRow):
            yield _refused(name, found.where, f"unreadable: {found.why}")
            continue
        weight = _weight(found.values, source, name, train.row_weights, matched)
        for row in _rows_of(found, reader):
            yield msgspec.structs.replace(row, weight=weight)
    if not count:
        raise UserError(f"{source.path}: has no rows in split {source.split!r}")


def _dataset_folder(path: Path) -> Path:
    """The dataset of a run directory; any other path as it is. Raises UserError for a run without one."""
    if not (path / FILE).is_file():
        return path
    if not (path / run.DATASET / "data").is_dir():
        raise UserError(f"{path}: the run has no dataset yet - finish it with `tracegen build`")
    return path / run.DATASET


def _problems_of(path: Path) -> dict[str, Problem]:
    """The problems of a run by id; their references hold what a prompt says beside the question."""
    if not (path / FILE).is_file():
        return {}
    with Store(path, write=False) as store:
        return {problem.id: problem for problem in store.problems()}


def _read(source: TrainSource, folder: Path, base: Path) -> Iterator[files.Row | files.BadRow]:
    """The source's rows; a folder in the layout of ours is read without the `datasets` package."""
    data = folder / "data"
    if data.is_dir():
        config = source.config or "verified"
        shards = sorted((data / config).glob(f"{source.split}-*.parquet"))
        if shards:
            for shard in shards:
                yield from files.read(str(shard))
            return
        configs = sorted({path.parent.name for path in data.glob(f"*/{source.split}-*.parquet")})
        if configs:
            raise UserError(
                f"{source.path}: has no config {config!r} in split {source.split!r}"
                f" - expected one of {', '.join(configs)}"
            )
    yield from files.read(
        source.path, base=base, config=source.config, split=source.split, revision=source.revision
    )


# --- rows


def _rows_of(found: files.Row, reader: _Reader) -> Iterator[Row]:
    values = found.values
    try:
        if values.keys() >= OURS:
            yield _own(values, reader)
        elif _conversation(values, reader) is not None:
            yield from _turns_of(values, found.where, reader)
        else:
            yield _foreign(values, reader)
    except _Refusal as refusal:
        yield _refused(reader.name, _id(values, reader) or found.where, str(refusal))


def _own(values: dict[str, Any], reader: _Reader) -> Row:
    """A row of a dataset of ours."""
    if not values["closed"]:
        raise _Refusal("the thinking is never closed")
    said = [turn["content"] for turn in values["messages"] if turn["role"] == "assistant"]
    thought = bool(values["thinking"].strip()) or any(text.startswith("<think>") for text in said)
    problem = reader.problems.get(values["problem_id"]) or _problem(values)
    return Row(
        id=values["id"],
        problem=_key(values["question"]),
        source=reader.name,
        turns=asked(problem, values["domain"], reader.train, reader.base),
        thinking=values["thinking"] if thought else None,
        answer=_answer(values["answer"]),
        question=values["question"],
        reference=values["reference"],
        domain=values["domain"],
        problem_id=values["problem_id"],
        flags=tuple(values.get("flags") or ()),
        stage=values.get("stage") or "",
        options=reader.source.template_options,
        logprobs=_logprobs(values, reader),
    )


def _foreign(values: dict[str, Any], reader: _Reader) -> Row:
    """A question with a response, or with an answer and maybe its thinking."""
    question = _text(values, "question", reader)
    if not reader.source.columns.question and values.get("instruction") == question and values.get("input"):
        question = f"{question}\n\n{values['input']}"  # Alpaca: what the instruction is about
    thinking, answer = _reply(values, reader)
    domain = str(_get(values, "domain", reader) or "")
    reference = _get(values, "reference", reader)
    return Row(
        id=_id(values, reader) or digest("row", question, thinking, answer),
        problem=_key(question),
        source=reader.name,
        turns=asked(Problem(question, MathAnswer("")), domain, reader.train, reader.base),
        thinking=thinking,
        answer=_answer(answer),
        question=question,
        reference="" if reference is None else str(reference),
        domain=domain,
        options=reader.source.template_options,
        logprobs=_logprobs(values, reader),
    )


def _reply(values: dict[str, Any], reader: _Reader) -> tuple[str | None, str]:
    """Thinking and answer, of their own columns or of a response."""
    thinking = _get(values, "thinking", reader)
    field = "answer" if _has(values, "answer", reader) else "response"
    if reader.source.columns.response or (thinking is None and _has(values, "response", reader)):
        field = "response"
    text = _text(values, field, reader)
    if thinking is not None:
        return str(thinking), text
    parts = split_thinking(text, *reader.tags)
    if isinstance(parts, str):
        raise _Refusal(parts)
    return parts


def _turns_of(values: dict[str, Any], where: str, reader: _Reader) -> Iterator[Row]:
    """A row for each assistant turn of a conversation."""
    conversation = _conversation(values, reader) or []
    id_ = _id(values, reader) or digest("row", conversation)
    history: list[Turn] = []
    question = ""
    for number, message in enumerate(conversation):
        try:
            name, text, field = _said(message)
        except _Refusal as refusal:
            yield _refused(reader.name, f"{id_}#{number}", str(refusal))
            return
        role = ROLES.get(name)
        if role is None:
            yield _refused(reader.name, f"{id_}#{number}", f"a turn of role {name!r}")
            return
        if role != "assistant":
            history.append(Turn(role, text))
            question = question or (text if role == "user" else "")
            continue
        parts = (field, text) if field else split_thinking(text, *reader.tags)
        turn = f"{id_}#{number}"
        if isinstance(parts, str):
            yield _refused(reader.name, turn, parts)
            return
        thinking, answer = parts
        if not history or history[-1].role != "user" or not answer.strip():
            yield _refused(reader.name, turn, "no answer" if history else "no question")
        else:
            yield Row(
                id=turn,
                problem=_key(question),
                source=reader.name,
                turns=tuple(history),
                thinking=thinking,
                answer=answer,
                question=history[-1].content,
                options=reader.source.template_options,
            )
        history.append(Turn("assistant", answer.strip(), (thinking or "").strip()))


def _said(message: Any) -> tuple[str, str, str]:
    """Role, text and thinking of a message as OpenAI or ShareGPT write it, in one text or in parts."""
    if not isinstance(message, dict):
        raise _Refusal("a turn that is no message")
    if message.get("tool_calls"):
        raise _Refusal("a tool call")
    role = str(message.get("role") or message.get("from") or "")
    content = message.get("content") if "content" in message else message.get("value")
    thinking = str(message.get("reasoning_content") or message.get("thinking") or "")
    if not isinstance(content, list):
        return role, str(content or ""), thinking
    found = {"text": "", "reasoning": ""}
    for part in content:
        kind = PARTS.get(str(part.get("type")) if isinstance(part, dict) else "")
        text = part.get(part["type"], part.get("text", part.get("value"))) if kind else None
        if kind is None or not isinstance(text, str):
            raise _Refusal("a turn with parts that are no text")
        found[kind] += text
    return role, found["text"], thinking or found["reasoning"]


def asked(problem: Problem, domain: str, train: Train, base: Path) -> tuple[Turn, ...]:
    """The turns that ask for a problem, under the prompt that the student will be served with."""
    name = train.prompt or (domain if domain in prompts.names() else "bare")
    messages, _ = prompts.render(prompts.load(name, base), problem, Elicit())
    return tuple(Turn(message.role, message.content) for message in messages)


def _problem(values: dict[str, Any]) -> Problem:
    """The problem of a row of ours: its user's turn says all that is asked, so nothing is added to it."""
    said = (turn["content"] for turn in values["messages"] if turn["role"] == "user")
    asked = next(said, values["question"])
    if values["domain"] == "code":
        return Problem(asked, CodeTests(PytestTests(""), language=values.get("language") or "python"))
    return Problem(asked, MathAnswer(values["reference"]))


# --- cells


def _get(values: dict[str, Any], field: str, reader: _Reader) -> Any:
    """The cell of the column that is named for a field, else of the first usual one; None without."""
    named = getattr(reader.source.columns, field)
    if named:
        try:
            return files.pick(values, named)
        except KeyError:
            raise UserError(
                f"{reader.source.path}: columns.{field}: no column {named!r}"
                f" - the rows have {', '.join(map(str, values))}"
            ) from None
    return next((values[name] for name in USUAL[field] if values.get(name) is not None), None)


def _has(values: dict[str, Any], field: str, reader: _Reader) -> bool:
    return _get(values, field, reader) is not None


def _text(values: dict[str, Any], field: str, reader: _Reader) -> str:
    value = _get(values, field, reader)
    if value is None:
        known = getattr(reader.source.columns, field) or any(name in values for name in USUAL[field])
        if not known:
            raise UserError(
                f"{reader.source.path}: columns.{field}: the rows have no such column - name it;"
                f" they have {', '.join(map(str, values))}"
            )
    text = str(value or "")
    if not text.strip():
        raise _Refusal(f"no {field}")
    return text


def _answer(text: str) -> str:
    if not text.strip():
        raise _Refusal("no answer")
    return text


def _id(values: dict[str, Any], reader: _Reader) -> str:
    value = _get(values, "id", reader)
    return "" if value is None else str(value)


def _conversation(values: dict[str, Any], reader: _Reader) -> list[Any] | None:
    """The messages of a conversation; None where the row has a question and a reply in columns."""
    named = reader.source.columns
    if not named.messages and (named.response or named.answer or named.question):
        return None
    found = _get(values, "messages", reader)
    return found if isinstance(found, list) else None


def _logprobs(values: dict[str, Any], reader: _Reader) -> Logprobs | None:
    found = _get(values, "logprobs", reader)
    if found is None:
        return None
    try:
        stored = (
            msgspec.json.decode(found, type=Logprobs)
            if isinstance(found, str)
            else msgspec.convert(found, Logprobs)
        )
    except (msgspec.ValidationError, msgspec.DecodeError):
        return None
    same = len(stored.ids) == len(stored.top_ids) == len(stored.top_logprobs)
    return stored if same and all(map(_same_length, stored.top_ids, stored.top_logprobs)) else None


def _same_length(ids: tuple[int, ...], logprobs: tuple[float, ...]) -> bool:
    return len(ids) == len(logprobs)


def _once(row: Row, said: set[str]) -> Row:
    """The row, refused where the same was said before."""
    if row.refused:
        return row
    what = digest("said", row.problem, (row.thinking or "").strip(), row.answer.strip())
    if what in said:
        return _refused(row.source, row.id, "said before")
    said.add(what)
    return row


def _key(question: str) -> str:
    return digest("question", question.split())


def _weight(
    values: dict[str, Any], source: TrainSource, name: str, rules: tuple[RowRule, ...], matched: set[str]
) -> float:
    """The source's weight times that of each rule that fits; `matched` learns which columns were there."""
    weight = source.weight
    for rule in rules:
        cells: list[Any] = []
        if rule.column in values:
            value = values[rule.column]
            cells += value if isinstance(value, list) else [value]
            matched.add(rule.column)
        if rule.column in ("source", "config"):
            cells += [name, source.path] if rule.column == "source" else [source.config]
            matched.add(rule.column)
        if rule.value in map(str, cells):
            weight *= rule.weight
    return weight


def _refused(source: str, id_: str, why: str) -> Row:
    return Row(id=id_, problem="", source=source, turns=(), thinking=None, answer="", refused=why)
