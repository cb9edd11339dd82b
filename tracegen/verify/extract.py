"""The final answer in a text that follows the closed thinking, and the rule that found it.

`final_answer` scans once for braces and once for each kind of phrase; it takes linear time and never
evaluates anything. Rules, first hit wins; the name of the rule is returned beside the answer:

`answer_tag`    `<answer>…</answer>` or `<output>…</output>`, the last one, with or without its closing
                tag; a box inside it wins over the rest of it.
`boxed`         `\\boxed{…}` (also `\\fbox`, `\\framebox`, `\\boxed 5`), braces matched by count, the
                last one that is neither empty nor demoted. A box is demoted
                - in a parenthesis that opens after an earlier box: `\\boxed{5} (not \\boxed{7})` is 5;
                - after a word of contrast in its sentence (not, instead of, rather than, would …):
                  `\\boxed{5}, not \\boxed{7}` is 5;
                - in a remark after an earlier box: `\\boxed{5}. Note that … \\boxed{7}` is 5.
                A correction wins by being last: `\\boxed{3}. Wait … \\boxed{5}` is 5.
`boxes`         boxes in one sentence with only commas, `and`, `or` or a few words ending in them
                between: `\\boxed{1} and \\boxed{-2}` is `1, -2`; so are `x = \\boxed{1}, y = \\boxed{-2}`.
                Equal neighbours count once.
`hash`          `#### 5`.
`phrase`        `**Answer:** 5`, `Final answer: 5`, `The answer is 5.`, `The correct option is (B)`, the
                last one, also as other languages say it (`答案是 5`, `Die Antwort ist 5`), and
                `"answer": "5"` of JSON; the value is the rest of the line or sentence, or the next line.
                Inside, the last formula of a sentence of prose is taken.
`whole`         the text is one short line: `5`, `East`, `x = 3`.
`bold`          the last `**…**` of the last paragraph, if it is not a heading.
`reply`         `Yes` or `No` that begins a last paragraph without numbers.
`math`          the last formula of the last paragraph that has one, or several joined by `and`. Weak.
`last_number`   of the last sentence's numbers the one that is the last result computed (`… = 75`), else the
                last number outside parentheses, else the last number. Weak.
`none`          nothing of the kind; the answer is empty.
`unclosed_box`  the last box never closes (the text was cut) and nothing before it is a final answer.

A phrase never overrides a box: the box is what prompts ask for. Tidying: Markdown emphasis, `$`, a
full stop, and asides such as `, where …` or `(out of 12)` are cut from phrases and sentences, never
from boxes.
"""

from __future__ import annotations

import re

from tracegen.data import Struct
from tracegen.verify.phrasing import ENDING, FOREIGN, PHRASE, POLITE, QUOTED

WEAK = frozenset({"math", "last_number"})
"""Rules that guess; verdicts that rest on them have weak trust."""

MAX_ANSWER = 20_000
"""Characters of an answer that is handed on; what is longer is no final answer."""


SPECIAL = re.compile(r"(?:\s*(?:<\|[a-z_]{2,20}\|>|</s>)(?:user|assistant|system)?)+\s*\Z", re.IGNORECASE)
"""Tokens of chat templates that a server left at the end."""


def final_answer(text: str) -> tuple[str, str]:
    """The answer and the name of the rule, such as `("5", "boxed")`; `("", "none")` where there is none."""
    end = SPECIAL.search(text, max(0, len(text) - 200))
    answer, rule = _find(text[: end.start()] if end else text)
    return (answer, rule) if len(answer) <= MAX_ANSWER else ("", "none")


