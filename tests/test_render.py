"""A chat template …"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests import students
from tracegen.errors import UserError
from tracegen.teachers import weights
from tracegen.train.render import Template, load_tokenizer
from tracegen.train.sources import Row, Turn

CASES = students.cases()


def template(name: str, **changes: Any) -> Template:
    return Template(students.tokenizer(name), students.train(**changes))


def with_template(name: str, text: str, **changes: Any) -> Template:
    import copy

    tokenizer = copy.copy(students.tokenizer(name))
    tokenizer.chat_template = text
    return Template(tokenizer, students.train(**changes))


def second_turn() -> Row:
    turns = (
        Turn("user", "What is 12?"),
        Turn("assistant", "A dozen.", thinking="EARLIER"),
        Turn("user", "Half?"),
    )
    return students.row(turns=turns, thinking="Six.", answer="6")


@pytest.mark.parametrize("name", CASES)
def test_is_known_by_what_it_does(name: str) -> None:
    assert msgspec.to_builtins(template(name).treatment) == CASES[name].treatment


@pytest.mark.parametrize("name", CASES)
def test_supplies_a_prompt_that_begins_the_text(name: str) -> None:
    options = {"enable_thinking": True} if name == "qwen3_5_nothink" else {}
    made = template(name, template_options=options)
    for row in (students.row(), students.row(thinking=None), second_turn()):
        rendered = made.render(row)
        assert rendered.prompt == made.prompt(row.turns)
        assert rendered.text.startswith(rendered.prompt)
        assert rendered.text.endswith(f"{row.answer}{rendered.eot}")
        assert rendered.text.count(str(row.thinking)) == (row.thinking is not None)


@pytest.mark.parametrize("name", CASES)
def test_renders_the_same_text_unless_it_is_known_to_lose_it(name: str) -> None:
    options = {"enable_thinking": True} if name == "qwen3_5_nothink" else {}
    made = template(name, template_options=options)
    assert made.render(students.row()).faithful == (made.treatment.way != "parts")
    assert made.render(students.row(thinking=None)).faithful == (made.treatment.no_thinking == "continuation")


@pytest.mark.parametrize("name", CASES)
def test_has_the_thinking_of_earlier_turns_as_served(name: str) -> None:
    prompt = template(name).render(second_turn()).prompt
    assert ("EARLIER" in prompt) == (CASES[name].treatment["history"] == "kept")
    assert "A dozen." in prompt


def test_is_switched_by_its_options() -> None:
    assert template("qwen3_5_nothink").treatment.supplies == "empty_block"
    assert (
        template("qwen3_5_nothink", template_options={"enable_thinking": True}).treatment.supplies == "open"
    )
    assert template("qwen3", template_options={"enable_thinking": False}).treatment.supplies == "empty_block"


def test_takes_other_tags() -> None:
    made = template("smollm2", open="<reasoning>", close="</reasoning>")
    rendered = made.render(students.row(thinking="T", answer="A"))
    assert (rendered.open, rendered.close) == ("<reasoning>\n", "\n</reasoning>\n\n")


THINK_FIRST = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)


def test_may_open_the_thinking_and_know_nothing_of_it_otherwise() -> None:
    made = with_template("smollm2", THINK_FIRST)
    assert made.treatment.supplies == "open"
    rendered = made.render(students.row(thinking="T", answer="A"))
    assert rendered.text.endswith("<|im_start|>assistant\n<think>\nT\n</think>\n\nA<|im_end|>")
    assert rendered.open == ""
    bare = made.render(students.row(thinking=None, answer="A"))
    assert bare.text.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\nA<|im_end|>")
    assert bare.close == "\n</think>\n\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no chat template - give one as train.template"),
        ("{{ raise_exception('tools only') }}", "chat template: tools only - mend"),
        ("{% for m in %}", "chat template: "),
        ("{{ messages[5].content }}", "chat template: "),
    ],
)
def test_that_fails_is_refused_in_a_line(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        with_template("smollm2", text)
    assert "\n" not in str(caught.value)


def test_that_refuses_a_system_turn_refuses_only_such_rows() -> None:
    strict = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + THINK_FIRST
    )
    made = with_template("smollm2", strict)
    assert made.render(students.row()).text
    with pytest.raises(UserError, match="no system"):
        made.render(students.row(turns=(Turn("system", "Be brief."), Turn("user", "Hi"))))


@pytest.mark.parametrize("name", ["qwen3", "deepseekv3", "gptoss"])
def test_knows_its_delimiters(name: str) -> None:
    made = template(name)
    assert made.forbidden("x < y and y > z\n<b>") == ""
    assert made.forbidden(f"a {made.treatment.eot}") == made.treatment.eot


def test_is_read_with_the_tokenizer_and_without_weights(tmp_path: Path) -> None:
    students.tokenizer("qwen3").save_pretrained(tmp_path / "student")
    (tmp_path / "own.jinja").write_text(THINK_FIRST)
    tokenizer = load_tokenizer(students.train(model="student"), tmp_path)
    assert tokenizer.chat_template == students.tokenizer("qwen3").chat_template
    own = load_tokenizer(students.train(model="student", template="own.jinja"), tmp_path)
    assert own.chat_template == THINK_FIRST
    with pytest.raises(UserError, match=r"train\.template: none\.jinja: cannot be read"):
        load_tokenizer(students.train(model="student", template="none.jinja"), tmp_path)


def test_needs_a_tokenizer_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such directory"):
        load_tokenizer(students.train(model="absent"), tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="its tokenizer cannot be loaded"):
        load_tokenizer(students.train(model="empty"), tmp_path)


@pytest.mark.model
def test_of_the_demo_model_cuts_like_its_fixture() -> None:
    train = students.train(model=weights.SMOLLM2)
    whole = load_tokenizer(train)
    text = Template(whole, train).render(students.row()).text
    cut = students.tokenizer("smollm2")
    assert whole.convert_ids_to_tokens(whole(text)["input_ids"]) == cut.convert_ids_to_tokens(
        cut(text)["input_ids"]
    )
