"""What the student's chat template makes of a turn, and the text that is trained on.

`Template` asks the template once, with made-up texts, where it puts the thinking, what it lets fall and
what it adds. From that it knows the separators of a turn, and every row is then put together from parts:
what the generation prompt supplies, then thinking and answer with their delimiters. So the prompt is a
prefix of the text whatever the template does, and the text is what the student will see when it is served.
Where the template itself renders a row otherwise, the row says so.

Of earlier turns the thinking is handed to the template as `reasoning_content`, as a server's clients hand
it back: most templates leave it out. Not covered: tools, images, templates that need either.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from tracegen.data import Struct
from tracegen.errors import UserError
from tracegen.student import Region, Train
from tracegen.train.sources import Row, Turn

Way = Literal["field", "inline", "parts"]
"""How the template is given a turn's thinking: as `reasoning_content`, between tags in the content, or not at
all, because it loses or doubles it either way."""
Fate = Literal["kept", "lost", "doubled", "not_a_continuation", "as_text", "refused"]
"""What a template does with thinking. not_a_continuation: kept, but the text does not begin with the
generation prompt; as_text: put into the answer's channel."""

QUESTION, THINKING, ANSWER, EARLIER = "Qx7fq", "Tx7fq", "Ax7fq", "Ex7fq"
"""Made-up texts that no template changes."""


class Rendered(Struct, frozen=True):
    """A turn as text, in its parts; their concatenation is what is tokenised."""

    prompt: str
    """Everything that the generation prompt supplies, an open tag or empty block included."""
    open: str
    think: str
    close: str
    answer: str
    eot: str
    empty: bool
    """There is no thinking: what stands in `open` and `close` is a block that the template inserts."""
    faithful: bool = True
    """The template itself renders the same text."""

    @property
    def parts(self) -> tuple[tuple[Region, str], ...]:
        """Region and text, in order."""
        return (
            ("prompt", self.prompt),
            ("open", self.open),
            ("think", self.think),
            ("close", self.close),
            ("answer", self.answer),
            ("eot", self.eot),
        )

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.parts)


class Treatment(Struct, frozen=True):
    """What a chat template does: for the checks before training, and for the reader."""

    way: Way
    """How rows are given to it; `parts` where it would lose or double their thinking."""
    inline: Fate
    """… with thinking that stands between tags in the content."""
    field: Fate
    """… with thinking in `reasoning_content`."""
    same: bool
    """Both keep the thinking and give the same text; if both keep it and this is False, one re-encodes it."""
    history: Literal["stripped", "kept", "refused"]
    """… with the thinking of earlier turns."""
    supplies: Literal["nothing", "open", "empty_block"]
    """What of the thinking is in the generation prompt. After an empty block no thinking can be trained."""
    inserts: str
    """What it puts before an answer without thinking, of what the generation prompt does not supply."""
    no_thinking: Literal["continuation", "not_a_continuation", "refused"]
    """Whether a row without thinking continues the generation prompt."""
    channels: bool
    """Thinking has a channel of its own rather than tags (gpt-oss)."""
    open: str
    """Delimiters of a turn as they are trained: before the thinking …"""
    close: str
    """… between thinking and answer …"""
    empty: str
    """… in place of both, where there is no thinking …"""
    eot: str
    """… and after the answer."""
    generation: str
    """What the generation prompt adds after the user's turn."""


class _Seen(Struct, frozen=True):
    """A made-up turn as the template renders it, after the generation prompt."""

    fate: Fate
    before: str = ""
    between: str = ""