def _find(text: str) -> tuple[str, str]:
    tagged = _tagged(text)
    if tagged:
        inner = _boxes(tagged)
        return (inner[0], "answer_tag") if inner[1] in ("boxed", "boxes") else (tidy(tagged), "answer_tag")
    answer, rule = _boxes(text)
    if rule in ("boxed", "boxes"):
        return answer, rule
    before = text[: _cut(text)] if rule == "unclosed_box" else text
    for find, name in ((_hash, "hash"), (_phrase, "phrase")):
        if found := find(before):
            return found, name
    if rule == "unclosed_box":
        return "", rule
    text = _without_courtesies(text)
    for find, name in FINDERS:
        if found := find(text):
            return found, name
    return "", "none"


def _without_courtesies(text: str) -> str:
    """Without closing paragraphs such as `Let me know if …`."""
    paragraphs = re.split(r"\n\s*\n", text.rstrip()[-20_000:])
    while len(paragraphs) > 1 and POLITE.match(paragraphs[-1]):
        paragraphs.pop()
    return "\n\n".join(paragraphs)


# --- tags ------------------------------------------------------------------------------------------

TAG = re.compile(r"<(/?)(?:answer|output)>", re.IGNORECASE)


def _tagged(text: str) -> str:
    """What the last non-empty answer tag holds."""
    tags = list(TAG.finditer(text))
    for index in range(len(tags) - 1, -1, -1):
        if not tags[index][1]:
            end = tags[index + 1].start() if index + 1 < len(tags) else len(text)
            inside = text[tags[index].end() : end].strip()
            if inside:
                return inside
    return ""


# --- boxes -----------------------------------------------------------------------------------------

BOX = re.compile(
    r"(?:\\(?:boxed|fbox|framebox)|\x08oxed|(?<![A-Za-z\\])boxed)(?![A-Za-z])\s{0,9}(\{|\[[^\]]{0,20}\]\{|[^\s{}$\\])?"
)
SENTENCE_END = re.compile(r"[.!?][\s*_$)\]\\]*\s|\n\s*\n")
CONTRAST = re.compile(
    r"\b(?:not|isn't|wasn't|never|instead of|rather than|wrong|incorrect(?:ly)?|mistaken(?:ly)?|would|"
    r"unlike|compared (?:to|with)|different from|if)\b",
    re.IGNORECASE,
)
REMARK = re.compile(
    r"(?:^|[.!?)\n]|\$|\\[\])])[\s*_(\[]*(?:note|remark|n\.?b\.?|caution|aside|by the way|for comparison|"
    r"for reference|had we|if we|if you|if the|were we|a common mistake|common mistake)\b",
    re.IGNORECASE,
)
JOINER = re.compile(
    r"(?:[\s,;:&$.]|\\[\s,;:!()\[\]]|\\q?quad|\\(?:text|mbox|mathrm|textrm)\s*\{[^{}]{0,60}\}|[*_]|and|or|~)*",
)
NAMED_NEXT = re.compile(r"([,;\s])\$?\s*[A-Za-z](?:_\{?\w\}?)?\s*=\s*\$?\s*\Z")
"""The name of the next part, as in `x = \\boxed{1}, y = \\boxed{2}`."""
WORDS_BETWEEN = 60
"""Characters between two boxes that still make one list of answers."""


class Box(Struct, frozen=True):
    """A box in a text: where it starts and ends, and what is inside."""

    start: int
    end: int
    inside: str


def _boxes(text: str) -> tuple[str, str]:
    boxes, unclosed = find_boxes(text)
    boxes = [box for box in boxes if box.inside]
    if unclosed and not boxes:
        return "", "unclosed_box"
    if not boxes:
        return "", "none"
    kept = _without_demoted(text, boxes)
    last = len(kept) - 1
    first = last
    while first > 0 and _joined(text[kept[first - 1].end : kept[first].start]):
        first -= 1
    parts: list[str] = []
    for box in kept[first:]:
        if not parts or parts[-1] != box.inside:
            parts.append(box.inside)
    return (parts[0], "boxed") if len(parts) == 1 else (", ".join(parts), "boxes")


