"""The loss made visible: which tokens are trained, how much, and where the mass of a dataset lies.

Rows are shown as runs of tokens of one region and weight, in the terminal or as one HTML file that loads
nothing. What models wrote is untrusted: it is escaped, and control characters are replaced. Only the
tokenizer is loaded.
"""

from __future__ import annotations

import html
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tracegen import frame
from tracegen.data import Struct
from tracegen.errors import UserError
from tracegen.student import Region, Train
from tracegen.train import regions, sources
from tracegen.train.example import REGIONS, Example
from tracegen.train.prepare import Maker, Prepared, prepare
from tracegen.train.render import Treatment, load_tokenizer
from tracegen.train.weights import leading, scheme

if TYPE_CHECKING:
    from rich.console import Console

COLOURS: dict[Region, tuple[str, str]] = {
    "prompt": ("bright_black", "#8a8f98"),
    "open": ("magenta", "#c026d3"),
    "think": ("blue", "#2563eb"),
    "close": ("red", "#dc2626"),
    "answer": ("green", "#15803d"),
    "eot": ("yellow", "#b45309"),
}
"""Of each region in the terminal and on the page."""
EXAMPLES_OF_IDS = 3
"""Ids that are shown beside a count of rows."""


class Piece(Struct, frozen=True):
    """Neighbouring tokens of one region and weight."""

    region: Region
    weight: float
    text: str
    tokens: int
    special: bool = False
    """A token of the vocabulary's added ones, such as `<|im_end|>`."""
    straddles: bool = False
    """A token over a boundary; it belongs to the region that it is shown in."""


class Shown(Struct, frozen=True):
    """A row as it is trained on."""

    id: str
    source: str
    tokens: int
    trained: int
    mass: float
    pieces: tuple[Piece, ...]


class Part(Struct, frozen=True):
    """What a region or a source has of the loss."""

    weight: float
    """Of the region in the recipe; of a source its rows' weight."""
    rows: int
    tokens: int
    mass: float
    share: float
    """Of the whole mass."""


class Mask(Struct, frozen=True):
    """Everything that the command shows."""

    rows: tuple[Shown, ...]
    regions: dict[Region, Part]
    sources: dict[str, Part]
    examples: int
    tokens: int
    trained: int
    straddlers: int
    empty: int
    empty_trained: int
    dropped: dict[str, tuple[str, ...]]
    cut: tuple[str, ...]
    unfaithful: tuple[str, ...]
    template: Treatment
    lead: str
    """What the beginning of every thinking weighs more; empty where it is like the rest."""


def look(train: Train, base: Path, row: str = "", limit: int = 3, stage: int = 0) -> Mask:
    """The loss of a recipe: `limit` rows (0: all), or those whose id begins with `row`, and all the sums.

    `stage` counts from 1; 0 takes the weights of `[train]`. Raises UserError where the data or the tokenizer
    cannot be read, or there is no such row or stage.
    """
    if stage < 0 or stage > len(train.stages):
        raise UserError(f"--stage {stage}: the recipe has {len(train.stages)} stages")
    chosen = train.stages[stage - 1] if stage else None
    tokenizer = load_tokenizer(train, base)
    prepared = prepare(train, tokenizer, sources.rows(train, base), chosen)
    found = [one for one in prepared.examples if one.id.startswith(row)]
    if row and not found:
        raise UserError(_absent(row, prepared))
    shown = tuple(_shown(tokenizer, one) for one in (found[:limit] if limit else found))
    weights = scheme(train, chosen)
    return Mask(
        rows=shown,
        regions=_by_region(prepared, weights.by_region),
        sources=_by_source(prepared, train),
        examples=len(prepared.examples),
        tokens=prepared.tokens,
        trained=prepared.trained,
        straddlers=prepared.straddlers,
        empty=prepared.empty,
        empty_trained=prepared.empty_trained,
        dropped=prepared.dropped,
        cut=prepared.cut,
        unfaithful=prepared.unfaithful,
        template=Maker(train, tokenizer).template({}).treatment,
        lead=leading(weights),
    )


