"""One spelling for the many ways of writing the same mathematics: LaTeX, Unicode, plain text.

`clean` gives text that `expression` can read: without delimiters, sizes and spacing commands, with one
command for each notion. `canonical` goes on to a string whose equality means the same writing. Both are
linear, evaluate nothing and keep what they do not know. They undo what JSON and HTML did to LaTeX on
its way here: doubled backslashes, `\\f` and `\\t` read as control characters, `<sup>`.
"""

from __future__ import annotations

import re
from collections import Counter

_SYMBOLS = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "﹣": "-", "－": "-", "×": r"\times ", "⋅": r"\cdot ",
    "·": r"\cdot ", "∙": r"\cdot ", "•": r"\cdot ", "∗": "*", "÷": r"\div ", "∕": "/", "⁄": "/",
    "≤": r"\le ", "≥": r"\ge ", "⩽": r"\le ", "⩾": r"\ge ", "≦": r"\le ", "≧": r"\ge ", "≠": r"\ne ",
    "≈": r"\approx ", "≡": r"\equiv ", "∞": r"\infty ", "π": r"\pi ", "±": r"\pm ", "∓": r"\mp ",
    "√": r"\sqrt ", "∛": r"\sqrt[3]", "∈": r"\in ", "∉": r"\notin ", "∪": r"\cup ", "∩": r"\cap ",
    "∅": r"\emptyset ", "∖": r"\setminus ", "⊂": r"\subset ", "⊆": r"\subseteq ", "∀": r"\forall ",
    "∃": r"\exists ", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}",
    "ℂ": r"\mathbb{C}", "°": r"^\circ ", "º": r"^\circ ", "∘": r"\circ ", "′": "'", "’": "'", "‘": "'",
    "“": '"', "”": '"', "→": r"\to ", "⇒": r"\Rightarrow ", "∠": r"\angle ", "△": r"\triangle ", "∣": "|",
    "∴": r"\therefore ", "∁": r"\complement ", "∥": r"\parallel ", "⊥": r"\perp ",
    "⟨": r"\langle ", "⟩": r"\rangle ", "⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ",
    "½": r"\frac{1}{2}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}",
    "⅕": r"\frac{1}{5}", "⅖": r"\frac{2}{5}", "⅗": r"\frac{3}{5}", "⅘": r"\frac{4}{5}", "⅙": r"\frac{1}{6}",
    "⅚": r"\frac{5}{6}", "⅛": r"\frac{1}{8}", "⅜": r"\frac{3}{8}", "⅝": r"\frac{5}{8}", "⅞": r"\frac{7}{8}",
    "％": r"\%", "，": ",", "；": ";", "：": ":", "（": "(", "）": ")", "［": "[", "］": "]", "｛": r"\{",
    "｝": r"\}",
    "＝": "=", "＜": "<", "＞": ">", "＋": "+", "＄": r"\$", "｜": "|", "。": ".", "、": ",", "　": " ",
    "！": "!", "或": r"\text{ or }", "且": r"\text{ and }", "和": r"\text{ and }",
    "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u2002": " ", "\u2003": " ", "\u200b": "", "\ufeff": "",
}  # fmt: skip
_GREEK_LETTERS = "αβγδεζηθικλμνξρστυφχψωΓΔΘΛΞΠΣΦΨΩ"
_GREEK_NAMES = """
    alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi chi psi
    omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega
"""
_GREEK = dict(zip(_GREEK_LETTERS, _GREEK_NAMES.split(), strict=True))
_CIRCLED = {chr(0x2460 + index): f" {index + 1}, " for index in range(20)}
_TABLE = str.maketrans(_SYMBOLS | {letter: f"\\{name} " for letter, name in _GREEK.items()} | _CIRCLED)
_SUPER = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱ", "0123456789+-()ni", strict=True))
_SUB = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₙ", "0123456789+-()n", strict=True))
_RAISED = re.compile(f"[{''.join(_SUPER)}]+")
_LOWERED = re.compile(f"[{''.join(_SUB)}]+")

_EATEN = (
    (re.compile(r"\x0c(?=rac|orall)"), r"\\f"),
    (re.compile(r"\t(?=ext|imes|heta|an\b|au\b|frac)"), r"\\t"),
    (re.compile(r"\x08(?=egin|oxed|eta|inom|ar\b)"), r"\\b"),
    (re.compile(r"\r(?=ight|ho\b|angle)"), r"\\r"),
    (re.compile(r"(?<![A-Za-z\\])rac(?=\s*\{)"), r"\\frac"),
)
"""Escapes that some JSON reader took for control characters."""

