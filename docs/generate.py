"""Write docs/recipe.md from the schema itself: every table, key, type, default and its meaning.

`python docs/generate.py` rewrites the file; a test holds the two together.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLES = {
    "Recipe": "(top level)",
    "ProblemSource": "[[problems]]",
    "Columns": "[problems.columns]",
    "TeacherBase": "[teacher], [recovery], [rewrite] and [verify.judge]",
    "Sampling": "[teacher.sampling]",
    "Elicit": "[teacher.elicit]",
    "OpenAITeacher": 'kind = "openai"',
    "VllmTeacher": 'kind = "vllm"',
    "TransformersTeacher": 'kind = "transformers"',
    "LocalTeacher": 'kind = "local"',
    "ReplayTeacher": 'kind = "replay"',
    "Verify": "[verify]",
    "CodeLimits": "[verify.code]",
    "Flags": "[flags]",
    "Select": "[select]",
    "Publish": "[publish]",
    "Train": "[train]",
    "TrainSource": "[[train.data]]",
    "TrainColumns": "[train.data.columns], beside those of [problems.columns]",
    "Sft": '[train.method] kind = "sft"',
    "Kd": '[train.method] kind = "kd"',
    "Logits": '[train.method] kind = "logits"',
    "Gkd": '[train.method] kind = "gkd"',
    "StepByStep": '[train.method] kind = "step_by_step"',
    "RowRule": "[[train.row_weights]]",
    "Stage": "[[train.stages]]",
    "Lora": "[train.lora]",
    "Monitor": "[train.monitor]",
    "Evaluate": "[evaluate]",
    "EvaluationSet": "[[evaluate.problems]]",
    "Distill": "[distill]",
}
HEAD = """# Recipe reference

A recipe is one TOML file. Keys without a default are required. An unknown key is an error that names the
nearest one. `--set table.key=value` overrides a key on the command line; the value is TOML.

This page is written from the schema by `python docs/generate.py`.
"""


def page() -> str:
    """The whole page."""
    classes = {**_classes("data.py"), **_classes("recipe.py"), **_classes("student.py")}
    return "\n".join([HEAD, *(_table(title, classes[name]) for name, title in TABLES.items())])


def _classes(file: str) -> dict[str, ast.ClassDef]:
    tree = ast.parse((ROOT / "tracegen" / file).read_text(encoding="utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def _table(title: str, node: ast.ClassDef) -> str:
    lines = [
        f"## {title}",
        "",
        ast.get_docstring(node) or "",
        "",
        "| key | type | default | meaning |",
        "|---|---|---|---|",
    ]
    for field, after in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            default = ast.unparse(field.value) if field.value else "required"
            cells = [field.target.id, ast.unparse(field.annotation), default, _doc(after)]
            lines.append("| " + " | ".join(_cell(cell, code=n < 3) for n, cell in enumerate(cells)) + " |")
    return "\n".join([*lines, ""])


def _doc(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return " ".join(str(node.value.value).split())
    return ""


def _cell(text: str, *, code: bool) -> str:
    escaped = text.replace("|", "\\|")
    return f"`{escaped}`" if code and text else escaped


if __name__ == "__main__":
    (ROOT / "docs" / "recipe.md").write_text(page(), encoding="utf-8")
