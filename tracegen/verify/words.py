"""Answers in words: when two are the same, and numbers that are written out."""

from __future__ import annotations

import re
from fractions import Fraction

from tracegen.verify.latex import clean, unwrapped
from tracegen.verify.vocabulary import ADJECTIVES, OPPOSITES, SHORT_WORDS, SMALL_WORDS, TURNS, listed

_SAME = """
    dne, does not exist, doesnt exist, do not exist, undefined, not defined, nonexistent, limit does not exist

    no solution, no solutions, no real solution, no real solutions, none, empty set, null set, emptyset,
    no such number, no such numbers, no such number exists, there are no solutions, there is no solution,
    no solution exists, no solutions exist, impossible, not possible, cannot be done

    infinitely many, infinite, infinity, infty, infinitely many solutions, infinite number,
    infinite number of solutions, infinite solutions

    none of these, none of above, none of them

    yes, true, correct

    no, false, incorrect

    all real numbers, all reals, real numbers, any real number, every real number, reals, mathbbr

    integers, all integers, set of integers, set of all integers, any integer, mathbbz

    converges, convergent, converge, it converges, series converges, does not diverge, not divergent,
    series does not diverge, it does not diverge

    diverges, divergent, diverge, it diverges, series diverges, does not converge, not convergent,
    series does not converge, it does not converge

    充分不必要条件, 充分不必要, 充分而不必要条件, sufficient but not necessary condition,
    sufficient but not necessary,
    sufficient and not necessary condition, sufficient and not necessary, sufficient not necessary condition

    必要不充分条件, 必要不充分, 必要而不充分条件, necessary but not sufficient condition,
    necessary but not sufficient,
    necessary and not sufficient condition, necessary and not sufficient, necessary not sufficient condition

    充要条件, 充要, 充分必要条件, necessary and sufficient condition, necessary and sufficient,
    sufficient and necessary condition, sufficient and necessary

    既不充分也不必要条件, 既不充分也不必要, neither sufficient nor necessary condition,
    neither sufficient nor necessary,
    neither necessary nor sufficient condition, neither necessary nor sufficient

    monday, mon

    tuesday, tue, tues

    wednesday, wed

    thursday, thu, thur, thurs

    friday, fri

    saturday, sat

    sunday, sun
"""
"""Phrases that mean the same, as `normal` writes them."""
_MEANING = {
    " ".join(phrase.split()): index
    for index, phrases in enumerate(_SAME.strip().split("\n\n"))
    for phrase in phrases.split(",")
}
CHOICES = frozenset("abcdefgh")
"""Letters that are the same in both cases, being labels; `N` and `n` are two symbols."""
EMPTY, INFINITE, REALS, INTEGERS = 1, 2, 6, 7
"""Meanings that mathematics has a sign for."""

