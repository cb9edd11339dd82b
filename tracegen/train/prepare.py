"""Rows to examples: rendered, tokenised, cut into regions and weighed, with every row that is left out.

What is left out is counted by reason; nothing is dropped in silence. The same recipe and rows give the
same examples in the same order.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from tracegen.data import ChoiceAnswer, MathAnswer, Struct, digest
from tracegen.errors import UserError
from tracegen.student import Region, Stage, Train
from tracegen.teachers.distribution import tokenizer_hash
from tracegen.train import regions, sources
from tracegen.train.example import CODES, REGIONS, Example, Soft
from tracegen.train.render import Rendered, Template
from tracegen.train.sources import Row
from tracegen.train.weights import Scheme, mass_by_region, scheme, weigh, without

CHUNK = 512
"""Rows that are tokenised in one call."""
NO_SHARE = "more than its source's share"


class Prepared(Struct, frozen=True):
    """What there is to train on, and what was left out of it. Ids are those of rows."""

    examples: tuple[Example, ...]
    dropped: dict[str, tuple[str, ...]]
    """Rows that are not trained on, by reason."""
    cut: tuple[str, ...] = ()
    """Rows over `max_tokens` that are trained on in part, as `over_length` says."""
    unfaithful: tuple[str, ...] = ()
    """Rows that the chat template itself would have rendered otherwise (thinking lost, moved, re-encoded)."""
    respaced: tuple[str, ...] = ()
    """Rows whose ids decode to the text but for white space."""
    inside: tuple[str, ...] = ()
    """Rows whose generation prompt would end inside a token. A server tokenises the prompt alone, so theirs
    is tokenised apart from the rest; of every other row the text is tokenised whole."""
    unaligned: tuple[str, ...] = ()
    """Rows whose stored distributions are of another tokenizer or of other tokens: plain cross-entropy."""
    empty: int = 0
    """Examples without thinking."""
    empty_trained: int = 0
    """… of which the template's empty block is trained; under the default policy 0."""
    by_region: dict[Region, float] = {}
    """Sum of the weights of each region …"""
    by_source: dict[str, float] = {}
    """… and of each source."""
    tokens: int = 0
    trained: int = 0
    """Tokens of a weight above 0."""
    straddlers: int = 0


class _Kept(Struct, frozen=True):
    """An example, and what is to be said of it."""

    example: Example
    base: float
    """Mass under the weights of `[train]`, by which shares are drawn whatever the stage."""
    cut: bool
    faithful: bool
    respaced: bool
    inside: bool
    unaligned: bool


class _Tokens(Struct, frozen=True):
    """Tokens of a text and where they stand in it."""

    ids: list[int]
    bounds: regions.Bounds
    respaced: bool
    """They decode to the text but for white space."""


class _Left(Struct, frozen=True):
    """A row that is left out."""

    id: str
    why: str


def prepare(train: Train, tokenizer: Any, rows: Iterable[Row], stage: Stage | None = None) -> Prepared:
    """The examples of `rows`, in their order, with the weights of `[train]` or of one of its stages.

    Raises UserError where the tokenizer has no chat template, or nothing is left to train on.
    """
    made = Maker(train, tokenizer, stage)
    kept: list[_Kept] = []
    left: dict[str, list[str]] = {}
    for result in made.results(rows):
        if isinstance(result, _Left):
            left.setdefault(result.why, []).append(result.id)
        else:
            kept.append(result)
    drawn = _shared(kept, train)
    surplus = [one.example.id for one in kept if id(one) not in drawn]
    if surplus:
        left[NO_SHARE] = surplus
    return _summed([one for one in kept if id(one) in drawn], left)


