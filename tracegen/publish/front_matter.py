"""The YAML that a card begins with: what the Hub shows and `datasets` loads by.

Strings may hold anything and are quoted where a reader might take them for something else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tracegen.publish.contents import Contents, SplitSize
from tracegen.publish.schema import features
from tracegen.recipe import Publish
from tracegen.report import Report

_LICENCES = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0
bigcode-openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear
c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0
cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0
cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl
ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1
lgpl-3.0 lgpl-lr isc h-research intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by
odbl openmdw-1.0 openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl deepfloyd-if-license
fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 grok2-community
gemma unknown other
"""
LICENCES = frozenset(_LICENCES.split())
"""The identifiers that the Hub accepts as `license`; anything else is `other`, with a name."""


def front_matter(report: Report, contents: Contents, settings: Publish) -> str:
    """The YAML block that the card begins with, its `---` lines included."""
    tags = ["reasoning", "tracegen", "chain-of-thought", "synthetic", *sorted(contents.domains)]
    front: dict[str, Any] = {
        **_licence(settings.licence, contents),
        **({"language": list(settings.language)} if settings.language else {}),
        "task_categories": ["text-generation"],
        "tags": tags,
        "size_categories": [_size_category(contents.rows("all"))],
        "pretty_name": title(report, settings),
        "configs": [_config(name, sizes) for name, sizes in contents.sizes.items()],
        "dataset_info": [_info(name, sizes) for name, sizes in contents.sizes.items()],
    }
    return "---\n" + yaml(front) + "---"


def _config(name: str, sizes: Mapping[str, SplitSize]) -> dict[str, Any]:
    files = [{"split": split, "path": f"data/{name}/{split}-*"} for split in sizes]
    default = {"default": True} if name == "verified" else {}
    return {"config_name": name, **default, "data_files": files}


def _info(name: str, sizes: Mapping[str, SplitSize]) -> dict[str, Any]:
    splits = [
        {"name": split, "num_bytes": size.arrow_bytes, "num_examples": size.rows}
        for split, size in sizes.items()
    ]
    return {
        "config_name": name,
        "features": features(),
        "splits": splits,
        "download_size": sum(size.file_bytes for size in sizes.values()),
        "dataset_size": sum(size.arrow_bytes for size in sizes.values()),
    }


def _licence(chosen: str, contents: Contents) -> dict[str, Any]:
    """`license` as the Hub wants it: its own identifiers, and a name for what it does not know."""
    names = [chosen] if chosen else sorted({name for of in contents.sources.values() for name in of if name})
    known = [name.lower() for name in names if name.lower() in LICENCES]
    foreign = [name for name in names if name.lower() not in LICENCES]
    identifiers = list(dict.fromkeys([*known, *(["other"] if foreign else [])])) or ["unknown"]
    front: dict[str, Any] = {"license": identifiers[0] if len(identifiers) == 1 else identifiers}
    if foreign:
        front["license_name"] = ", ".join(foreign)
    return front


def _size_category(rows: int) -> str:
    marks = [(10**3, "1K"), (10**4, "10K"), (10**5, "100K"), (10**6, "1M"), (10**7, "10M"), (10**8, "100M")]
    previous = ""
    for limit, mark in marks:
        if rows < limit:
            return f"{previous}<n<{mark}" if previous else f"n<{mark}"
        previous = mark
    return "100M<n<1B"


def yaml(value: Mapping[str, Any]) -> str:
    """A tree of dicts, lists, strings, numbers and booleans as YAML in block style.

    Keys have to be plain words. Every string is either a plain word that no version of YAML reads as
    something else, or double-quoted.
    """
    return "".join(f"{line}\n" for line in _yaml_mapping(value))


def _yaml_mapping(mapping: Mapping[str, Any]) -> Iterable[str]:
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            yield f"{key}:"
            yield from (f"  {line}" for line in _yaml_mapping(value))
        elif isinstance(value, list):
            yield f"{key}:" if value else f"{key}: []"
            yield from _yaml_sequence(value)
        else:
            yield f"{key}: {_yaml_scalar(value)}"


def _yaml_sequence(items: Sequence[Any]) -> Iterable[str]:
    for item in items:
        lines = _yaml_mapping(item) if isinstance(item, Mapping) else [_yaml_scalar(item)]
        for number, line in enumerate(lines):
            yield f"{'  ' if number else '- '}{line}"


_PLAIN = re.compile(r"[A-Za-z][\w./*-]*", re.ASCII)
_READ_OTHERWISE = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"))


def _yaml_scalar(value: str | int | float | bool) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _READ_OTHERWISE:
        return value
    return '"' + "".join(map(_yaml_character, value)) + '"'


def _yaml_character(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    return f"\\U{ord(character):08x}" if ord(character) > 0xFFFF else f"\\u{ord(character):04x}"


def title(report: Report, settings: Publish) -> str:
    """The dataset's title on one line."""
    return " ".join((settings.title or report.name).split())