def find_boxes(text: str) -> tuple[list[Box], bool]:
    """Every outermost box in order, and whether the last one is cut off. Linear."""
    ends = _braces(text)
    boxes: list[Box] = []
    unclosed = False
    at = 0
    while start := BOX.search(text, at):
        at = start.end()
        mark = start[1]
        if mark is None:
            unclosed = text.startswith("\\", start.start()) and not text[start.end() :].strip()
        elif mark.endswith("{"):
            end = ends.get(start.end() - 1)
            open_ = _UP_TO_A_DELIMITER.match(text, start.end()) if end is None else None
            unclosed = end is None and open_ is None
            if open_ is not None:  # a brace was forgotten: the formula ends the box
                boxes.append(Box(start=start.start(), end=open_.end(), inside=open_[0].strip()))
                at = open_.end()
            if end is not None:
                boxes.append(Box(start=start.start(), end=end + 1, inside=text[start.end() : end].strip()))
                at = end + 1
        elif text[start.start()] == "\\":
            word = re.compile(r"[-\w.]{1,40}").match(text, start.end() - 1)
            inside = word[0].rstrip(".") if word else ""
            boxes.append(Box(start=start.start(), end=start.end() - 1 + len(inside), inside=inside))
    return boxes, unclosed


_UP_TO_A_DELIMITER = re.compile(r"[^{}$\n]{0,200}(?:\{[^{}$\n]{0,200}\}[^{}$\n]{0,200}){0,9}(?=\$|\\[)\]])")


def _braces(text: str) -> dict[int, int]:
    """Where each `{` closes; escaped braces do not count."""
    ends: dict[int, int] = {}
    stack: list[int] = []
    for match in re.finditer(r"\\.|[{}]", text, re.DOTALL):
        if match[0] == "{":
            stack.append(match.start())
        elif match[0] == "}" and stack:
            ends[stack.pop()] = match.start()
    return ends


def _without_demoted(text: str, boxes: list[Box]) -> list[Box]:
    kept = boxes[:1]
    for box in boxes[1:]:
        between = text[kept[-1].end : box.start]
        if len(between) > 2000:
            between = between[-2000:]
        if not _demoted(between):
            kept.append(box)
    return kept


def _demoted(between: str) -> bool:
    """Whether the text between an accepted box and the next says that the next is not the answer."""
    if between.count("(") > between.count(")") + between.count("\\("):
        return True
    sentences = SENTENCE_END.split(between)
    return bool(CONTRAST.search(sentences[-1])) or bool(REMARK.search(between))


def _joined(between: str) -> bool:
    """Whether two boxes are parts of one answer."""
    if len(between) > WORDS_BETWEEN or "\n\n" in between:
        return False
    if JOINER.fullmatch(NAMED_NEXT.sub(r"\1", between)):
        return True
    plain = re.sub(r"\\(?:text|mbox|mathrm)\s*\{([^{}]*)\}|[\\$()*_]", r"\1 ", between)
    words = plain.replace(",", " , ").split()
    return len(words) <= 8 and "." not in plain and any(word in ("and", "or") for word in words)


def _cut(text: str) -> int:
    """Where the last box starts."""
    return max((match.start() for match in BOX.finditer(text)), default=len(text))


# --- phrases ---------------------------------------------------------------------------------------

HASH = re.compile(r"^[ \t]*#{4}[ \t]*(\S[^\n]*)", re.MULTILINE)


def _hash(text: str) -> str:
    found = HASH.findall(text)
    return tidy(found[-1]) if found else ""


def _phrase(text: str) -> str:
    """The value after the last phrase that has one."""
    found = sorted([*PHRASE.finditer(text), *FOREIGN.finditer(text)], key=lambda match: match.end())
    for match in reversed(found):
        value = _value(text[match.end() : match.end() + 4000])
        if value:
            return value
    quoted = list(QUOTED.finditer(text))
    return tidy(quoted[-1][1] or quoted[-1][2]) if quoted else ""