_SMALL = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen
"""
_ONES = {word: index for index, word in enumerate(_SMALL.split())}
_ROUND = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = {word: 10 * index for index, word in enumerate(_ROUND.split(), 2)}
SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
SCALES["dozen"] = 12
_PARTS = {
    "half": 2,
    "halves": 2,
    "third": 3,
    "quarter": 4,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "seventh": 7,
    "eighth": 8,
    "ninth": 9,
    "tenth": 10,
    "eleventh": 11,
    "twelfth": 12,
    "hundredth": 100,
    "thousandth": 1000,
}


_PLACES = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
_PLACE_NAMES = {str(index): word for index, word in enumerate(_PLACES.split(), 1)}
_NTH = re.compile(r"\b(\d+) ?(?:st|nd|rd|th)\b")
_QUADRANT = re.compile(r"\bquadrant (iv|i{1,3}|[1-4]|one|two|three|four)\b")
_PLAYER = re.compile(r"\bplayer (?:number )?(1|2|one|two)\b")
_PLAYERS = {"1": "first", "one": "first", "2": "second", "two": "second"}
_WINS = re.compile(
    r"\b(?:has winning strategy|(?:can )?(?:always|guarantees? to|surely) wins?|(?:can|will) (?:always )?win"
    r"|can (?:force|guarantee|ensure) win|wins game)\b"
)
"""Ways to say that a player wins, in the words of `normal`."""
_LOCI = (
    (
        re.compile(
            r"\b(?:(?:constructed|built|drawn|described) )?on (?:the )?(?:(?:line )?segment |side )?"
            r"(\w\w) as (?:a |the )?diameter\b"
        ),
        r"with diameter \1",
    ),
    (
        re.compile(
            r"\b(?:(?:set|locus) of )?(?:all )?(?:the )?points (?:(?:that|which) are )?"
            r"equidistant from (?:the )?(?:points )?(\w) and (\w)\b"
        ),
        r"perpendicular bisector of \1\2",
    ),
    (re.compile(r"\bbisector of (?:the )?(?:(?:line )?segment |side |chord )(\w\w)\b"), r"bisector of \1"),
)
"""Figures that are named in two ways."""
_QUARTERS = {
    name: place
    for places in ("i 1 one first", "ii 2 two second", "iii 3 three third", "iv 4 four fourth")
    for *names, place in [places.split()]
    for name in names
}


_ANGLED = re.compile(r"\b(right|acute|obtuse) angled\b")


def normal(text: str) -> str:
    """Lower-case words without LaTeX, punctuation, articles and repeated space."""
    text = clean(text).lower()
    text = re.sub(r"\\(?:text|quad|qquad|textnormal)|[{}]", " ", text)
    text = re.sub(r"['’`]", "", text)
    text = re.sub(r"[^\w\s]|_", " ", text)
    text = _ANGLED.sub(r"\1", text)
    text = _NTH.sub(lambda match: _PLACE_NAMES.get(match[1], match[0]), text)
    if re.search(r"diameter|equidistant|bisector", text):
        text = " ".join(text.split())
        for phrase, shorter in _LOCI:
            text = phrase.sub(shorter, text)
    words = [word for word in text.split() if word not in ("a", "an", "the")]
    if "player" in words or "win" in words or "winning" in words:
        said = _PLAYER.sub(lambda match: f"{_PLAYERS[match[1]]} player", " ".join(words))
        words = _WINS.sub("wins", said).split()
    return _QUADRANT.sub(lambda match: f"{_QUARTERS[match[1]]} quadrant", " ".join(words or text.split()))


_PLAIN = re.compile(
    r"(?:\d{1,2}(?:st|nd|rd|th)\b|[^\W\d_]|[\s'’\".,;:!?()]|(?<=[^\W\d_]{2})-(?=[^\W\d_]{2}))+\Z"
)


def plain(text: str) -> bool:
    """Nothing but words, or one letter: no digits or signs, so that `a-b` is not read as two words."""
    bare = unwrapped(clean(text)).strip(" {}$")
    found = re.findall(r"[^\W\d_]+", bare)
    if len(bare) > 4000 or not _PLAIN.match(bare):
        return bare in ("\\emptyset", "\\infty", "\\mathbb{R}")
    return len(found) == 1 or (
        len(found) > 1
        and all(len(word) > 1 or word in "aAI" for word in found)
        and any(len(word) > 2 for word in found)
    )


_FILLER = re.compile(
    r"\A(?:there (?:are|is|exists?)|it is|(?:given )?(?:statement|claim|assertion|proposition)(?: is)?"
    r"|(?:given |improper )?(?:series|sequence|integral)(?: is)?) "
)
_NO_SUCH = re.compile(
    r"(?:there (?:are|is|exists?) )?no (?:such )?(?:(?:real|positive|integer|prime|natural|other) )*"
    r"\w+(?: \w)? (?:exists?|satisfy|satisfies|(?:with|having|satisfying) th(?:is|at|ese) "
    r"(?:property|properties|conditions?))|(?:there (?:are|is|exists?) )?no such (?:\w+ )?\w+(?: exists?)?"
)
"""`no such function exists`, `there are no such numbers`."""


def meaning(text: str) -> int | None:
    """Which of the known meanings `text` has."""
    said = normal(text)
    return EMPTY if _NO_SUCH.fullmatch(said) else _MEANING.get(_FILLER.sub("", said))


def same(first: str, second: str) -> bool:
    """Whether two answers in words are the same: equal after `normal`, or of one known meaning."""
    none = all(len(side) < 100 and "no" in side.lower() for side in (first, second))
    if none and all(_NO_SUCH.fullmatch(normal(side)) for side in (first, second)):
        return True
    if not (plain(first) and plain(second)) or not same_marks(first, second):
        return False
    left, right = normal(first), normal(second)
    if left and left == right:
        label = left in CHOICES and left.upper() in first
        letters = len(left) == 1 or (len(left) == 2 and left not in SHORT_WORDS)
        return not letters or label or clean(first).strip("{} ") == clean(second).strip("{} ")
    known = meaning(first)
    return (known is not None and known == meaning(second)) or _described_alike(left, right)


def _described_alike(left: str, right: str) -> bool:
    """`right isosceles triangle` and `isosceles right triangle`: one noun, the same adjectives before it."""
    (*first, noun), (*second, other) = left.split() or [""], right.split() or [""]
    return noun == other and sorted(first) == sorted(second) and ADJECTIVES.issuperset(first)


def same_marks(first: str, second: str) -> bool:
    """Whether the same letters are primed or have a factorial: `A'`, `n!`."""
    return sorted(_MARKS.findall(first)) == sorted(_MARKS.findall(second))


_MARKS = re.compile(r"(?<![A-Za-z\\])[A-Za-z](?:'(?!s\b)|!)+(?!\s*\Z)")


def number(text: str) -> Fraction | None:
    """The value of one number in words, such as `twenty-five`, `two thirds`; None for `five, six`."""
    if _SEVERAL.search(text):
        return None
    mixed = re.fullmatch(r"(.+) and ((?:\w+ )?\w+)", normal(text))
    if mixed and mixed[2].split()[-1].removesuffix("s") in _PARTS:
        whole = Fraction(mixed[1]) if mixed[1].isdigit() else number(mixed[1])
        share = number(mixed[2])
        return None if whole is None or share is None else whole + share
    words = normal(text).split()
    if not words or len(words) > 12:
        return None
    if words[-1].removesuffix("s") in _PARTS or words[-1] in _PARTS:
        return _share(words)
    total = current = 0
    last, scale = "and", max(SCALES.values()) + 1
    for word in words:
        kind = _kind(word)
        if kind not in _FOLLOWING[last] or (kind == "scale" and SCALES[word] >= scale):
            return None
        if kind == "hundred":
            current = (current or 1) * 100
        elif kind == "scale":
            scale = SCALES[word]
            total, current = total + (current or 1) * scale, 0
        elif kind != "and":
            current += _ONES.get(word) or _TENS.get(word, 0)
        last = kind
    return None if last == "and" else Fraction(total + current)


_SEVERAL = re.compile(
    r"(?<!hundred)(?<!thousand)(?<!million)(?<!billion),\s*\w|[.;:!?]\s*\w|\A\W*and\b", re.IGNORECASE
)
"""What stands between two numbers, or before no first one; a comma may stand after `thousand`."""
_FOLLOWING = {
    "and": ("one", "teen", "ten", "hundred", "scale"),
    "one": ("hundred", "scale"),
    "teen": ("hundred", "scale"),
    "ten": ("one", "scale"),
    "hundred": ("and", "one", "teen", "ten", "scale"),
    "scale": ("and", "one", "teen", "ten", "hundred"),
}
"""What may stand after each kind of number word; before all of them, as after `and`."""


def _kind(word: str) -> str:
    """What a word is in a number; empty where it is in none."""
    if word in _ONES:
        return "one" if 1 <= _ONES[word] <= 9 else "teen"
    if word in _TENS:
        return "ten"
    return word if word in ("and", "hundred") else "scale" if word in SCALES else ""


def _share(words: list[str]) -> Fraction | None:
    """`two thirds`, `half`; not `third` or `twenty fifth`, which are places."""
    part = _PARTS.get(words[-1]) or _PARTS[words[-1].removesuffix("s")]
    if len(words) == 1:
        return Fraction(1, part) if words[0] in ("half", "quarter") else None
    place = words[-1] not in ("half", "quarter") and words[-1] in _PARTS and words[-1] != "halves"
    top = None if place and words[-2] not in _ONES else number(" ".join(words[:-1]))
    return None if top is None else top / part


_NOUNS = listed("""
    triangle function number numbers line lines quadrilateral angle solution solutions series sequence curve
    condition conditions value values
    point points set matrix day polygon side sides way ways year times wins win won game
