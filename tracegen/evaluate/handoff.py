"""The same problems for other harnesses: a task for lm-eval and one for LightEval, and the commands.

Both compare answers in their own, simpler ways, so their numbers are another opinion, not a check of ours
to the digit. Handed over are mathematics and multiple choice with the user's turn of our prompt; programs
and reasoning_gym's problems are not, since neither harness has our sandbox or its scorers, and neither are
worked examples and system texts of a prompt.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

from tracegen.data import ChoiceAnswer, MathAnswer, Problem
from tracegen.evaluate.results import Evaluation
from tracegen.evaluate.settings import ProblemSet, Task
from tracegen.plan import Plan
from tracegen.problems import bare_answer
from tracegen.recipe import OpenAITeacher, Recipe, ReplayTeacher

FOLDER = "handoff"
TASK_NAME = re.compile(r"\W+")
YAML = """\
# {name} for lm-evaluation-harness, with the prompt that tracegen asked with.
task: {task}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {file}
test_split: test
output_type: generate_until
doc_to_text: "{{{{prompt}}}}"
doc_to_target: "{{{{answer}}}}"
num_fewshot: 0
generation_kwargs:
  until: []
  max_gen_toks: {max_tokens}
  do_sample: {do_sample}
  temperature: {temperature}
  top_p: {top_p}
repeats: 1
filter_list:
  - name: boxed
    filter:
      - function: regex
        group_select: -1
        regex_pattern: '\\\\boxed\\{{(?:\\\\text\\{{)?([^{{}}]*)\\}}'
      - function: take_first
  - name: last-number
    filter:
      - function: regex
        group_select: -1
        regex_pattern: '(-?[0-9][0-9,]*(?:\\.[0-9]+)?)'
      - function: take_first
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
    ignore_case: true
    regexes_to_ignore:
      - ','
      - '\\$'
      - '\\.0*$'
metadata:
  version: 1.0
"""
PYTHON = '''\
"""{name} for LightEval, with the prompt that tracegen asked with."""

from pathlib import Path

from lighteval.metrics.metrics import Metrics
from lighteval.tasks.lighteval_task import LightevalTaskConfig
from lighteval.tasks.requests import Doc

FOLDER = Path(__file__).parent


def prompt(line, task_name=None):
    return Doc(task_name=task_name, query=line["prompt"], choices=[line["answer"]], gold_index=0)


TASKS_TABLE = [
    LightevalTaskConfig(
        name=name,
        prompt_function=prompt,
        hf_repo=str(FOLDER / name),
        hf_subset="default",
        hf_avail_splits=["test"],
        evaluation_splits=["test"],
        few_shots_split=None,
        few_shots_select=None,
        generation_size={max_tokens},
        stop_sequence=[],
        metrics=[Metrics.expr_gold_metric],
        version=1,
    )
    for name in {tasks}
]
'''


def write(task: Task, evaluation: Evaluation) -> None:
    """Write `handoff/` of an evaluation anew: the tasks, their problems, and README.md with the commands."""
    folder = (task.directory / FOLDER).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    model = task.sides["model"]
    plan = Plan(model, task.base)
    written = [name for one in task.sets if (name := _set(one, plan, folder))]
    if not written:
        return
    code = PYTHON.format(
        name=evaluation.name, max_tokens=model.teacher.sampling.max_tokens, tasks=json.dumps(written)
    )
    (folder / "lighteval" / "tasks.py").write_text(code, encoding="utf-8")
    (folder / "README.md").write_text(_readme(task, written, folder), encoding="utf-8")


def commands(model: Recipe, named: str, tasks: list[str], folder: Path) -> tuple[str, str]:
    """What to type for lm-eval and for LightEval."""
    sampling, close = model.teacher.sampling, model.teacher.elicit.close
    lm_eval = [
        *(
            "lm_eval",
            "--model",
            "hf",
            "--model_args",
            f"pretrained={named},dtype=bfloat16,think_end_token={close}",
        ),
        *("--tasks", ",".join(tasks), "--include_path", str(folder / "lm_eval"), "--apply_chat_template"),
        *("--batch_size", "16", "--log_samples", "--output_path", str(folder / "lm_eval" / "results")),
    ]
    generation = (
        f"{{max_new_tokens:{sampling.max_tokens},temperature:{sampling.temperature},top_p:{sampling.top_p}}}"
    )
    lighteval = [
        *("lighteval", "accelerate", f"model_name={named},dtype=bfloat16,generation_parameters={generation}"),
        *(",".join(f"{task}|0" for task in tasks), "--custom-tasks", str(folder / "lighteval" / "tasks.py")),
        *("--remove-reasoning-tags", "--output-dir", str(folder / "lighteval" / "results")),
    ]
    return shlex.join(lm_eval), shlex.join(lighteval)


def _set(one: ProblemSet, plan: Plan, folder: Path) -> str:
    """The files of one set; returns the name of its task, empty where nothing can be handed over."""
    lines = [line for problem in one.problems if (line := _line(problem, plan))]
    if not lines:
        return ""
    name = f"tracegen_{TASK_NAME.sub('_', one.name).lower()}"
    for file in (folder / "lm_eval" / f"{name}.jsonl", folder / "lighteval" / name / "test.jsonl"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    sampling = plan.recipe.teacher.sampling
    text = YAML.format(
        name=one.name,
        task=name,
        file=json.dumps(str(folder / "lm_eval" / f"{name}.jsonl")),
        max_tokens=sampling.max_tokens,
        do_sample=str(sampling.temperature > 0).lower(),
        temperature=float(sampling.temperature),
        top_p=float(sampling.top_p),
    )
    (folder / "lm_eval" / f"{name}.yaml").write_text(text, encoding="utf-8")
    return name


def _line(problem: Problem, plan: Plan) -> str:
    match problem.reference:
        case MathAnswer(answer):
            wanted = bare_answer(answer).removesuffix(".0")
        case ChoiceAnswer(label):
            wanted = label
        case _:
            return ""
    prompt = plan.ask(problem, "first", 0, plan.recipe.teacher.sampling.max_tokens).messages[-1].content
    return json.dumps({"id": problem.id, "prompt": prompt, "answer": wanted}, ensure_ascii=False)


def _readme(task: Task, tasks: list[str], folder: Path) -> str:
    parts = [
        "# The same problems in other harnesses\n\n"
        "They compare answers in their own ways: boxes and numbers as text (lm-eval), expressions "
        "(LightEval). Programs, procedural problems, worked examples and system texts are left out.\n"
    ]
    for side, settings in task.sides.items():
        teacher = settings.teacher
        if isinstance(teacher, ReplayTeacher | OpenAITeacher):
            continue
        place = task.base / teacher.model
        named = str(place.resolve()) if place.is_dir() else teacher.model
        typed = commands(settings, named, tasks, folder)
        parts.append(f"\n## {side}\n\n```sh\n" + "\n\n".join(typed) + "\n```\n")
    return "".join(parts)