def _value(rest: str) -> str:
    rest = BULLET.sub("", rest).lstrip(" \t\n}")
    displayed = re.match(r"(?:\\\[|\$\$)(.{1,2000}?)(?:\\\]|\$\$)", rest, re.DOTALL)
    if displayed:
        return tidy(displayed[1])
    line = rest.partition("\n")[0].strip()
    return tidy(_sentence(line)) if re.search(r"[\w\\$∞∅]", line) else ""


BULLET = re.compile(r"\A\s*\n\s*[-•*]\s+(?=[^\s*])")


def _sentence(line: str) -> str:
    """Up to the first full stop that ends a sentence, outside formulas."""
    depth = 0
    for match in re.finditer(r"\\[({\[]|\\[)}\]]|[{}$]|[.!?](?=\s+[A-Z*\"]|\s*$)|。", line):
        token = match[0]
        if token in ("$",):
            depth = 0 if depth else 1
        elif token in ("{", "\\(", "\\[", "\\{"):
            depth += 1
        elif token in ("}", "\\)", "\\]", "\\}"):
            depth = max(0, depth - 1)
        elif not depth:
            return line[: match.start()]
    return line


# --- without a mark --------------------------------------------------------------------------------

BOLD = re.compile(r"\*\*([^*\n]{1,300}?)\*\*")
FORMULA = re.compile(
    r"\$\$([^$]{1,2000})\$\$|\$([^$\n]{1,2000})\$|\\\((.{1,2000}?)\\\)|\\\[(.{1,2000}?)\\\]", re.DOTALL
)
NUMBER = re.compile(
    r"(?<![\w.])[-−+]?[$€£¥]?\d+(?:,\d{3})*(?:\.\d+)?(?:\s?/\s?\d+(?:\.\d+)?)?(?:\s?\\?%)?|(?<![\w.])[-−]?\.\d+"
)
WHOLE = 80


def _whole(text: str) -> str:
    if len(text) > 4 * WHOLE:
        return ""
    value = unwrap(ASIDE.sub("", text.strip()))
    if not value or len(value) > WHOLE or "\n" in value or "**" in value or FORMULA.search(value):
        return ""
    return "" if _is_prose(value) or len(value.split()) > 8 or value.endswith(":") else value


def _last_paragraph(text: str) -> str:
    return text.rstrip().rpartition("\n\n")[2][-4000:]


def _bold(text: str) -> str:
    found = [bold.strip() for bold in BOLD.findall(_last_paragraph(text))]
    values = [
        bold for bold in found if not bold.endswith(":") and not bold.lower().startswith(("step", "note"))
    ]
    return tidy(values[-1]) if values else ""


def _math(text: str) -> str:
    tail = text[-4000:]
    found = [next(part for part in match.groups() if part is not None) for match in FORMULA.finditer(tail)]
    if not found or NUMBER.search(tail, tail.rfind(found[-1]) + len(found[-1])):
        return ""
    several = SEVERAL.search(tail.rstrip(" .*\n"))
    if several:
        parts = [
            next(part for part in match.groups() if part is not None)
            for match in FORMULA.finditer(several[0])
        ]
        return ", ".join(tidy(part) for part in parts)
    return tidy(last_side(found[-1]))


SEVERAL = re.compile(r"\$[^$\n]{1,200}\$(?:(?:,|,? (?:and|or)) \$[^$\n]{1,200}\$){1,9}\Z")
"""Formulas joined by commas and words, at the end."""


def _reply(text: str) -> str:
    """`Yes` of `Yes, this is always true.`"""
    paragraph = _last_paragraph(text)
    found = re.match(r"\W{0,4}(yes|no)\b[,.!:;]", paragraph, re.IGNORECASE)
    return found[1] if found and not re.search(r"\d|\$|\\\(", paragraph) else ""


def last_side(formula: str) -> str:
    """The right side of a chain of equations, the formula itself where it is none."""
    right = formula.rpartition("=")[2]
    return right.strip() if right.strip() and not formula.rstrip().endswith("=") else formula.strip()