""")
_NAMED = listed(
    "point set line figure option graph statement equation circle method plan player team city box"
)
"""Words that stand before a letter, as in `point P`."""
_TITLES = listed("team player mr mrs ms miss dr professor king queen uncle aunt")
"""Words that stand before a name."""
_EVERY = frozenset({"all", "any", "every", "each"})
_ORDINALS = {word: index for index, word in enumerate(_PLACES.split(), 1)} | {
    "once": 1,
    "twice": 2,
    "thrice": 3,
}


def place(text: str) -> Fraction | None:
    """`third` as 3, `twice` as 2."""
    found = _ORDINALS.get(normal(text).removesuffix(" times"))
    return None if found is None else Fraction(found)


_ANY_LABEL = listed("answer result total value solution final number amount")


def same_label(first: str, second: str) -> bool:
    """Whether two names in words may name one thing: one holds the other, or says nothing of its own."""
    left, right = (set(normal(label).split()) for label in (first, second))
    return left <= right or right <= left or left <= _ANY_LABEL or right <= _ANY_LABEL


def opposite(first: str, second: str) -> bool:
    """Whether one text says `increase` and the other `decrease`, or the like."""
    sides = [set(normal(side).split()) for side in (first, second)]
    for group in OPPOSITES:
        left, right = ([at for at, meant in enumerate(group) if side & meant] for side in sides)
        if len(left) == len(right) == 1 and left != right:
            return True
    return any(
        _DENYING.sub("", word) in there and len(word) > 5
        for here, there in (sides, sides[::-1])
        for word in here - there
    )


_DENYING = re.compile(r"\A(?:un|non|dis|im|ir)")
"""`unfavorable` and `favorable`."""
_REPLY = re.compile(r"\W*(yes|no)\b\s*(?:[,.;:!]|\Z)", re.IGNORECASE)


def reply(text: str) -> str:
    """The `yes` or `no` that a text begins with: `Yes, it is possible.`; else, as in `Yes! No.`, empty."""
    bare = unwrapped(clean(text)).strip()
    found = _REPLY.match(bare) if len(bare) < 400 else None
    if found and _ONLY.match(bare, found.end()):
        return ""
    if found and {word.lower() for word in _REPLIES.findall(bare)} == {"yes", "no"}:
        return ""
    return (
        found[1].lower()
        if found
        else _POSSIBLE.get(_FILLER.sub("", normal(text)) if len(bare) < 60 else "", "")
    )


def qualified(text: str) -> bool:
    """Whether a reply is taken back in part: `Yes, but only for odd n`."""
    found = _REPLY.match(text)
    return found is not None and _ONLY.match(text, found.end()) is not None


_ONLY = re.compile(r"\W*(?:but )?(?:only|unless|except)\b", re.IGNORECASE)


def restricted(first: str, second: str) -> bool:
    """Whether two replies of one kind go on differently: `No, only for even n`, `Yes, f(x) = -x`."""
    rests = [_REPLY.sub("", clean(side), count=1) for side in (first, second)]
    only = [bool(re.search(r"\b(?:only|but|unless|except)\b", rest)) for rest in rests]
    formulas = ["=" in rest or "<" in rest or ">" in rest for rest in rests]
    alike = normal(rests[0]) == normal(rests[1]) and same_signs(*rests)
    return not alike and (only[0] != only[1] or all(formulas) or opposite(*rests))


_REPLIES = re.compile(r"(?:\A|[.,;:!?])\W*(yes|no)\b\s*(?=[.,;:!]|\Z)", re.IGNORECASE)
_POSSIBLE = {
    "possible": "yes", "can be done": "yes", "impossible": "no", "not possible": "no", "cannot be done": "no",
    "cannot": "no", "it cannot": "no", "can not be done": "no",
}  # fmt: skip


def said(reference: str, answer: str) -> bool:
    """Whether two answers in words say the same, one of them with more words. Accepted with weak trust only.

    `odd` of `The function is odd`; `parallel` against `The lines are parallel`; `isosceles` against
    `isosceles triangle`.
    """
    if contained(answer, reference) or _of_one_letter(reference, answer) or _turned(reference, answer):
        return True
    sides = ([word for word in normal(side).split() if word not in _EVERY] for side in (reference, answer))
    short, long = sorted(sides, key=len)
    if _stems(short) == _stems(long) or (long[:1] == ["to"] and long[1:] == short):
        return bool(short)
    titled = long[:1] and long[0] in _TITLES and long[1:] == short
    if titled or (len(long) == 2 and long[0] in _NAMED and long[1:] == short and len(short[0]) == 1):
        return True
    if (
        not short
        or len(short) == len(long)
        or len(long) > 20
        or TURNS & set(long[len(short) :])
        or meaning(" ".join(long))
    ):
        return False
    if any(word in SMALL_WORDS or len(word) < 3 for word in short[:1]):
        return False
    rest = long[len(short) :]
    if long[: len(short)] == short and (
        _NOUNS.issuperset(rest) or (rest[0] in ("is", "was") and len(rest) <= 3)
    ):
        return True
    if TURNS & {*short, *long}:
        return False
    return long[-len(short) :] == short and long[-len(short) - 1] in ("is", "are", "was", "were", "be", "on")


_SIGNS = re.compile(
    r"\\(?:le|ge|ne)(?![A-Za-z])|[\d.]*\d|[-+<>=/|\[\]()*]|\^(?!\s*\{?\s*[-+])",
)
_NO_SIGNS = re.compile(r"\d+(?:st|nd|rd|th)\b|(?<=[^\W\d_])-(?=[^\W\d_]{2})")
"""Places, and hyphens of words."""


def same_signs(first: str, second: str) -> bool:
    """Whether two texts have the same digits and signs in their order, or one of them has none."""
    sides = [_SIGNS.findall(_NO_SIGNS.sub(" ", clean(side))) for side in (first, second)]
    return sides[0] == sides[1] or not all(sides)


_APPOSED = re.compile(r"\b(?:side|segment|line segment|edge|chord|diagonal)(?= [a-z]{2}\b)")


def _turned(first: str, second: str) -> bool:
    """`The function is odd` and `odd function`; `P is the midpoint of side BC` and `the midpoint of BC`."""
    sides = [" ".join(_APPOSED.sub(" ", normal(side)).split()) for side in (first, second)]
    for one, other in (sides, sides[::-1]):
        subject, verb, predicate = re.sub(r"\b(?:is|are)\b", "|", one, count=1).partition("|")
        parts = subject.strip(), predicate.strip()
        if verb and all(parts) and not re.search(r"\b(?:is|are)\b", other):
            point = re.fullmatch(r"[a-z]", parts[0]) is not None and len(parts[1].split()) > 2
            if other == f"{parts[1]} {parts[0]}" or (point and other == parts[1]):
                return True
    return False


def _stems(words: list[str]) -> list[str]:
    return [word.removesuffix("s") if len(word) > 3 else word for word in words]


_IDLE_HERE = _EVERY | {"is", "are", "function", "number", "numbers"}


def _of_one_letter(first: str, second: str) -> bool:
    """`n is odd` against `odd n` and `odd`: the same words about one variable."""
    sides = [
        re.findall(r"[^\W\d_]+", re.sub(r"\\(?:text|quad)", " ", clean(side))) for side in (first, second)
    ]
    letters = [{word for word in side if re.fullmatch(r"[b-hj-z]", word)} for side in sides]
    words = [
        _stems([word.lower() for word in side if word not in _IDLE_HERE and word not in letters[index]])
        for index, side in enumerate(sides)
    ]
    named = len(letters[0] | letters[1]) == 1
    return named and bool(words[0]) and words[0] == words[1] and not re.search(r"[\d=<>^]", first + second)


def contained(phrase: str, sentence: str) -> bool:
    """Whether a short phrase is what a whole sentence says: `odd` of `The function is odd`.

    The phrase has at most three words, stands in the sentence as it is, and the sentence holds no word that
    denies or contrasts. Accepted with weak trust only.
    """
    short, long = normal(phrase).split(), normal(sentence).split()
    who = short == long[:1] and _NAME.fullmatch(clean(phrase).strip("{} ")) is not None
    if not 1 <= len(short) <= 3 or len(long) < max(4 - who, len(short) + 2) or len(long) > 40:
        return False
    turning = [word for word in long if word in TURNS]
    if all(word in SMALL_WORDS or len(word) < 3 for word in short):
        return False
    if turning and (turning != [short[0]] or len(short) < 2 or short[0] != "no"):
        return False
    at = [index for index in range(len(long) - len(short) + 1) if long[index : index + len(short)] == short]
    return len(at) == 1


_NAME = re.compile(r"(?:\\text\s*\{\s*)?[A-Z][a-z]{2,}\s*\}?")
"""A name of somebody."""
_IDLE = listed("all any every each the a an such that with where is are be for of")
"""Words that a statement with formulas in it may have or not."""
_KINDS = {"integer": "integer", "integers": "integer", "number": "number", "numbers": "number"}
"""Words for what a statement is about, which may be left out."""


def same_gist(first: str, second: str) -> bool:
    """Whether two statements of words and formulas have the same words and signs: `all odd n ≥ 3`."""
    sides = [_gist(side) for side in (first, second)]
    kinds = [{_KINDS[word] for word in side if word in _KINDS} for side in sides]
    said = [[word for word in side if word not in _KINDS] for side in sides]
    return bool(said[0]) and said[0] == said[1] and (not all(kinds) or kinds[0] == kinds[1])


def _gist(text: str) -> list[str]:
    cleaned = re.sub(r"([\^_])\s*\{\s*(\w)\s*\}", r"\1\2", clean(text))
    cleaned = unwrapped(cleaned)
    plain = re.sub(r"\\(?:text|q?quad|mathbb)\b|(?<![\^_])\{(?=\w\})|\$", " ", cleaned)
    found = re.findall(r"\\?[^\W\d_]+|[\d.]+|[^\s,;.:]", plain)
    return [
        word.lower() if len(word) > 1 else word for word in found if word.lower() not in _IDLE or word == "A"
    ]