def to_json(mask: Mask) -> str:
    """The mask as JSON."""
    return msgspec.json.format(msgspec.json.encode(mask), indent=2).decode()


def show(mask: Mask, console: Console) -> None:
    """Write rows and sums to a terminal; without colours the regions stand before the text."""
    from rich.text import Text

    for row in mask.rows:
        console.print(Text(f"── {_clean(row.id)}  {_clean(row.source)}, {_counts(row)}", style="bold"))
        for piece in row.pieces:
            console.print(_line(piece), soft_wrap=True)
        console.print()
    for title, parts in (("region", mask.regions), ("source", mask.sources)):
        console.print(_table(title, parts))
    for line in _findings(mask):
        console.print(Text(line), soft_wrap=True)


def to_html(mask: Mask, title: str) -> str:
    """One page without scripts that loads nothing from anywhere."""
    legend = " ".join(f'<span class="{region}">{region}</span>' for region in REGIONS)
    body = [
        f'<p>{legend} <span class="special">special token</span> '
        '<span class="straddles">over a boundary</span> <span class="untrained">not trained</span></p>',
        *(_html_table(name, parts) for name, parts in (("region", mask.regions), ("source", mask.sources))),
        "<ul>",
        *(f"<li>{_escape(line)}</li>" for line in _findings(mask)),
        "</ul>",
        *map(_html_row, mask.rows),
    ]
    return frame.page(_clean(title), body, _styles())


# --- what is shown


def _absent(row: str, prepared: Prepared) -> str:
    for reason, ids in prepared.dropped.items():
        if any(id_.startswith(row) for id_ in ids):
            return f"row {row!r} is not trained on: {reason}"
    return f"no row has an id that begins with {row!r} - leave --row out to see the first ones"


def _shown(tokenizer: Any, example: Example) -> Shown:
    return Shown(
        id=example.id,
        source=example.source,
        tokens=len(example.ids),
        trained=sum(weight > 0 for weight in example.weights),
        mass=example.mass,
        pieces=tuple(_pieces(tokenizer, example)),
    )


def _pieces(tokenizer: Any, example: Example) -> Iterator[Piece]:
    added, straddlers = tokenizer.added_tokens_decoder, set(example.straddlers)
    texts = _texts(tokenizer, example)

    def kind(index: int) -> tuple[int, float, bool, bool]:
        special = example.ids[index] in added
        return example.regions[index], example.weights[index], special, index in straddlers

    for (code, weight, special, straddles), run in itertools.groupby(range(len(example.ids)), kind):
        found = list(run)
        text = "".join(texts[index] for index in found)
        yield Piece(REGIONS[code], weight, text, len(found), special, straddles)


def _texts(tokenizer: Any, example: Example) -> list[str]:
    """The text of each token; of several in one character the first one has it."""
    ids = list(example.ids)
    text = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    again = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    offsets = again["offset_mapping"] if again["input_ids"] == ids else ()
    bounds = regions.bounds_of(tokenizer, ids, offsets, text)
    if bounds is None:
        return [tokenizer.decode([id_]) for id_ in ids]
    ends = [0, *itertools.accumulate((end for _, end in bounds), max)]
    return [text[start:end] for start, end in itertools.pairwise(ends)]


def _by_region(prepared: Prepared, weights: dict[Region, float]) -> dict[Region, Part]:
    counts = [0] * len(REGIONS)
    rows = [0] * len(REGIONS)
    for one in prepared.examples:
        for code in range(len(REGIONS)):
            count = one.regions.count(code)
            counts[code] += count
            rows[code] += count > 0
    whole = sum(prepared.by_region.values())
    return {
        region: Part(
            weights[region], rows[code], counts[code], mass := prepared.by_region[region], mass / whole
        )
        for code, region in enumerate(REGIONS)
    }


def _by_source(prepared: Prepared, train: Train) -> dict[str, Part]:
    whole = sum(prepared.by_source.values())
    found = {}
    for name, source in zip(sources.names(train), train.data, strict=True):
        own = [one for one in prepared.examples if one.source == name]
        mass = prepared.by_source.get(name, 0.0)
        found[name] = Part(source.weight, len(own), sum(len(one.ids) for one in own), mass, mass / whole)
    return found