def _last_number(text: str) -> str:
    tail = text[-20_000:]
    pair = PAIR.search(tail)
    if pair:
        return pair[1]
    outside = NUMBER.findall(re.sub(r"(?<!\\)\([^()]{0,200}\)", " ", tail))
    found = outside or NUMBER.findall(tail)
    if not found:
        return ""
    return (_restated(tail) or found[-1]).strip().lstrip("+")


PAIR = re.compile(r"(\((?:\s*-?\d[\d./]*\s*,){1,4}\s*-?\d[\d./]*\s*\))[.*\s]*\Z")
"""A point at the end."""
RESULT = re.compile(r"(?:=|\\approx|≈)[\s\\({$]*(?:\$|\\text\{)?\s*(-?\d[\d,]*(?:\.\d+)?)")


def _restated(text: str) -> str:
    """The number of the last sentence that is also the last result computed.

    `= \\$75 … Therefore, Terry spends $75.00 in 30 days.` is 75.00, not 30.
    """
    sentence = re.split(r"(?<=[.!?])\s+(?=[A-Z])|\n", text.rstrip())[-1]
    numbers = list(dict.fromkeys(NUMBER.findall(sentence)))
    if len(numbers) < 2:
        return ""
    results = RESULT.findall(sentence) or RESULT.findall(text[: len(text.rstrip()) - len(sentence)])
    same = [number for number in numbers if results and _digits(number) == _digits(results[-1])]
    return str(same[-1]) if same else ""


def _digits(number: str) -> str:
    """A number without signs of money, separators, and zeros that do not count."""
    plain = re.sub(r"[^\d.]", "", number)
    return (plain.rstrip("0").rstrip(".") if "." in plain else plain).lstrip("0") or "0"


# --- tidying ---------------------------------------------------------------------------------------

ASIDE = re.compile(
    r"\s*(?:[,;]\s*(?:where|since|because|as|which|so|given|assuming|not|while|whereas|but|for\s+which)\b.*"
    r"|\s(?:where|because|since|instead of|rather than|(?:and|but) not)\s.*"
    r"|\((?:out of|not|or|i\.e\.|that is|which|approximately|approx|since|because|about|rounded|see|as|in)\b"
    r"[^()]*\).*"
    r"|\((?:[a-z]+\s){2,12}[^()]*\)\W*"
    r"|\s+I hope it is correct.*)\Z",
    re.IGNORECASE | re.DOTALL,
)
OPENING = re.compile(
    r"\A(?:therefore|thus|hence|simply|just|exactly|indeed|clearly|then|also|still|now)\s+", re.IGNORECASE
)
"""Words that say nothing before a value."""
WRAPS = (
    ("$$", "$$"),
    ("$", "$"),
    (r"\(", r"\)"),
    (r"\[", r"\]"),
    ("**", "**"),
    ("__", "__"),
    ("`", "`"),
    ('"', '"'),
)


def tidy(value: str) -> str:
    """A phrase without emphasis, delimiters, asides and its full stop; of prose, its value."""
    value = ENDING.sub("", unwrap(value.strip()))
    if value.count("**") == 1:
        value = value.replace("**", "")
    value = OPENING.sub("", value)
    value = re.sub(r"\Anot\s[^\n]{1,60}?,?\sbut\s(?:rather\s)?", "", value, flags=re.IGNORECASE)
    value = ASIDE.sub("", value[:MAX_ANSWER])
    value = unwrap(value)
    if _is_prose(value):
        value = _value_of_prose(value)
    return unwrap(value)


def unwrap(value: str) -> str:
    """Without enclosing Markdown or formula delimiters, white space, and a closing full stop."""
    while True:
        before = value
        value = value.strip().removesuffix("<|im_end|>").strip()
        value = value.rstrip(",;:").rstrip()
        if value.endswith((".", "。")) and not value.endswith(".."):
            value = value[:-1].rstrip()
        for left, right in WRAPS:
            inner = value[len(left) : len(value) - len(right)]
            if len(value) > len(left) + len(right) and value.startswith(left) and value.endswith(right):
                if left not in inner and right not in inner:
                    value = inner.strip()
            elif value.startswith(left) and left in ("**", "__") and value.count(left) == 1:
                value = value.removeprefix(left)
            elif value.endswith(right) and right in ("**", "__") and value.count(right) == 1:
                value = value.removesuffix(right)
        if value == before:
            return value