def split(
    examples: Sequence[Example], share: float, seed: int
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Examples to train on and to validate on; all of a problem are on one side.

    A share above 0 holds out at least one problem, where there are two; and leaves one.
    """
    problems = sorted({one.problem for one in examples}, key=lambda problem: digest("split", seed, problem))
    count = min(max(round(share * len(problems)), 1), len(problems) - 1) if share and problems else 0
    held = set(problems[:count])
    return (
        tuple(one for one in examples if one.problem not in held),
        tuple(one for one in examples if one.problem in held),
    )


class Maker:
    """What makes an example of a row: the student's tokenizer, its template and the weights."""

    def __init__(self, train: Train, tokenizer: Any, stage: Stage | None = None) -> None:
        self._train, self._tokenizer = train, tokenizer
        self._scheme, self._base = scheme(train, stage), scheme(train)
        self._staged = self._scheme != self._base
        self._templates: dict[bytes, Template] = {}
        self._hash = ""
        self.template({})

    def template(self, options: dict[str, bool | str]) -> Template:
        """The chat template with the options of a row."""
        key = msgspec.json.encode(options, order="deterministic")
        if key not in self._templates:
            self._templates[key] = Template(self._tokenizer, self._train, options)
        return self._templates[key]

    def results(self, rows: Iterable[Row]) -> Iterator[_Kept | _Left]:
        """What becomes of each row, in order."""
        for chunk in _chunks(rows):
            rendered = [self._rendered(row) for row in chunk]
            texts = [one.text for one in rendered if isinstance(one, Rendered)]
            tokens = iter(self._tokenise(texts))
            for row, one in zip(chunk, rendered, strict=True):
                yield one if isinstance(one, _Left) else self._made(row, one, *next(tokens))

    def _rendered(self, row: Row) -> Rendered | _Left:
        """The row as text, or why it is not trained on."""
        if row.refused:
            return _Left(row.id, row.refused)
        if row.weight <= 0:
            return _Left(row.id, "its weight is 0")
        template = self.template(row.options)
        thinks = bool((row.thinking or "").strip())
        if thinks and template.treatment.supplies == "empty_block":
            return _Left(row.id, "the generation prompt closes the thinking before it begins")
        try:
            rendered = template.render(row)
        except UserError as error:
            return _Left(row.id, f"refused by the {error}")
        if rendered.empty and self._train.empty_think == "drop" and (rendered.open or rendered.close):
            return _Left(row.id, "without thinking, its empty block would be inserted")
        for place, text in (("thinking", rendered.think), ("answer", rendered.answer)):
            if found := template.forbidden(text):
                return _Left(row.id, f"a delimiter in the {place}: {found}")
        return rendered

    def _tokenise(self, texts: list[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        if not texts:
            return []
        found = self._tokenizer(
            texts,
            add_special_tokens=False,
            return_offsets_mapping=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        return list(zip(found["input_ids"], found["offset_mapping"], strict=True))

    def _made(
        self,
        row: Row,
        rendered: Rendered,
        ids: list[int],
        offsets: list[tuple[int, int]],
        closed: bool = True,
    ) -> _Kept | _Left:
        """The example of a row. `closed` is False where the thinking was cut and the closing tag is ours."""
        tokens = self._located(ids, offsets, rendered.text)
        if isinstance(tokens, str):
            return _Left(row.id, tokens)
        inside = any(start < len(rendered.prompt) < end for start, end in tokens.bounds)
        tokens = self._as_served(rendered, tokens) if inside else tokens
        ids, bounds = tokens.ids, tokens.bounds
        limit, policy = self._train.max_tokens, self._train.over_length
        if len(ids) > limit and policy == "drop":
            return _Left(row.id, f"over {limit} tokens")
        if len(ids) > limit and policy == "keep_think_mask_close":
            return self._shortened(row, rendered, ids, bounds)
        codes, straddlers, weights = self._weighed(self._scheme, row, rendered, bounds, closed)
        if not any(weights[:limit]):
            return _Left(row.id, "no token to train on")
        whole = closed and len(ids) <= limit
        example = Example(
            id=row.id,
            ids=array("i", ids[:limit]),
            weights=weights[:limit],
            regions=codes[:limit],
            straddlers=tuple(index for index in straddlers if index < limit),
            source=row.source,
            problem=row.problem,
            empty=rendered.empty,
            reference=_reference(row),
            soft=self._soft(row, ids, codes) if row.logprobs and whole else None,
        )
        base = self._weighed(self._base, row, rendered, bounds, closed)[2] if self._staged else weights
        return _Kept(
            example=example,
            base=sum(base[:limit]),
            cut=not whole,
            faithful=rendered.faithful,
            respaced=tokens.respaced,
            inside=inside,
            unaligned=row.logprobs is not None and example.soft is None,
        )

    def _located(self, ids: list[int], offsets: regions.Bounds, text: str) -> _Tokens | str:
        """The tokens with their places in the text, or why they are not those of the text."""
        bounds = regions.bounds_of(self._tokenizer, ids, offsets, text)
        if bounds is None:
            return "its tokens do not cover its text"
        decoded = self._tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        if decoded != text and "".join(decoded.split()) != "".join(text.split()):
            return "its tokens decode to another text"
        return _Tokens(ids, bounds, decoded != text)

    def _as_served(self, rendered: Rendered, whole: _Tokens) -> _Tokens:
        """Tokens of the prompt, which a server tokenises alone, and of the rest; else those of the whole."""
        edge = len(rendered.prompt)
        (head, first), (tail, second) = self._tokenise([rendered.prompt, rendered.text[edge:]])
        shifted = [(start + edge, end + edge) for start, end in second]
        apart = self._located([*head, *tail], [*first, *shifted], rendered.text)
        return whole if isinstance(apart, str) or apart.respaced > whole.respaced else apart

    def _weighed(
        self, given: Scheme, row: Row, rendered: Rendered, bounds: regions.Bounds, closed: bool
    ) -> tuple[bytes, tuple[int, ...], array[float]]:
        """Region of each token, tokens over a boundary, and weight of each token."""
        if not closed:
            given = without(given, "close")
        if rendered.empty and self._train.empty_think == "mask":
            given = without(given, "open", "close")
        codes, straddlers = regions.assign(bounds, regions.spans(rendered.parts), given.by_region)
        weights = weigh(codes, given, row.weight)
        if not closed:  # nor is a token trained that lies over the edge of our closing tag
            start = len(rendered.prompt) + len(rendered.open) + len(rendered.think)
            for index in straddlers:
                if bounds[index][0] < start < bounds[index][1]:
                    weights[index] = 0.0
        return codes, straddlers, weights

    def _shortened(
        self, row: Row, rendered: Rendered, ids: list[int], bounds: regions.Bounds
    ) -> _Kept | _Left:
        """The row with its thinking cut to what fits, and a closing tag that is not trained."""
        limit = self._train.max_tokens
        codes, _ = regions.assign(bounds, regions.spans(rendered.parts), dict.fromkeys(REGIONS, 1.0))
        thinking = regions.text_of(codes, "think")
        start = len(rendered.prompt) + len(rendered.open)
        room = len(thinking) - (len(ids) - limit)
        while room > 0:
            end = bounds[thinking[room - 1]][1]
            shorter = msgspec.structs.replace(rendered, think=rendered.think[: end - start].rstrip())
            again, offsets = self._tokenise([shorter.text])[0]
            if len(again) <= limit:
                return self._made(row, shorter, again, offsets, closed=False)
            room -= len(again) - limit
        return _Left(row.id, f"over {limit} tokens without its thinking")

    def _soft(self, row: Row, ids: list[int], codes: bytes) -> Soft | None:
        stored = row.logprobs
        self._hash = self._hash or tokenizer_hash(self._tokenizer)
        if stored is None or stored.tokenizer != self._hash:
            return None
        start = next((index for index, code in enumerate(codes) if code != CODES["prompt"]), len(codes))
        return regions.align(stored, ids, start)


def _reference(row: Row) -> MathAnswer | ChoiceAnswer | None:
    """The reference of a row whose domain is math or choice; a dataset that names none is taken for math."""
    if not row.reference or row.domain not in ("", "math", "choice"):
        return None
    return ChoiceAnswer(row.reference) if row.domain == "choice" else MathAnswer(row.reference)


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    stream = iter(rows)
    while chunk := list(itertools.islice(stream, CHUNK)):
        yield chunk


def _shared(kept: Sequence[_Kept], train: Train) -> set[int]:
    """Which examples are trained on, where sources are cut down to a share of the whole mass."""
    shares = {
        name: source.share
        for name, source in zip(sources.names(train), train.data, strict=True)
        if source.share > 0
    }
    if sum(shares.values()) >= 1:
        raise UserError(
            f"train.data: their shares make {sum(shares.values()):g} - leave something for the other rows"
        )
    masses: dict[str, float] = {}
    for one in kept:
        masses[one.example.source] = masses.get(one.example.source, 0.0) + one.base
    rest = sum(mass for name, mass in masses.items() if name not in shares)
    if shares and kept and not rest:
        raise UserError(
            "train.data: every row that is left is of a source with a share - leave one source without"
        )
    whole = rest / (1 - sum(shares.values()))
    drawn = {id(one) for one in kept if one.example.source not in shares}
    for name, share in shares.items():
        own = sorted(
            (one for one in kept if one.example.source == name),
            key=lambda one: digest("mix", train.seed, one.example.id),
        )
        target, mass = share * whole, 0.0
        for one in own:
            if mass + one.base / 2 > target:
                break
            mass += one.base
            drawn.add(id(one))
    return drawn


def _summed(kept: Sequence[_Kept], left: dict[str, list[str]]) -> Prepared:
    if not kept:
        why = ", ".join(f"{len(ids)} {reason}" for reason, ids in left.items()) or "no row in any source"
        raise UserError(f"train.data: nothing is left to train on: {why} - mend the sources or the weights")
    by_region: dict[Region, float] = {}
    by_source: dict[str, float] = {}
    for one in kept:
        for region, mass in mass_by_region(one.example.regions, one.example.weights).items():
            by_region[region] = by_region.get(region, 0.0) + mass
        by_source[one.example.source] = by_source.get(one.example.source, 0.0) + one.example.mass
    return Prepared(
        examples=tuple(one.example for one in kept),
        dropped={reason: tuple(ids) for reason, ids in sorted(left.items())},
        cut=tuple(one.example.id for one in kept if one.cut),
        unfaithful=tuple(one.example.id for one in kept if not one.faithful),
        respaced=tuple(one.example.id for one in kept if one.respaced),
        inside=tuple(one.example.id for one in kept if one.inside),
        unaligned=tuple(one.example.id for one in kept if one.unaligned),
        empty=sum(one.example.empty for one in kept),
        empty_trained=sum(_trains_a_block(one.example) for one in kept),
        by_region=by_region,
        by_source=by_source,
        tokens=sum(len(one.example.ids) for one in kept),
        trained=sum(sum(weight > 0 for weight in one.example.weights) for one in kept),
        straddlers=sum(len(one.example.straddlers) for one in kept),
    )


def _trains_a_block(example: Example) -> bool:
    """A token of an empty thinking block is trained."""
    block = (CODES["open"], CODES["close"])
    return example.empty and any(
        weight > 0 and code in block for weight, code in zip(example.weights, example.regions, strict=True)
    )
