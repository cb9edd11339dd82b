"""One place that turns every way of answering into a trace.

`parse` is pure: a request, the stored body of its response, and how thinking was elicited. The body is
JSON, `{"kind", "prefill", "inserted", "forced_close", "replies"}`, where a reply is

- kind `openai`: the server's whole JSON (`choices[0].message`, `finish_reason`, `usage`);
- kinds `vllm` and `transformers`: `{"text", "finish_reason", "prompt_tokens", "completion_tokens"}`;
- kind `replay`: `{"message", "finish_reason"}` and, where known, `usage` or the two token counts.

Several replies are one completion under budget forcing (s1, arXiv 2501.19393): the text is
`prefill + reply 0 + inserted[0] + reply 1 …`, completion tokens add up, prompt tokens are the first's.

Where the thinking is looked for, first hit wins (`Trace.dialect`):

1. a field of the message: `reasoning_content`, `reasoning` (also Ollama's `thinking`),
   `reasoning_details` (OpenRouter's list), or parts of type `thinking` in a content list (`parts`).
   The content then stays as it is, but for a leading copy of the same thinking in tags, or a leading
   stray close tag. A field without content is a thinking that was cut: not closed.
2. gpt-oss `channels`, with their special tokens or as the words that are left without them.
3. inline `tags`: the recipe's, else another known spelling at the very start of the text.
4. `orphan`: a close tag without an open one (DeepSeek-R1's template writes the open tag itself).
5. `roles`: s1's `think` and `answer` lines.
6. `none`: all of it is the answer.

Rules for tags:

- An open tag counts at the start of a line, outside code. A prefill with the tag, or
  `elicit.prefilled`, has opened the thinking already; tags that open it again add nothing.
- The first close tag ends the thinking, unless it stands between backticks and another follows, or a
  second open tag inside the thinking has its own close tag on a line start later (nested blocks).
- After it a close tag is text. An open tag at the start of a line, outside code, starts one more
  block of thinking; what follows its close is answer again.
- A thinking that never closes has no answer, whatever was said before it.
- An empty block is a thinking (`thought`), with nothing in it.

Not covered: reasoning that the server encrypted, and tool calls.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tracegen.data import Request, Struct, Trace
from tracegen.errors import InfraError
from tracegen.recipe import Elicit
from tracegen.teachers import distribution

SPELLINGS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<Thought>", "</Thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
)
"""Tags of known models: DeepSeek and Qwen, Claude, Marco-o1, Seed-OSS, Magistral, Kimi."""

FIELDS = ("reasoning_content", "reasoning", "thinking")


class Body(msgspec.Struct):
    """What teachers store; see the module's docstring."""

    kind: str
    replies: list[dict[str, Any]]
    prefill: str = ""
    inserted: list[str] = []
    forced_close: bool = False
    tokenizer: str = ""


class Reply(Struct, frozen=True):
    """One raw reply, whatever it came from."""

    text: str
    field: str = ""
    """Name of the field that held the thinking; empty where none did."""
    reasoning: str = ""
    finish_reason: str = "unknown"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    thinking_tokens: int | None = None


class Split(Struct, frozen=True):
    """A text taken apart."""

    thinking: str
    answer: str
    closed: bool
    thought: bool
    dialect: str


def parse(request: Request, body: bytes, elicit: Elicit) -> Trace:
    """The trace in `body`.

    Raises InfraError where `body` is not JSON of the shape above: then the store is damaged, since
    teachers write nothing else. Whatever a model or a server said inside it is parsed, never refused.
    """
    try:
        stored = msgspec.json.decode(body, type=Body)
    except msgspec.DecodeError as error:
        raise InfraError(f"response {request.id}: the stored body cannot be read ({error})") from error
    replies = [_reply(reply) for reply in stored.replies]
    split = _split(stored, replies, elicit)
    return Trace(
        request=request.id,
        problem=request.problem,
        thinking=split.thinking.strip(),
        answer=split.answer.strip() if split.closed else "",
        closed=split.closed,
        thought=split.thought,
        dialect=split.dialect,
        finish_reason=replies[-1].finish_reason if replies else "unknown",
        forced_close=stored.forced_close,
        prompt_tokens=replies[0].prompt_tokens if replies else None,
        completion_tokens=_total([reply.completion_tokens for reply in replies]),
        thinking_tokens=_thinking_tokens(stored, replies, elicit),
        logprobs=distribution.stored(stored.tokenizer, stored.replies) if stored.tokenizer else None,
    )