class Template:
    """The student's chat template with the options that it is served with.

    Raises UserError where there is no template, or it fails on a single question.
    """

    def __init__(self, tokenizer: Any, train: Train, options: dict[str, bool | str] | None = None) -> None:
        self._tokenizer = tokenizer
        self._options = {**train.template_options, **(options or {})}
        self._open, self._close = train.open, train.close
        if not getattr(tokenizer, "chat_template", None):
            raise UserError(
                f"model {train.model!r}: its tokenizer has no chat template - give one as train.template"
            )
        self._special = _delimiters(tokenizer)
        self._form = _normal_form(tokenizer)
        self.treatment = self._probe()

    def prompt(self, turns: Sequence[Turn]) -> str:
        """The generation prompt after `turns`: what a server would send. Raises UserError if it refuses."""
        return self._normal(self._apply([self._message(turn) for turn in turns], generation=True))

    def render(self, row: Row) -> Rendered:
        """The row's trained turn. Raises UserError where the template refuses the row."""
        seen = self.treatment
        thinking, answer = self._normal((row.thinking or "").strip()), self._normal(row.answer.strip())
        empty = not thinking
        rendered = Rendered(
            prompt=self.prompt(row.turns),
            open=self._opened(seen.empty)[0] if empty else seen.open,
            think=thinking,
            close=self._opened(seen.empty)[1] if empty else seen.close,
            answer=answer,
            eot=seen.eot,
            empty=empty,
        )
        return msgspec.structs.replace(rendered, faithful=self._faithful(row, rendered))

    def _opened(self, block: str) -> tuple[str, str]:
        """An empty block in its open and its close part."""
        head, tag, tail = block.partition(self._open)
        return (head + tag, tail) if tag else ("", block)

    def forbidden(self, text: str) -> str:
        """The first special token or tag in a model's text, which would act as a delimiter; else empty."""
        found = self._delimiter.search(text)
        return found.group() if found else ""

    # --- asking the template

    def _probe(self) -> Treatment:
        try:
            prompt = self._apply([_turn("user", QUESTION)], generation=True)
        except UserError as error:
            raise UserError(f"{error} - mend train.template_options or give another train.template") from None
        generation = prompt.rpartition(QUESTION)[2]
        inline = self._see(prompt, self._inline(THINKING, ANSWER))
        field = self._see(prompt, _field(THINKING, ANSWER))
        plain = self._see(prompt, _turn("assistant", ANSWER))
        supplies = self._supplies(generation)
        way: Way = "field" if field.fate == "kept" else "inline" if inline.fate == "kept" else "parts"
        kept = {"field": field, "inline": inline, "parts": self._parts(supplies)}[way]
        empty = self._empty(plain, kept, supplies)
        channels = way == "field" and self._close not in kept.between
        tags = () if channels else (self._open, self._close)
        names = sorted(filter(None, {*self._special, *tags}), key=len, reverse=True)
        self._delimiter = re.compile("|".join(map(re.escape, names)) or r"(?!)")
        return Treatment(
            way=way,
            inline=inline.fate,
            field=field.fate,
            same=inline == field and inline.fate == "kept",
            history=self._history(),
            supplies=supplies,
            inserts=plain.before if plain.fate == "kept" else "",
            no_thinking=_no_thinking(plain.fate),
            channels=channels,
            open=kept.before,
            close=kept.between,
            empty=empty,
            eot=self._end(prompt),
            generation=generation,
        )

    def _see(self, prompt: str, turn: dict[str, str]) -> _Seen:
        """What becomes of an assistant's turn whose thinking, if any, is THINKING."""
        try:
            full = self._apply([_turn("user", QUESTION), turn])
        except UserError:
            return _Seen("refused")
        thinks = turn["content"] != ANSWER or "reasoning_content" in turn
        reply = full.rpartition(QUESTION)[2]
        if thinks and THINKING not in reply:
            return _Seen("lost")
        if not full.startswith(prompt):
            return _Seen("not_a_continuation")
        rest = full[len(prompt) :]
        if not thinks:
            return _Seen("kept", before=rest.partition(ANSWER)[0])
        before, _, after = rest.partition(THINKING)
        between = after.partition(ANSWER)[0]
        blocks = (prompt.rpartition(QUESTION)[2] + before).count(self._close) + rest.count(THINKING) - 1
        if blocks:
            return _Seen("doubled", before, between)
        if turn["content"] != ANSWER and self._enters_a_channel(before):
            return _Seen("as_text", before, between)
        return _Seen("kept", before, between)

    def _enters_a_channel(self, before: str) -> bool:
        """A special token that is no tag comes before the inline thinking: it is text of the answer."""
        return any(token in before for token in self._special if token not in (self._open, self._close))

    def _parts(self, supplies: str) -> _Seen:
        """The delimiters of a turn for a template that shows none."""
        return _Seen("kept", "" if supplies == "open" else f"{self._open}\n", f"\n{self._close}\n\n")

    def _supplies(self, generation: str) -> Literal["nothing", "open", "empty_block"]:
        if self._open not in generation:
            return "nothing"
        return "empty_block" if self._close in generation else "open"

    def _empty(self, plain: _Seen, kept: _Seen, supplies: str) -> str:
        """What stands between the generation prompt and an answer without thinking."""
        if plain.fate == "kept":
            return plain.before
        return kept.between if supplies == "open" else ""

    def _history(self) -> Literal["stripped", "kept", "refused"]:
        turns = [_turn("user", QUESTION), _field(EARLIER, ANSWER), _turn("user", QUESTION)]
        try:
            return "kept" if EARLIER in self._apply(turns, generation=True) else "stripped"
        except UserError:
            return "refused"

    def _end(self, prompt: str) -> str:
        """The text up to the first special token after the answer: at the end, or before a next question."""
        asked, answered = _turn("user", QUESTION), _turn("assistant", ANSWER)
        for turns in ([asked, answered], [asked, answered, asked]):
            try:
                tail = self._apply(turns).partition(ANSWER)[2]
            except UserError:
                continue
            ends = [tail.find(token) + len(token) for token in self._special if token in tail]
            if ends:
                return tail[: min(ends)]
        return str(self._tokenizer.eos_token or "")

    def _faithful(self, row: Row, rendered: Rendered) -> bool:
        """The template's own text of the row is ours, as far as the answer reaches."""
        turn = _turn("assistant", rendered.answer)
        if not rendered.empty:
            if self.treatment.way == "parts":
                return False
            given = _field if self.treatment.way == "field" else self._inline
            turn = given(rendered.think, rendered.answer)
        try:
            full = self._normal(self._apply([*map(self._message, row.turns), turn]))
        except UserError:
            return False
        return full.startswith(rendered.text.removesuffix(rendered.eot))

    def _inline(self, thinking: str, answer: str) -> dict[str, str]:
        return _turn("assistant", f"{self._open}\n{thinking}\n{self._close}\n\n{answer}")

    def _message(self, turn: Turn) -> dict[str, str]:
        if turn.role == "assistant" and turn.thinking:
            return _field(turn.thinking, turn.content)
        return _turn(turn.role, turn.content)

    def _apply(self, messages: list[dict[str, str]], *, generation: bool = False) -> str:
        from jinja2.exceptions import TemplateError

        try:
            return str(
                self._tokenizer.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=generation, **self._options
                )
            )
        except (TemplateError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UserError(f"chat template: {first}") from None

    def _normal(self, text: str) -> str:
        """The text in the Unicode form that the tokenizer gives back."""
        return unicodedata.normalize(self._form, text) if self._form else text


def load_tokenizer(train: Train, base: Path = Path()) -> Any:
    """The student's tokenizer with the chat template that it is trained with; its weights are not loaded.

    Raises UserError where the model, the tokenizer or the template file is not there, or the tokenizer
    cannot say where in the text its tokens stand.
    """
    from transformers import AutoTokenizer

    from tracegen.teachers import weights

    folder = weights.resolve(train.model, train.revision, base, tokenizer_only=True)
    try:
        with weights.quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder)
    except Exception as error:  # transformers raises whatever its parsers do
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"model {train.model!r}: its tokenizer cannot be loaded: {first}") from None
    if not getattr(tokenizer, "is_fast", False):
        raise UserError(
            f"model {train.model!r}: its tokenizer is a slow one, which cannot say where its tokens stand"
            " - take a model that ships tokenizer.json"
        )
    if train.template:
        try:
            tokenizer.chat_template = (base / train.template).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"train.template: {train.template}: cannot be read: {error}") from None
    return tokenizer


