"""Phrases of mathematics as formulas: `all real numbers except 3`, `x is at least 5`."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import gcd

from tracegen.verify import units, words
from tracegen.verify.latex import unwrapped

_ALL_BUT = re.compile(
    r"(?:the set of )?(?:all|any|every|each) "
    r"(?P<kind>reals?(?: (?:numbers?|values?))?|(?:positive )?integers?)(?: of)?"
    r"(?: (?P<name>[a-z])(?P<bound> (?:[<>]|\\[lg]e\b)[^,]{1,20}?)?)?,? "
    r"(?:except(?: for)?|excluding|other than|but|different from|not equal to|besides|without) "
    r"(?:[a-z] ?= ?)?(?P<rest>.{1,200})",
    re.IGNORECASE,
)
_COMPARED = tuple(
    (re.compile(rf" (?:is|are|must be|should be) (?:{said}) ", re.IGNORECASE), f" {sign} ")
    for said, sign in (
        (r"(?:greater|larger|more|bigger) than or equal to|at least|no less than|not less than", r"\\ge"),
        (
            r"(?:less|smaller|fewer) than or equal to|at most|no more than|no greater than|not more than",
            r"\\le",
        ),
        (r"(?:strictly )?(?:greater|larger|more|bigger) than", ">"),
        (r"(?:strictly )?(?:less|smaller) than", "<"),
        (r"not equal to|different from", r"\\ne"),
        (r"congruent to", r"\\equiv"),
        (r"equal to", "="),
    )
)
_NAME = re.compile(r"[A-Za-z](?:_\{?\w\}?)?|\\[a-z]+")
_DIVISIBLE = re.compile(
    r"([a-z]) (?:is|are|must be) (?:divisible by|an? (?:integer |positive )?multiple of) (\d+)"
    r"|(\d+) ?\| ?([a-z])"
)
_PARITY = re.compile(r"([a-z]) (?:is|must be) (?:an? )?(odd|even)(?: (?:integer|number))?")
_MULTIPLES = re.compile(
    r"(?:all |the )?(?:integer |(positive )(?:integer )?)?multiples of (\d+)"
    r"|(?:all|any) (positive )?integers (?:[a-z] )?(?:(?:that|which) are )?divisible by (\d+)",
    re.IGNORECASE,
)
_NOT_DIVISIBLE = re.compile(
    r"(?:the set of )?(?:all|any|every) integers? (?:([a-z]) )?(?:(?:that|which) (?:is|are) )?"
    r"not (?:divisible by|(?:a )?multiples? of) (\d)",
    re.IGNORECASE,
)
_INCONGRUENT = re.compile(
    r"([a-z])\s*\\(?:not\s*\\equiv|nequiv)\s*(\d+)\s*\(?\\(?:p?mod|bmod)\s*\{?\s*(\d{1,2})\s*\}?\)?"
)
_COPRIME = re.compile(r"\\gcd\s*(?:\\left)?\(\s*([a-z])\s*,\s*(\d{1,2})\s*(?:\\right)?\)\s*=\s*1")
MAX_MODULUS = 24
_CHANGED = re.compile(
    r"(?:it )?(?:an? )?((?:in|de)crease[ds]?|profit|loss|gain)(?: is)? (?:by|of) (?:about )?(.{1,40})",
    re.IGNORECASE,
)
_CHANGES = {"incr": "increase", "decr": "decrease", "prof": "profit", "loss": "loss", "gain": "gain"}
"""`loss of 4 %` is `4 % loss`."""
_SET = re.compile(
    r"(?:[a-z] (?:is|are|can be) )?(?:the set of )?(?:all|any|every)(?: of)?(?: the)?"
    r"(?: (positive|negative|non-?negative))? (real numbers?|reals?|integers?|rational numbers?|rationals?|"
    r"natural numbers)(?: [a-z])?",
    re.IGNORECASE,
)
_KIND_OF = r"(?:the set of )?(?:all|any|every) (?:(positive|negative|non-?negative) )?"
_SUCH = re.compile(
    _KIND_OF + r"((?:real|integer|rational)s?(?: numbers?)?)(?: (?P<name>[a-zA-Z]))?"
    r"(?:,? (?:such that|with|where|for which|satisfying|that satisfy) (?P<said>.{1,100})"
    r"| (?P<bound>(?:[<>]|\\(?:le|ge|ne)\b).{1,100})"
    r"| (?:(?:that|which) (?:is|are) )?(?P<compared>(?:strictly |no |not )?"
    r"(?:greater|larger|more|bigger|less|smaller|fewer|at least|at most)\b.{1,60}))",
    re.IGNORECASE,
)
"""`all integers n ≥ 3`, `all real numbers x with x > 2`, `all integers greater than 4`."""
_OF_FORM = re.compile(r"(?:all |any )?(?:integers|numbers) of the form (.{1,40})", re.IGNORECASE)
_CIRCLE = re.compile(
    r"(?:the |a )?circle (?:with|of|having) (?:the |a )?cent(?:er|re)(?: at)? "
    r"\(([^(),]{1,30}),([^(),]{1,30})\),? (?:and|with) (?:a )?radius(?: of)? (\S{1,30})",
    re.IGNORECASE,
)
_AXIS = re.compile(r"(?:the )?([xy]) ?-? ?axis")
_PARITIES = re.compile(
    r"(?:the set of )?(?:(?:all|any|every) )?(?:(positive) )?(odd|even) (?:(positive) )?"
    r"(?:integers|numbers|(natural) numbers)(?: [a-z])?",
    re.IGNORECASE,
)
_AFTER = re.compile(
    r"(?<=\S)(?<![A-Z])(?<![A-Z] )\s*\(\s*([^()=]{1,60}(?:[<>]|\\(?:le|ge|ne|in)\b)[^()=]{1,60})\)\s*\Z"
)
"""`y^2 = 4x (x ≠ 0)`, `n = 2k - 1 (k ∈ N)`: a condition after an equation."""
_LETTERS = {"real": "R", "integer": "Z", "rational": "Q", "natural": "N"}
_PARTS = {"positive": "^+", "negative": "^-", "nonnegative": r"_{\ge 0}"}
_LATER = re.compile(r"(after|before) (\d[\w .]{0,30})", re.IGNORECASE)
"""`after 3 hours` is `3 hours after`."""
_OF_ZERO = re.compile(
    r"(\d+(?:\.\d+)?) ?(?:(?:\^ ?\{? ?\\circ ?\}?|degrees?)? ?(?:([CF])|(c)elsius|(f)ahrenheit)?)? ?"
    r"(below|above) (?:zero|0)",
    re.IGNORECASE,
)
"""`5 degrees Celsius below zero`."""
_AND_A_PART = re.compile(r"(\w{1,20}) and (?:a|one) (half|third|quarter)((?: \w+){0,3})", re.IGNORECASE)
_BELOW = {"half": 2, "third": 3, "quarter": 4}
_OUT_OF = re.compile(r"(\d+) (?:out of|in)(?: every)? (\d+)(?: chance)?", re.IGNORECASE)
_REMAINDER = re.compile(
    r"(\d+),? \(?(?:R|with (?:a )?remainder(?: of)?|remainder(?: of)?) ?(\d+)\)?", re.IGNORECASE
)
_GAUSS = re.compile(
    r"(?<![\w)}\]])\[\s*([a-z]\s*/\s*\d+|\\frac\s*\{[^{}\[\]]*[a-z][^{}\[\]]*\}\s*\{[^{}\[\]]*\}|\\sqrt\s*\{[^{}\[\]]*[a-z][^{}\[\]]*\})"
    r"\s*\](?!\s*[\^(])"
)
"""`[n/2]`, `[√n]`: the integer part, as a bracket around a fraction or root alone has no other use."""
_RATE = re.compile(r"(?<=[\d}])\s*([A-Za-z]\s*/\s*[A-Za-z]{2,4}(?:\s*\^\s*\{?\d\}?)?)\s*\Z")
"""`g/cm^3` after a number: a unit of one letter over one that is a word."""
_ORDER = re.compile(r"(?:O|\\mathcal\{O\}|\\Theta|\\Omega)\s*(?:\\left)?\(")
_BASE = re.compile(r"\\(?:log|ln|lg)(?:\s*_\{?\d+\}?)?(?![a-z])")
"""Logarithms of an order of growth, where the base makes no difference."""
_FIRST_TERM = re.compile(
    r"([a-zA-Z])_\{?1\}?\s*=\s*([^,=]{1,40}),\s*(?:\\?\s*)?\1_\{?n\}?\s*=\s*([^,=]{1,80}?)\s*,?\s*\(?\s*"
    r"n\s*(?:(?:\\ge|\\geq|\\geqslant|>=)\s*2|>\s*1)\s*\)?"
)
"""`a_1 = 2, a_n = 2n - 1 (n ≥ 2)`: a sequence in two pieces."""
_ZETA = re.compile(r"\\zeta\s*\(\s*([246])\s*\)")
_ZETAS = {"2": r"\frac{\pi^2}{6}", "4": r"\frac{\pi^4}{90}", "6": r"\frac{\pi^6}{945}"}
"""Values of Riemann's function (Euler 1735)."""
_BEFORE = re.compile(
    r"\A\s*(?:(?:\\text\s*\{)?(?:in|by|for)\s+(?=[\d$\\.])|(?:final )?answer\s*\.\s*(?=\S))", re.IGNORECASE
)
"""Words before a quantity that say nothing of it, and `Answer.`."""
_EQUIVALENT = re.compile(
    r"[\s,(]+(?:\\text\s*\{\s*)?"
    r"(?:or (?:any )?equivalent(?: forms?)?[\s)}.]*|i\.e\..{0,100}|that is,.{0,100})\Z",
    re.IGNORECASE,
)
"""What only says the same again."""
MAX_CHARACTERS = 400