# --- replies ---------------------------------------------------------------------------------------


def _reply(raw: dict[str, Any]) -> Reply:
    """A reply of any kind; what is missing or of another type is taken as not said."""
    choices = raw.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else raw
    choice = choice if isinstance(choice, dict) else {}
    usage = raw.get("usage")
    usage = usage if isinstance(usage, dict) else raw
    details = usage.get("completion_tokens_details")
    details = details if isinstance(details, dict) else usage
    message = choice.get("message")
    message = message if isinstance(message, dict) else {"content": choice.get("text")}
    field, reasoning = _reasoning(message)
    return Reply(
        text=_content(message),
        field=field,
        reasoning=reasoning,
        finish_reason=_text(choice.get("finish_reason")) or "unknown",
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        thinking_tokens=_first(
            [
                _count(details.get("reasoning_tokens")),
                _count(usage.get("reasoning_tokens")),
                _count(raw.get("thinking_tokens")),
            ]
        ),
    )


def _reasoning(message: dict[str, Any]) -> tuple[str, str]:
    """Name and text of the field that holds the thinking, or two empty strings."""
    for name in FIELDS:
        text = _text(message.get(name))
        if text.strip():
            return ("reasoning" if name == "thinking" else name), text
    details = _join(message.get("reasoning_details"), ("text", "summary"))
    if details.strip():
        return "reasoning_details", details
    content = message.get("content")
    parts = [part for part in content if _is_thinking(part)] if isinstance(content, list) else []
    thinking = "\n".join(_part(part) for part in parts)
    return ("parts", thinking) if thinking.strip() else ("", "")


def _content(message: dict[str, Any]) -> str:
    """The visible text: a string, or the text parts of a list; a refusal where there is no other."""
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(_part(part) for part in content if not _is_thinking(part))
    return _text(content) or _text(message.get("refusal"))


def _is_thinking(part: object) -> bool:
    return isinstance(part, dict) and part.get("type") in ("thinking", "reasoning")


def _part(part: object) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return ""
    return next(
        (text for key in ("text", "thinking", "content") if (text := _join(part.get(key), ("text",)))), ""
    )


def _join(value: object, keys: tuple[str, ...]) -> str:
    """A string, or the strings under the first of `keys` in each dictionary of a list."""
    if not isinstance(value, list):
        return _text(value)
    found = [item if isinstance(item, str) else _pick(item, keys) for item in value]
    return "\n".join(text for text in found if text)


def _pick(item: object, keys: tuple[str, ...]) -> str:
    if not isinstance(item, dict):
        return ""
    return next((text for key in keys if (text := _text(item.get(key)))), "")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _first(counts: list[int | None]) -> int | None:
    return next((count for count in counts if count is not None), None)


def _total(counts: list[int | None]) -> int | None:
    """The sum, or None where any is unknown: half a sum would be a wrong number."""
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None


def _thinking_tokens(body: Body, replies: list[Reply], elicit: Elicit) -> int | None:
    """As the server counted them; under budget forcing, the replies before the one that closed it."""
    if any(reply.thinking_tokens is not None for reply in replies):
        return _total([reply.thinking_tokens or 0 for reply in replies])
    closing = [index for index, text in enumerate(body.inserted) if elicit.close in text]
    if body.forced_close and closing:
        return _total([reply.completion_tokens for reply in replies[: closing[0] + 1]])
    return None


# --- where the thinking is -------------------------------------------------------------------------


def _split(body: Body, replies: list[Reply], elicit: Elicit) -> Split:
    field = next((reply.field for reply in replies if reply.field), "")
    if field and len(replies) == 1:
        return _from_field(field, replies[0].reasoning, replies[0].text, elicit)
    inserted = [*body.inserted, *[""] * len(replies)]
    texts = [_folded(reply, elicit) + inserted[index] for index, reply in enumerate(replies[:-1])]
    last = _folded(replies[-1], elicit) if replies else ""
    text = body.prefill + "".join(texts) + last
    split = split_text(text, elicit)
    return msgspec.structs.replace(split, dialect=field) if field else split


