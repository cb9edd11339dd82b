"""The repository …"""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

import pytest

from tracegen import recipe

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "tracegen").rglob("*.py"))
ORDER = """errors files frame syntax interrupts data resources languages recipe student rows store suites
problems prompts teachers policy flags select vote plan sandbox verify sample records report ledger publish
run estimate showing grade verifying classes train evaluate distill export progress cli __main__
""".split()  # noqa: SIM905 - a list of thirty quoted words is harder to read
"""From what stands on nothing to what stands on all; `verify` may use what stands before it, and so on."""


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_ships_recipes_that_parse(path: Path) -> None:
    assert recipe.load(path).name == path.stem


def test_documents_every_key_of_a_recipe() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "generate.py"))["page"]()
    assert page == (ROOT / "docs" / "recipe.md").read_text(encoding="utf-8"), "run python docs/generate.py"


def imported(path: Path) -> set[str]:
    """First names below tracegen that a module imports while it is loaded, not inside a function."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module == "tracegen":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tracegen."):
            found.add(str(node.module).split(".")[1])
    return found - {"__version__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT / "tracegen")))
def test_imports_point_down_only(path: Path) -> None:
    own = path.relative_to(ROOT / "tracegen").parts[0].removesuffix(".py")
    if own == "__init__":
        return
    above = {name for name in imported(path) if name != own and ORDER.index(name) >= ORDER.index(own)}
    assert not above, f"{own} imports {above}"


def shared_names() -> set[tuple[Path, str]]:
    """Every name of a module that another module imports, with the module's file."""
    found = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tracegen."):
                place = ROOT / str(node.module).replace(".", "/")
                file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
                found |= {(file, alias.name) for alias in node.names}
    return found


def test_documents_every_module_class_and_shared_function() -> None:
    shared = shared_names()
    missing = []
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        nodes: list[ast.AST] = [tree]
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                nodes.append(node)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (path, node.name) in shared:
                nodes.append(node)
        missing += [
            f"{path.relative_to(ROOT)}: {getattr(node, 'name', 'module')}"
            for node in nodes
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and not ast.get_docstring(node)
        ]
    assert not missing


def test_never_evaluates_text() -> None:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec"}, f"{path}:{node.lineno}"
            if isinstance(node, ast.keyword) and node.arg == "shell":
                pytest.fail(f"{path}:{node.lineno}: a shell string")


def test_explains_every_ignored_check() -> None:
    for path in [*MODULES, *(ROOT / "tests").rglob("*.py")]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if re.search(r"# (noqa|type: ignore)", line):
                explained = re.search(r"(noqa: [A-Z0-9, ]+|type: ignore\[[\w, -]+\]) *( - |  # |#)", line)
                assert explained, f"{path}:{number}"