def _counts(row: Shown) -> str:
    return f"{row.tokens} tokens, {row.trained} trained, mass {row.mass:g}"


def _findings(mask: Mask) -> Iterator[str]:
    """What there is to know beside the tables, a line each."""
    seen = mask.template
    yield (
        f"{mask.examples} rows, {mask.tokens} tokens, {mask.trained} trained,"
        f" {mask.straddlers} over a boundary"
    )
    if mask.lead:
        yield mask.lead
    yield f"{mask.empty} rows without thinking, {mask.empty_trained} of them with a trained empty block"
    yield (
        f"chat template: inline thinking {seen.inline}, reasoning field {seen.field}, earlier thinking"
        f" {seen.history}; the generation prompt supplies {seen.supplies}; rows are put together from"
        f" {seen.way}"
    )
    yield from _listed("cut to max_tokens", mask.cut)
    yield from _listed("rendered otherwise by the chat template itself", mask.unfaithful)
    for reason, ids in mask.dropped.items():
        yield from _listed(f"dropped: {reason}", ids)


def _listed(what: str, ids: Sequence[str]) -> Iterator[str]:
    if ids:
        more = ", …" if len(ids) > EXAMPLES_OF_IDS else ""
        yield _clean(f"{len(ids)} {what} ({', '.join(ids[:EXAMPLES_OF_IDS])}{more})")


def _clean(text: str) -> str:
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)


def _visible(text: str) -> str:
    """The text with line ends that can be seen, and no other control character."""
    return _clean(text.replace("\n", "⏎\n")).replace("\t", "⇥\t")


# --- terminal


def _line(piece: Piece) -> Any:
    from rich.text import Text

    colour = COLOURS[piece.region][0]
    text = Text(f"{piece.region:>6} {piece.weight:<5.3g} ", style="bold" if piece.weight else "dim")
    body = _visible(piece.text)
    body = f"⟦{body}⟧" if piece.straddles else body
    style = f"{colour}{' reverse' if piece.special else ''}{'' if piece.weight else ' dim'}"
    text.append(body.removesuffix("\n").replace("\n", "\n             "), style=style)
    return text


def _table(title: str, parts: Any) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(title, "weight", "rows", "tokens", "mass", "share of the loss", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, part in parts.items():
        style = COLOURS[name][0] if name in COLOURS else ""
        table.add_row(Text(_clean(name), style=style), *_cells(part))
    return table


def _cells(part: Part) -> tuple[str, ...]:
    return (f"{part.weight:g}", str(part.rows), str(part.tokens), f"{part.mass:.1f}", f"{part.share:.1%}")


# --- page

STYLE = """
pre { border: 1px solid #8884; padding: 1em }
.special { font-weight: bold; border: 1px solid; border-radius: 3px }
.straddles { outline: 2px dashed }
.untrained { opacity: .55 }
"""


def _styles() -> str:
    return STYLE + "\n".join(
        f".{region} {{ color: {colour}; background: {colour}14 }}" for region, (_, colour) in COLOURS.items()
    )


def _html_row(row: Shown) -> str:
    head = f"<h2>{_escape(row.id)}</h2>\n<p>{_escape(row.source)}, {_escape(_counts(row))}</p>"
    return f"{head}\n<pre>{''.join(map(_html_piece, row.pieces))}</pre>"


def _html_piece(piece: Piece) -> str:
    marks = ("special" * piece.special, "straddles" * piece.straddles, "untrained" * (piece.weight == 0))
    names = " ".join(filter(None, (piece.region, *marks)))
    hint = f"{piece.region}, weight {piece.weight:g}, {piece.tokens} tokens"
    return f'<span class="{names}" title="{_escape(hint)}">{_escape(_visible(piece.text))}</span>'


def _html_table(title: str, parts: Any) -> str:
    names = ("weight", "rows", "tokens", "mass", "share of the loss")
    rows = [[_escape(cell) for cell in (name, *_cells(part))] for name, part in parts.items()]
    return frame.table([(title, ""), *((name, "n") for name in names)], rows)


def _escape(text: str) -> str:
    return html.escape(_clean(text), quote=True)