def _folded(reply: Reply, elicit: Elicit) -> str:
    """The text of one of several replies, its reasoning field put back inline."""
    if not reply.field:
        return reply.text
    return f"{elicit.open}\n{reply.reasoning}" + (f"\n{elicit.close}\n{reply.text}" if reply.text else "")


def _from_field(field: str, reasoning: str, content: str, elicit: Elicit) -> Split:
    thinking = reasoning.strip().removeprefix(elicit.open).removesuffix(elicit.close).strip()
    answer = content.strip()
    if answer.startswith(elicit.close):
        answer = answer.removeprefix(elicit.close)
    elif answer.startswith(elicit.open):
        inner = split_text(answer, elicit)
        if inner.closed and inner.thinking.split() in ([], thinking.split()):
            answer = inner.answer
    closed = bool(answer.strip())
    return Split(thinking=thinking, answer=answer, closed=closed, thought=True, dialect=field)


def split_text(text: str, elicit: Elicit) -> Split:
    """Thinking and answer in one text, by rules 2 to 6 of the module's docstring. Linear in the text."""
    for find in (_channels, _tags, _other_tags, _roles):
        split = find(text, elicit)
        if split is not None:
            return split
    return Split(thinking="", answer=text, closed=True, thought=False, dialect="none")


CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)[^<]*<\|message\|>")
CHANNEL_END = re.compile(r"<\|(?:end|start|channel|return|call)\|>")
BARE_CHANNEL = re.compile(r"\A\s*analysis(?=[A-Z]|.*?assistantfinal)", re.DOTALL)


def _channels(text: str, elicit: Elicit) -> Split | None:
    """gpt-oss (harmony): `analysis` and `commentary` are thinking, `final` is the answer."""
    starts = list(CHANNEL.finditer(text))
    if not starts:
        return _bare_channels(text)
    thinking, final = [], None
    for start in starts:
        end = CHANNEL_END.search(text, start.end())
        part = text[start.end() : end.start() if end else len(text)]
        if start[1] == "final":
            final = part
        else:
            thinking.append(part.strip())
    return Split(
        thinking="\n".join(thinking),
        answer=final or "",
        closed=final is not None,
        thought=bool(thinking),
        dialect="channels",
    )


def _bare_channels(text: str) -> Split | None:
    """The same after a tokenizer skipped the special tokens: `analysisWe need …assistantfinal5`."""
    if not BARE_CHANNEL.match(text):
        return None
    thinking, mark, answer = text.strip().removeprefix("analysis").rpartition("assistantfinal")
    if not mark:
        return Split(thinking=answer, answer="", closed=False, thought=True, dialect="channels")
    return Split(thinking=thinking, answer=answer, closed=True, thought=True, dialect="channels")


ROLES = re.compile(r"\A\s*(?:<\|im_start\|>)?think\n")
ANSWER_LINE = re.compile(r"^(?:<\|im_start\|>)?answer\n", re.MULTILINE)


def _roles(text: str, elicit: Elicit) -> Split | None:
    """s1: a line `think`, the thinking, a line `answer`, the answer."""
    start = ROLES.match(text)
    if start is None:
        return None
    end = ANSWER_LINE.search(text, start.end())
    thinking = text[start.end() : end.start() if end else len(text)]
    answer = text[end.end() :] if end else ""
    return Split(thinking=thinking, answer=answer, closed=end is not None, thought=True, dialect="roles")


# --- tags ------------------------------------------------------------------------------------------


def _other_tags(text: str, elicit: Elicit) -> Split | None:
    """Another model's spelling, which has to be the first thing said."""
    start = text.lstrip()
    for opening, closing in SPELLINGS:
        if opening != elicit.open and start.startswith(opening):
            return _tags(text, Elicit(open=opening, close=closing))
    return None


def _tags(text: str, elicit: Elicit) -> Split | None:
    marks = _marks(text, elicit)
    opened = elicit.prefilled or bool(marks and marks[0].opens and marks[0].counts)
    if opened:
        return _blocks(text, marks, elicit, opened=elicit.prefilled)
    orphan = next((mark for mark in marks if not mark.opens and mark.counts), None)
    first = next((mark for mark in marks if mark.opens and mark.counts), None)
    if orphan is not None and (first is None or orphan.start < first.start):
        split = _blocks(text, [mark for mark in marks if mark.start >= orphan.start], elicit, opened=True)
        return msgspec.structs.replace(split, dialect="orphan")
    if first is not None:
        return _blocks(text, [mark for mark in marks if mark.start >= first.start], elicit, opened=False)
    return None