def in_signs(cleaned: str) -> str:
    """A phrase that stands for a formula as that formula; any other text as it is."""
    if len(cleaned) > MAX_CHARACTERS:
        return cleaned
    cleaned = _ZETA.sub(lambda match: _ZETAS[match[1]], cleaned) if "zeta" in cleaned else cleaned
    cleaned = _GAUSS.sub(r"\\lfloor \1\\rfloor ", _BEFORE.sub("", _EQUIVALENT.sub("", cleaned)))
    if (rate := _RATE.search(cleaned)) and units.read(rate[1]) is not None:
        cleaned = rf"{cleaned[: rate.start()]} \text{{{rate[1]}}}"
    if (apart := _INCONGRUENT.fullmatch(cleaned.strip(" $"))) and 1 < int(apart[3]) <= MAX_MODULUS:
        return _congruent(apart[1], int(apart[3]), lambda one: one != int(apart[2]) % int(apart[3]))
    if _ORDER.match(cleaned):
        cleaned = _BASE.sub(r"\\log ", cleaned.replace(r"\mathcal{O}", "O"))
    if first := _FIRST_TERM.fullmatch(cleaned):
        rest_from = rf"{first[2]}, & n=1 \\ {first[3]}, & n \ge 2"
        return rf"{first[1]}_n = \begin{{cases}} {rest_from} \end{{cases}}"
    coprime = _COPRIME.fullmatch(cleaned.replace("$", "").strip())
    if coprime and 1 < int(coprime[2]) <= MAX_MODULUS:
        return _congruent(coprime[1], int(coprime[2]), lambda one: gcd(one, int(coprime[2])) == 1)
    if "=" in cleaned and (condition := _AFTER.search(cleaned)):
        return f"{cleaned[: condition.start()]}, {condition[1]}"
    if not re.search(
        r"\b(?:all|any|every|is|are|be|by|of|in|half|r|remainder|after|before|odd|even|axis|circle|zero)\b|\|",
        cleaned,
        re.IGNORECASE,
    ):
        return cleaned
    plain = " ".join(unwrapped(cleaned).split()).strip(" .")
    if found := _OF_ZERO.fullmatch(plain):
        scale = (found[2] or found[3] or found[4] or "").upper()
        sign = "-" if found[5].lower() == "below" else ""
        return sign + found[1] + (rf"^\circ \text{{{scale}}}" if scale else "")
    if found := _SET.fullmatch(plain):
        sign, name = (found[1] or "").lower(), found[2].lower()
        letter = next(letter for word, letter in _LETTERS.items() if word in name)
        return rf"\mathbb{{{letter}}}" + _PARTS.get(sign.replace("-", ""), "")
    if found := _PARITIES.fullmatch(plain):
        positive = found[1] or found[3] or found[4]
        element = "2k" if found[2].lower() == "even" else "2k-1"
        return rf"\{{{element} | k \in \mathbb{{Z}}{'^+' * bool(positive)}\}}"
    if found := _SUCH.fullmatch(plain):
        name = found["name"] or "x"
        condition_said = found["said"] or f"{name} {found['bound'] or ''}"
        if found["compared"]:
            condition_said = in_signs(f"{name} is {found['compared']}")
        if not re.search(r"(?<![\\A-Za-z])(?!and\b)[A-Za-z]{3}", condition_said):
            sign = _PARTS.get((found[1] or "").lower().replace("-", ""), "")
            letter = next(letter for word, letter in _LETTERS.items() if word in found[2].lower())
            return rf"\{{{name} \in \mathbb{{{letter}}}{sign} | {condition_said}\}}"
    if found := _LATER.fullmatch(plain):
        return rf"{found[2]} \text{{ {found[1].lower()}}}"
    if found := _AND_A_PART.fullmatch(plain):
        whole = found[1] if found[1].isdigit() else words.number(found[1])
        if whole is not None:
            return rf"({whole}+\frac{{1}}{{{_BELOW[found[2].lower()]}}}) \text{{{found[3] or ''}}}"
    if found := _OUT_OF.fullmatch(plain):
        return rf"\frac{{{found[1]}}}{{{found[2]}}}"
    if found := _REMAINDER.fullmatch(plain):
        return f"({found[1]}, {found[2]})"
    if found := _DIVISIBLE.fullmatch(plain):
        return rf"{found[1] or found[4]} \equiv 0 \pmod{{{found[2] or found[3]}}}"
    if found := _PARITY.fullmatch(plain):
        return rf"{found[1]} \equiv {int(found[2] == 'odd')} \pmod{{2}}"
    if found := _MULTIPLES.fullmatch(plain):
        step = found[2] or found[4]
        if found[1] or found[3]:
            return rf"\{{{step}k | k \in \mathbb{{Z}}^+\}}"
        return rf"0 \pmod{{{step}}}"
    if (found := _NOT_DIVISIBLE.fullmatch(plain)) and int(found[2]) > 1:
        return _congruent(found[1] or "n", int(found[2]), bool)
    if found := _OF_FORM.fullmatch(plain):
        letters = set(re.findall(r"[a-z]", found[1]))
        if len(letters) == 1:
            return rf"\{{{found[1]} | {letters.pop()} \in \mathbb{{Z}}\}}"
    if found := _CIRCLE.fullmatch(plain):
        return f"(x-({found[1]}))^2+(y-({found[2]}))^2=({found[3]})^2"
    if found := _AXIS.fullmatch(plain):
        return f"{'y' if found[1] == 'x' else 'x'} = 0"
    if found := _CHANGED.fullmatch(plain):
        return rf"{found[2]} \text{{ {_CHANGES[found[1].lower()[:4]]}}}"
    if found := _ALL_BUT.fullmatch(plain):
        kind = found["kind"].lower()
        whole = "R" if kind.startswith("real") else "Z"
        part = "^+" * kind.startswith("positive")
        rest = re.sub(r"(?<![A-Za-z])[a-z] ?= ?", "", found["rest"])
        if found["bound"]:
            name = found["name"]
            excluded = "".join(rf", {name} \ne {one}" for one in re.split(r",|\band\b", rest))
            return rf"\{{{name} \in \mathbb{{{whole}}}{part} | {name}{found['bound']}{excluded}\}}"
        return rf"\mathbb{{{whole}}}{part} \setminus \{{{rest}\}}"
    for phrase, sign in _COMPARED:
        left, *right = phrase.split(plain)
        if (
            len(right) == 1
            and _NAME.fullmatch(left)
            and not re.search(r"(?<![\\A-Za-z])[A-Za-z]{4}", right[0])
        ):
            return phrase.sub(sign, plain)
    return cleaned


def _congruent(name: str, modulus: int, belongs: Callable[[int], bool]) -> str:
    """`n ≡ 1, 2 (mod 3)`: the residues that belong."""
    residues = ", ".join(str(one) for one in range(modulus) if belongs(one))
    return rf"{name} \equiv {residues} \pmod{{{modulus}}}"