_HTML = (
    (re.compile(r"<sup>([^<>]*)</sup>", re.I), r"^{\1}"),
    (re.compile(r"<sub>([^<>]*)</sub>", re.I), r"_{\1}"),
)
_SIZES = re.compile(
    r"\\(?:left|right|middle|[bB]ig+[lrm]?|displaystyle|textstyle|scriptstyle|limits|nolimits|boxed|fbox|mathstrut|strut"
    r"|rm|bf|it|large|Large|normalsize|small)(?![A-Za-z])\s?\.?(?<!\d\.)"
)
_THOUSANDS = re.compile(r"(?<=\d)(?:\s?\{\s?,\s?\}|,?\\!,?|\\,|\\ |\\;|\\:|~| |')(?=\d{3}(?!\d))")
_SPACING = re.compile(
    r"(?<!\\)\\[,;:!> ]|~|\\(?:thinspace|enspace|hfill)(?![A-Za-z])"
    r"|\\(?:hspace|vspace|phantom|hphantom)\*?\{[^{}]{0,40}\}"
)
_RENAMED = {
    "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "dbinom": "binom", "tbinom": "binom", "leq": "le",
    "leqslant": "le", "leqq": "le", "geq": "ge", "geqslant": "ge", "geqq": "ge", "lt": "<", "gt": ">",
    "neq": "ne", "mbox": "text", "textrm": "text", "textbf": "text", "textit": "text", "textsf": "text",
    "texttt": "text", "mathrm": "text", "mathbf": "text", "mathit": "text", "mathsf": "text",
    "operatorname": "text", "textnormal": "text", "emph": "text", "boldsymbol": "text", "bm": "text",
    "varnothing": "emptyset", "lbrace": "{", "rbrace": "}", "lvert": "|", "rvert": "|", "vert": "|",
    "mid": "|", "lbrack": "[", "rbrack": "]", "lparen": "(", "rparen": ")", "degree": "^\\circ",
    "varphi": "phi", "varepsilon": "epsilon", "vartheta": "theta", "ldots": "dots", "cdots": "dots",
    "dotsc": "dots", "cupdot": "cup", "ast": "*", "colon": ":", "land": "and", "lor": "or",
    "longrightarrow": "to", "rightarrow": "to", "implies": "Rightarrow", "Longrightarrow": "Rightarrow",
    "mathbb": "mathbb", "backslash": "setminus", "smallsetminus": "setminus", "arccot": "arccot",
    "ell": "l", "tg": "tan", "ctg": "cot", "cosec": "csc", "lg": "log_{10}",
}  # fmt: skip
_COMMAND = re.compile(r"\\([A-Za-z]+)\*?")
_WORDS = frozenset({"and", "or"})


_BASIS = re.compile(
    r"\\(?:mathbf|boldsymbol|bm|hat|widehat|vec|overrightarrow)\s*(?:\{\s*\\(?:mathbf|boldsymbol|hat|vec)\s*)?"
    r"\{?\s*\\?([ijk])(?:math)?(?![A-Za-z])\s*\}{0,2}"
)
"""Unit vectors along the axes."""
_SYSTEM = re.compile(
    r"\\left\s*\\(?:\{|lbrace)\s*\\begin\{array\}\s*(?:\{[^{}]*\})?(.{1,2000}?)\\end\{array\}\s*\\right\s*\.",
    re.DOTALL,
)
_SHORTHAND = (
    (
        re.compile(r"(?<![\w.])(\d+)\s*(km|m|cm|kg|ft|lbs?|hr?)\s+(\d+)\s*(m|cm|mm|g|in|oz|min)(?![\w/^])"),
        r"\1 \\text{ \2} \3 \\text{ \4}",
    ),
    (re.compile(r"(?<!\w)(?:Rs\.?|\\text\s*\{\s*Rs\.?\s*\})\s*(?=\d)"), "₹"),
    (
        re.compile(r"(?<![\w.])(\d+)\s*h(?:rs?\.?)?\s*(?:and\s*)?(\d+)\s*m(?:ins?\.?)?(?![\w/^])"),
        r"\1 hours \2 minutes",
    ),
    (re.compile(r"(?<![\w.'])(\d+)'\s?(\d+)(?:\"|'')"), r"\1 feet \2 inches"),
    (
        re.compile(
            r"(?<![\w.])(\d+)\s*\^\s*\{?\s*\\circ\s*\}?\s*(\d+)\s*(?:'|\^\s*\{?\s*\\prime\s*\}?)(?!')"
        ),
        r"(\1+\\frac{\2}{60})^{\\circ}",
    ),
)
"""Money before its number, feet and inches, degrees and minutes of arc."""
_RAISED_CHOOSE = re.compile(r"(?<![\w.)}])\^\s*\{?\s*(\w+)\s*\}?\s*([CP])\s*_\s*\{?\s*(\w+)\s*\}?(?!\w)")
"""`^{10}C_3`, `^{10}P_3`."""
_CHOOSE = re.compile(
    r"(?:\{\s*\}\s*_\s*\{?\s*|(?<![\w.\\{])(?=\d+\s?C\s?_?\s?\{?\d))(\w+?)\s*\}?\s*C\s*_?\s*\{?\s*(\w+)\s*\}?(?!\w)"
)
"""`{}_{10}C_3`, `10C3`."""
_BARE_SET = re.compile(r"\A\s*\{((?:[a-z]|\([a-z, ]{3,9}\))\s*(?:\||\\mid\b|:)[^{}]{1,300})\}\s*\Z")
"""`{x | x > 3}`, whose braces lack their backslashes."""
_UNIT_FRACTION = re.compile(
    r"\\frac\s*\{\s*\\text\s*\{\s*([A-Za-z]+)\s*\}\s*\}\s*\{\s*\\text\s*\{\s*([A-Za-z]+)\s*\}(\s*\^\s*\{?\s*\d\s*\}?)?\s*\}"
)