class Mark(Struct, frozen=True):
    """A tag in a text."""

    start: int
    end: int
    opens: bool
    line_start: bool
    """Only white space precedes it on its line."""
    joined: bool
    """Only white space lies between it and the tag before, or the start of the text."""
    repeats: bool
    """It is an open tag joined to another open tag or to the start of the text."""
    quoted: bool
    """A backtick stands right before it."""
    fences: int
    """Number of ``` before it."""

    @property
    def counts(self) -> bool:
        """As a tag of a text that has not been thinking so far."""
        fenced = self.fences % 2 == 1
        if self.opens:
            return (self.line_start or self.joined) and not fenced
        return not self.quoted and (self.line_start or not fenced)


BLANK = 200
"""A tag after more white space than this on its line is not at the line's start; keeps the scan linear."""

NESTED = 64
"""Tags looked through for the close that balances nested blocks; keeps the scan linear."""


def _marks(text: str, elicit: Elicit) -> list[Mark]:
    tokens = re.compile("```|\n|" + re.escape(elicit.open) + "|" + re.escape(elicit.close))
    marks: list[Mark] = []
    fences = line = 0
    for token in tokens.finditer(text):
        if token[0] == "```":
            fences += 1
        elif token[0] == "\n":
            line = token.end()
        else:
            start, opens = token.start(), token[0] == elicit.open
            joined = not text[marks[-1].end if marks else 0 : start].strip()
            mark = Mark(
                start=start,
                end=token.end(),
                opens=opens,
                line_start=start - line <= BLANK and not text[line:start].strip(),
                joined=joined,
                repeats=opens and joined and (not marks or marks[-1].opens),
                quoted=text[start - 1 : start] == "`",
                fences=fences,
            )
            marks.append(mark)
    return marks


def _blocks(text: str, marks: list[Mark], elicit: Elicit, *, opened: bool) -> Split:
    """Blocks of thinking and what is outside them. `opened`: the text starts inside one."""
    thinking: list[str] = []
    outside: list[str] = []
    at = index = fences = 0
    while True:
        if not opened:
            while index < len(marks) and not _opens_block(marks[index], fences):
                index += 1
            if index == len(marks):
                outside.append(text[at:])
                return _pieces(thinking, outside, elicit, closed=True)
            outside.append(text[at : marks[index].start])
            at, index = marks[index].end, index + 1
        close = _close(marks, index)
        if close is None:
            thinking.append(text[at:])
            return _pieces(thinking, outside, elicit, closed=False)
        thinking.append(text[at : marks[close].start])
        at, index, fences, opened = marks[close].end, close + 1, marks[close].fences, False


def _opens_block(mark: Mark, fences: int) -> bool:
    """On a line of its own or right after the last block, and not in code that began since then."""
    in_code = mark.quoted or (mark.fences - fences) % 2 == 1
    return mark.opens and (mark.line_start or mark.joined) and not in_code


def _close(marks: list[Mark], index: int) -> int | None:
    """Which mark ends the thinking that is open at `index`; None where none does."""
    last = None
    for at in range(index, len(marks)):
        if not marks[at].opens:
            last = at
            if not marks[at].quoted:
                return _balanced(marks, index, at)
    return last


def _balanced(marks: list[Mark], index: int, first: int) -> int:
    """The close that matches where blocks are nested and each has its own; else the first one."""
    depth = 1
    for at in range(index, min(len(marks), index + NESTED)):
        mark = marks[at]
        if mark.opens and mark.line_start and not mark.repeats:
            depth += 1
        elif not mark.opens and not mark.quoted and (at == first or mark.line_start):
            depth -= 1
            if depth == 0:
                return at
    return first


def _pieces(thinking: list[str], outside: list[str], elicit: Elicit, *, closed: bool) -> Split:
    inner = re.compile(f"(?<!`)(?:{re.escape(elicit.open)}|{re.escape(elicit.close)})")
    texts = [inner.sub("", part).strip() for part in thinking]
    return Split(
        thinking="\n".join(text for text in texts if text),
        answer="".join(outside) if closed else "",
        closed=closed,
        thought=True,
        dialect="tags",
    )