def _delimiters(tokenizer: Any) -> tuple[str, ...]:
    """Added tokens that delimit: the special ones, and others that the chat template writes (DeepSeek's
    `<｜User｜>`, tags of the thinking)."""
    template = str(tokenizer.chat_template)
    added = tokenizer.added_tokens_decoder.values()
    return tuple(sorted({str(one.content) for one in added if one.special or one.content in template}))


def _normal_form(tokenizer: Any) -> Literal["NFC", "NFKC"] | None:
    """The Unicode form that the tokenizer brings its text into, if it does."""
    state = msgspec.json.decode(tokenizer.backend_tokenizer.to_str())["normalizer"] or {}
    kinds = {state.get("type"), *(one.get("type") for one in state.get("normalizers") or ())}
    return "NFKC" if "NFKC" in kinds else "NFC" if "NFC" in kinds else None


def _no_thinking(fate: Fate) -> Literal["continuation", "not_a_continuation", "refused"]:
    if fate == "refused":
        return "refused"
    return "continuation" if fate == "kept" else "not_a_continuation"


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _field(thinking: str, answer: str) -> dict[str, str]:
    """A turn as servers return it; gpt-oss reads `thinking`."""
    return {**_turn("assistant", answer), "reasoning_content": thinking, "thinking": thinking}