_UPRIGHT = re.compile(r"\\(?:mathrm|text|mathit|textit|operatorname)\s*\{\s*([ie])\s*\}")
"""`\\mathrm{i}`, the imaginary unit, and Euler's number."""
_INNER_SIGN = re.compile(r"(?<=[\w)}\s])\{\s*([:=<>])\s*\}")
"""`7{:}30`: a sign in braces, which only changes the space around it."""
_FONT = re.compile(r"\\(?:text|mathrm|textbf)\s*\{([^{}]*)\}|\$")


def spoken(text: str) -> str:
    """The words of a text: cleaned, without fonts and dollar signs around them, one space between them."""
    return " ".join(_FONT.sub(r" \1 ", clean(text)).split())


_WRAPPED = re.compile(r"\\text\s*\{([^{}]*)\}")


def unwrapped(cleaned: str) -> str:
    """A cleaned text with spaces around its words in place of `\\text{…}`."""
    return _WRAPPED.sub(r" \1 ", cleaned)


def clean(text: str) -> str:
    """`text` with one spelling for each notion; LaTeX of formulas without their delimiters."""
    text = re.sub(r"[ \t]{3,}", "  ", text)
    text = mended(text)
    for pattern, better in _HTML:
        text = pattern.sub(better, text)
    if "\\begin" in text or "\\end" in text:
        text = _ROW_SPACE.sub(r"\\\\ ", _without_half_displays(text))
    if re.search(r"\\\\(?:[A-Za-z{}()\[\]]|$)", text) and ("\\begin" not in text or "\\\\begin" in text):
        text = re.sub(r"\\\\(?=\S)", r"\\", text)
    text = _RAISED.sub(lambda match: "^{" + "".join(_SUPER[char] for char in match[0]) + "}", text)
    text = _LOWERED.sub(lambda match: "_{" + "".join(_SUB[char] for char in match[0]) + "}", text)
    text = text.translate(_TABLE)
    text = re.sub(r"(?<=,)\s*\.{3}(?=\s*,)", r" \\dots ", text)
    text = _dollars(text)
    text = re.sub(r"(?<!\\)\\[()]|(?<!\\)\\\[|(?<!\\)\\\]", " ", text)
    text = _SYSTEM.sub(r"\\begin{cases}\1\\end{cases}", text)
    text = _BARE_SET.sub(r"\\{\1\\}", _SIZES.sub(" ", text))
    for pattern, better in _SHORTHAND:
        text = pattern.sub(better, text)
    text = _THOUSANDS.sub("", text)
    text = _POINTS.sub(_without_points, text)
    text = _SPACING.sub(" ", text)
    text = re.sub(r"\\(?:mathrm|text)\s*\{\s*([CP])\s*\}(?=\s*_)", r"\1", text)
    text = re.sub(
        r"\\(?:mathrm|text(?:tt)?)\s*\{\s*([0-9A-Fa-f]+)\s*\}(?=\s*_\s*\{?\s*16)",
        lambda match: match[1].upper(),
        text,
    )
    text = _CHOOSE.sub(r"\\binom{\1}{\2}", text)
    text = _RAISED_CHOOSE.sub(_chosen, text)
    text = _BASIS.sub(r"\\basis\1 ", text)
    text = _UPRIGHT.sub(r" \1 ", text)
    text = _INNER_SIGN.sub(r"\1", text)
    text = _COMMAND.sub(_renamed, text)
    text = _UNIT_FRACTION.sub(r"\\text{\1/\2\3}", text)
    text = re.sub(r"\*\*([^*]{1,200})\*\*", r"\1", text)
    return _trimmed(text)