_FINITE = re.compile(
    r"\b(?:is|are|was|were|will|has|have|had|can|makes?|earns?|needs?|gets?|still)\b", re.IGNORECASE
)
_EMBOLDENED = re.compile(r"\*\*([^*\n]{1,200})\*\*")


def _is_prose(value: str) -> bool:
    """A sentence rather than a value: words that start it, or a verb."""
    bare = FORMULA.sub(" ", re.sub(r"\\(?:text|mbox|mathrm|operatorname)\s*\{[^{}]*\}", " ", value))
    count = len(re.findall(r"(?<![\\A-Za-z])[^\W\d_]{2,}", bare))
    if len(re.findall(r"[\u3040-\u9fff\uac00-\ud7af]", bare)) > 3:
        return True
    return count >= 3 and (bare.lstrip(" *")[:1].isalpha() or bool(_FINITE.search(bare)))


def value_of_sentence(text: str) -> str:
    """What follows the one verb of a sentence, where that is a value: formulas, or a number and its unit."""
    text = re.sub(r"\\(?:text|mbox|mathrm)\s*\{([^{}]*)\}", r" \1 ", text)
    if len(text) > 400 or not _is_prose(text):
        return ""
    verbs = list(re.finditer(r"\b(?:is|are|equals|be|was)\b(?: equal to)?", text))
    rest = text[verbs[0].end() :].strip(" .:") if len(verbs) == 1 else ""
    rest = re.split(r"[\s,(]+(?:when|at|if|attained|achieved|reached)\s", rest)[0]
    bare = re.sub(r"\b(?:and|or)\b", "", FORMULA.sub(" ", rest))
    formulas = bool(rest) and not re.search(r"[A-Za-z]{2,}|\d", bare)
    measured = (
        len(NUMBER.findall(rest)) == 1
        and len(rest.split()) <= 4
        and not NUMBER.search(text[: verbs[0].end()])
    )
    joined = re.sub(r"\b(?:and|or)\b|\\[A-Za-z]+", "", rest)
    written = "\\" in rest and not re.search(r"[A-Za-z]{2,}", joined)
    listed = bool(_NUMBERS.fullmatch(rest)) and not NUMBER.search(text[: verbs[0].end()])
    return rest if formulas or measured or written or listed else ""


_NUMBERS = re.compile(r"-?\d[\d.]*(?:\s*(?:,\s*and|,|and|or)\s*-?\d[\d.]*)+")
"""`3, 4 and 5`."""


def _value_of_prose(value: str) -> str:
    """Of a sentence: its bold part; what follows its last `is`, if short; its last formula or only number."""
    bold = _EMBOLDENED.findall(value)
    if bold:
        return str(bold[-1])
    numbers = NUMBER.findall(value)
    formulas = list(FORMULA.finditer(value))
    verb = [match.end() for match in re.finditer(r"\b(?:is|are|equals|be|was)(?: equal to)?\b[:\s]+", value)]
    rest = value[verb[-1] :] if verb else ""
    if rest and len(rest.split()) <= 5 and (re.search(r"[\d$\\]", rest) or not (numbers or formulas)):
        return rest
    if formulas:
        return last_side(next(part for part in formulas[-1].groups() if part is not None))
    return numbers[0].strip() if len(numbers) == 1 else value


FINDERS = (
    (_whole, "whole"),
    (_bold, "bold"),
    (_reply, "reply"),
    (_math, "math"),
    (_last_number, "last_number"),
)
"""What looks where nothing is marked, and the name of the rule, in their order."""