_ROW_SPACE = re.compile(r"\\\\\s*\[\s*-?[\d.]+\s*(?:pt|em|ex|mm|cm|in)\s*\]")
"""`\\\\[4pt]`: the end of a row, and a space after it."""
_DISPLAY = re.compile(
    r"\\(begin|end)\s*\{((?:align(?:ed)?|equation|gather(?:ed)?|multline|split|displaymath)\*?)\}"
)


def _without_half_displays(text: str) -> str:
    """Without the beginnings and ends of displayed formulas whose other half was cut off."""
    marks = Counter((match[2], match[1]) for match in _DISPLAY.finditer(text))
    halves = {name for name, _ in marks if marks[name, "begin"] != marks[name, "end"]}
    return _DISPLAY.sub(lambda match: " " if match[2] in halves else match[0], text) if halves else text


def mended(text: str) -> str:
    """`text` with the commands that some JSON reader has damaged, and braces that a formula leaves open."""
    for pattern, better in _EATEN:
        text = pattern.sub(better, text)
    if len(text) < 3 or text[0] != "$" or text[-1] != "$" or text[-2] == "\\":
        return text
    braces = Counter(_BRACES.findall(text))
    missing = braces["{"] - braces["}"]
    return f"{text[:-1]}{'}' * missing}$" if 0 < missing <= 2 else text


_BRACES = re.compile(r"(?<!\\)[{}]")
_POINTS = re.compile(
    r"(?<![\d.,])\d{1,3}(?:\.\d{3}){2,}(?:,\d+)?(?![\d.,])|(?<![\d.,])\d{1,3}(?:\.\d{3})+,\d{1,2}(?![\d.,])"
)
"""`12.000.000` and `1.234,50`, which can be read in one way only."""


def _without_points(match: re.Match[str]) -> str:
    return match[0].replace(".", "").replace(",", ".")


def _chosen(match: re.Match[str]) -> str:
    arranged = f"{match[3]}!" if match[2] == "P" else ""
    return rf"\binom{{{match[1]}}}{{{match[3]}}}{arranged}"


def _renamed(match: re.Match[str]) -> str:
    name = match[1]
    better = _RENAMED.get(name)
    if better is None:
        return match[0]
    if better in ("{", "}"):
        return "\\" + better
    if not better[0].isalpha() or len(better) == 1:
        return better + " "
    return f"\\text{{ {better} }}" if better in _WORDS else f"\\{better}"


def _dollars(text: str) -> str:
    """`$` as delimiter goes; alone, before a number or after one, it is money, written `\\$`."""
    marks = len(re.findall(r"(?<!\\)\$", text))
    if marks % 2 and "$$" not in text:
        text = re.sub(r"(?<!\\)\$(?=\s*[-\d.])", r"\\$", text, count=1)
    return re.sub(r"(?<!\\)\$", " ", text)


def _trimmed(text: str) -> str:
    """Without outer white space, a closing full stop, and braces around all of it."""
    while True:
        before = text
        text = text.strip()
        if text.endswith((".", ",", ";", ":")) and not text.endswith(("..", "\\,", "\\;", "\\:")):
            text = text[:-1]
        if text.endswith("\\") and not text.endswith("\\\\"):
            text = text[:-1]
        if text == before:
            return text


def canonical(text: str) -> str:
    """A string whose equality means the same writing; white space counts only between two words or digits."""
    text = clean(text)
    text = unwrapped(text)
    text = re.sub(r"\\(?:quad|qquad)(?![A-Za-z])", " ", text)
    text = re.sub(r"([\^_])\s*\{\s*(\w)\s*\}", r"\1\2", text)
    text = re.sub(r"\s+", " ", text)
    return re.sub(r"(?<![A-Za-z0-9]) | (?![A-Za-z0-9])", "", text)


def balanced(text: str) -> bool:
    """Whether braces match and no command stands without the arguments that it must have."""
    if text.count("\\begin") != text.count("\\end"):
        return False
    depth = 0
    for match in re.finditer(r"\\.|[{}]", text, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth < 0:
            return False
    return depth == 0 and not re.search(r"\\(?:frac|sqrt|text|binom)\s*(?:\Z|[)}\]=+])", text)
