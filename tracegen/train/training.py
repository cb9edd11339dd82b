"""From a recipe's [train] to a student: the contents page of training.

    rows -> examples -> checks -> schedule -> steps, watched -> the student's directory

Running the same recipe again goes on from the last whole checkpoint, with the batches that it would have
had. Only the first rank speaks and writes.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tracegen import recipe
from tracegen.data import Struct, digest
from tracegen.errors import TeacherError, UserError
from tracegen.student import Gkd, Kd, Logits, Stage, StepByStep, Student, Train
from tracegen.teachers.distribution import tokenizer_hash
from tracegen.train import checks, loading, saving, sources
from tracegen.train.checks import Finding
from tracegen.train.example import CODES, Example
from tracegen.train.pack import pack
from tracegen.train.prepare import Maker, Prepared, prepare, split
from tracegen.train.render import load_tokenizer
from tracegen.train.schedule import Micro, Schedule, by_length, plan
from tracegen.train.sources import Row

CPU_TOKENS = 2048
"""A longer pack is no faster on a CPU, and takes more memory."""
PROBE_TOKENS = 512
"""Of the timed step."""
Say = Callable[[str], None]
Show = Callable[[Sequence[Finding]], None]


class Data(Struct, frozen=True):
    """What is trained on, stage by stage, and what is held out."""

    prepared: tuple[Prepared, ...]
    stages: tuple[tuple[Example, ...], ...]
    held: tuple[Example, ...]


class Result(Struct, frozen=True):
    """What became of a training."""

    directory: Path
    findings: tuple[Finding, ...]
    state: saving.State | None
    """None where only the checks were asked for."""


def command(settings: Student, base: Path, directory: Path, say: Say, *, check: bool, as_json: bool) -> int:
    """What `tracegen train` does and prints; the exit code: 0, 1 where the monitor stopped it, 2 refused."""
    speak: Say = say if _main() else lambda text: None
    result = train(settings, base, directory, speak, check=check, show=_table(as_json) if _main() else None)
    refused = any(one.verdict == "refuse" for one in result.findings)
    stopped = result.state is not None and result.state.status == "stopped"
    if as_json and _main():
        print(to_json(result))  # noqa: T201 - the data that was asked for
    elif _main() and result.state is not None:
        for text in result.state.warnings[-1:]:
            say(f"monitor: {text}")
        print(result.directory)  # noqa: T201 - the data that was asked for
    return 2 if refused else 1 if stopped else 0


def _table(as_json: bool) -> Show | None:
    if as_json:
        return None
    from rich.console import Console

    return lambda findings: Console(highlight=False, stderr=True).print(checks.to_table(findings))


def to_json(result: Result) -> str:
    """The result as indented JSON: the directory, every check, how the training ended."""
    return msgspec.json.format(msgspec.json.encode(result, enc_hook=str), indent=2).decode()


def train(
    settings: Student,
    base: Path,
    directory: Path,
    say: Say,
    *,
    check: bool = False,
    show: Show | None = None,
) -> Result:
    """Check, train and save the student of `settings`; with `check` only the first. `show` gets the findings.

    Raises UserError where a check refuses, a loss is no number, the disk is full, or the directory is that
    of another training.
    """
    wanted = settings.train
    if wanted is None:
        raise UserError(f"recipe {settings.name!r}: has no [train] table - add one with model = …")
    loading.refuse_unable(wanted)
    wanted = loading.settled(wanted)
    settings = msgspec.structs.replace(settings, train=wanted)
    state = None if check else saving.read_state(directory)
    tokenizer = load_tokenizer(wanted, base)
    data = read(wanted, tokenizer, base)
    folder = _folder(wanted, base)
    ends = _ends(folder, tokenizer, data)
    found = data_findings(wanted, tokenizer, data, base)
    if any(one.verdict == "refuse" for one in found):
        return _refused(found, directory, show, check=check)
    ranks = _ranks()
    schedule = scheduled(wanted, data, ranks)
    found.append(checks.steps(schedule, _tokens(data, schedule), wanted))
    mark = fingerprint(wanted, data, folder, ranks)
    if state is not None and state.fingerprint != mark:
        raise UserError(
            f"{directory}: holds a student of another model, dataset or recipe - give another output, "
            "or delete it"
        )
    if state is not None and state.status != "training":
        say(f"{directory}: already trained ({state.status})")
        return Result(directory, (), state)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch and transformers, about defaults that we chose
        if isinstance(wanted.method, Gkd) and not check:
            return _on_policy(
                settings, wanted, wanted.method, base, directory, say, tokenizer, data, found, mark, ends
            )
        model, more = model_findings(wanted, folder, data, schedule)
        found += more
        if check or any(one.verdict == "refuse" for one in found):
            return _refused(found, directory, show, check=check)
        if show:
            show(found)
        return _run(
            settings, wanted, base, directory, say, tokenizer, data, schedule, model, found, mark, ends
        )


def read(train: Train, tokenizer: Any, base: Path) -> Data:
    """The examples of every stage, and the held-out ones with the weights of `[train]`.

    Raises UserError where nothing is left to train on.
    """
    stages: tuple[Stage | None, ...] = train.stages or (None,)
    made = tuple(prepare(train, tokenizer, rows(train, base), stage) for stage in stages)
    if not any(one.examples for one in made):
        return Data(made, tuple(() for _ in made), ())
    parts = [split(one.examples, train.validation_share, train.seed) for one in made]
    kept = [_balanced(part, train) for part, _ in parts]
    return Data(made, tuple(kept), parts[0][1])


def rows(train: Train, base: Path) -> Any:
    """The rows as the method trains them: step_by_step has two tasks of each (Hsieh et al. 2023)."""
    found = sources.rows(train, base)
    if not isinstance(train.method, StepByStep):
        return found
    return (task for row in found for task in tasks(row, train.method))


def tasks(row: Row, method: StepByStep) -> list[Row]:
    """The rationale and the label of a row, each an answer without thinking to a prompt that names it."""
    if row.refused or not (row.thinking or "").strip():
        return [row] if row.refused else [msgspec.structs.replace(row, refused="no rationale")]
    return [
        msgspec.structs.replace(
            row,
            id=f"{row.id}#{name}",
            turns=(
                *row.turns[:-1],
                msgspec.structs.replace(row.turns[-1], content=f"[{name}] {row.turns[-1].content}"),
            ),
            thinking=None,
            answer=text,
            weight=row.weight * weight,
        )
        for name, text, weight in (
            ("rationale", str(row.thinking).strip(), method.rationale),
            ("label", row.answer, 1.0),
        )
        if weight > 0
    ]


def _balanced(examples: Sequence[Example], train: Train) -> tuple[Example, ...]:
    """For step_by_step: label tasks scaled so that both losses are means over their own tokens."""
    if not isinstance(train.method, StepByStep):
        return tuple(examples)
    label = [one for one in examples if one.id.endswith("#label")]
    rationale = [one for one in examples if not one.id.endswith("#label")]
    by_label, by_rationale = (sum(one.mass for one in part) for part in (label, rationale))
    if not by_label or not by_rationale:
        return tuple(examples)
    factor = by_rationale / (train.method.rationale * by_label)
    return tuple(_scaled(one, factor) if one.id.endswith("#label") else one for one in examples)


def _scaled(example: Example, factor: float) -> Example:
    from array import array

    return msgspec.structs.replace(example, weights=array("f", (w * factor for w in example.weights)))


def data_findings(train: Train, tokenizer: Any, data: Data, base: Path) -> list[Finding]:
    """The checks that need no model."""
    treatment = Maker(train, tokenizer).template({}).treatment
    first = data.prepared[0]
    ends = _configured_ends(_folder(train, base))
    found = [checks.template(treatment, first)]
    if not first.examples:
        why = ", ".join(f"{len(ids)} {reason}" for reason, ids in first.dropped.items()) or "no rows"
        return [
            *found,
            Finding("rows", "refuse", f"nothing is left to train on ({why})", {}, "see train.data"),
        ]
    found += [checks.round_trip(tokenizer, first.examples, first), checks.padding(tokenizer)]
    stages: tuple[Stage | None, ...] = train.stages or (None,)
    for number, (one, part) in enumerate(zip(data.prepared, data.stages, strict=True)):
        name = f", stage {number + 1}" if len(stages) > 1 else ""
        thinks = None if isinstance(train.method, StepByStep) else checks.thinking(one, train)
        each = [
            checks.rows(one, train),
            thinks,
            checks.delimiters(one, train),
            checks.untrained(part),
            checks.stop(tokenizer, ends, part, train),
        ]
        found += [msgspec.structs.replace(one, name=one.name + name) for one in each if one]
    soft = checks.soft_targets(first, train)
    if isinstance(train.method, Logits):
        other = load_tokenizer(msgspec.structs.replace(train, model=train.method.teacher, revision=""), base)
        soft = checks.same_tokenizer(tokenizer_hash(tokenizer), tokenizer_hash(other), train)
    return [*found, *([soft] if soft else [])]


def scheduled(train: Train, data: Data, ranks: int) -> Schedule:
    """All batches of the training."""
    epochs = [stage.epochs for stage in train.stages] or [train.epochs]
    lengths = [[len(example.ids) for example in stage] for stage in data.stages]
    return plan(
        list(zip(lengths, epochs, strict=True)),
        capacity=_capacity(train, data),
        batch_tokens=train.batch_tokens,
        ranks=ranks,
        seed=train.seed,
        group=pack if train.packing else by_length,
        max_steps=train.max_steps,
    )


def _capacity(train: Train, data: Data) -> int:
    """Tokens of one forward pass: as the recipe says, on a CPU fewer, and never less than the longest row."""
    import torch

    most = train.device_tokens if torch.cuda.is_available() else min(train.device_tokens, CPU_TOKENS)
    return max(
        [min(most, train.batch_tokens // _ranks()), *(len(one.ids) for stage in data.stages for one in stage)]
    )


def model_findings(train: Train, folder: Path, data: Data, schedule: Schedule) -> tuple[Any, list[Finding]]:
    """The model, ready to be trained, and the checks that need it."""
    import torch

    torch.manual_seed(train.seed)
    examples = data.stages[0]
    model = loading.load(train.model, folder, train=train)
    if torch.cuda.is_available() and _ranks() == 1 and not (train.lora and train.lora.quantize):
        model.to("cuda")
    found = []
    attention = ""
    if train.packing:
        finding, attention = checks.packing(model, examples)
        found.append(finding)
    model, chunked = loading.prepare(model, train, attention)
    capacity = _capacity(train, data)
    found.append(checks.head(chunked, model.config.get_text_config().vocab_size, capacity))
    if _ranks() == 1:
        found.append(_timed(model, train, examples, capacity, _tokens(data, schedule)))
    return model, found


def _timed(model: Any, train: Train, examples: Sequence[Example], capacity: int, tokens: int) -> Finding:
    """A forward and a backward pass over a few rows, and what it says of all."""
    import psutil
    import torch

    from tracegen.train.trainer import packed, summed_loss

    rows: list[int] = []
    size = 0
    while not rows or (size < PROBE_TOKENS and len(rows) < len(examples)):
        rows.append(len(rows))
        size += len(examples[rows[-1]].ids)
    device = next(model.parameters()).device
    batch = packed(examples, rows if train.packing else rows[:1])
    size = batch["input_ids"].shape[1]
    batch = {name: value.to(device) if hasattr(value, "to") else value for name, value in batch.items()}
    held: dict[int, int] = {}

    def keep(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        held[storage.data_ptr()] = storage.nbytes()
        return tensor

    model.train()
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    with (
        torch.random.fork_rng(),
        torch.autocast(device.type, torch.bfloat16, enabled=train.dtype == "bfloat16"),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        begin = time.perf_counter()
        summed_loss(model, batch, torch.tensor(1e-6, device=device)).backward()
        seconds = time.perf_counter() - begin
    model.zero_grad(set_to_none=True)
    _, trained = loading.sizes(model)
    activations = sum(size_ for at, size_ in held.items() if at not in weights) * capacity // size
    own = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    if device.type == "cuda":
        free = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved()
    else:
        free = psutil.virtual_memory().available + own
    return checks.cost(seconds, size, tokens, own + activations, free, 12 * trained)


def _run(
    settings: Student,
    train: Train,
    base: Path,
    directory: Path,
    say: Say,
    tokenizer: Any,
    data: Data,
    schedule: Schedule,
    model: Any,
    found: list[Finding],
    mark: str,
    ends: Sequence[int],
) -> Result:
    """Train, watch, save."""
    from transformers import EarlyStoppingCallback, PrinterCallback
    from transformers.utils import logging as noise

    from tracegen.train import card, monitor, report
    from tracegen.train.trainer import (
        Batches,
        Log,
        WeightedTrainer,
        arguments,
        last_checkpoint,
        remove_torn,
    )

    directory.mkdir(parents=True, exist_ok=True)
    main = _main()
    speak: Say = say if main else lambda text: None
    if main:
        saving.write_state(directory, saving.State(fingerprint=mark))
        saving.write(directory / saving.CHECKS, checks.to_json(found))
        saving.write(directory / saving.RECIPE, resolved(settings))
    checkpoints = directory / saving.CHECKPOINTS
    if main:
        remove_torn(checkpoints)
    objectives = _objectives(train, base)
    validation = Batches([data.held], _held_micros(train, data), packing=train.packing) if data.held else None
    callbacks: list[Any] = [Log(directory / saving.LOG, speak, schedule)]
    watch = None
    if train.monitor.action != "off":
        tags = monitor.tags_of(Maker(train, tokenizer).template({}).treatment, train)
        held = monitor.held_prompts(data.held or data.stages[0], tokenizer, tags, train.monitor.prompts)
        if held:
            watch = monitor.Watch(
                train.monitor,
                held,
                tokenizer,
                tags,
                ends,
                monitor.quartiles(_thinking_lengths(data)),
                directory / saving.MONITOR,
                speak,
                dtype=saving.dtype_of(train),
                empty_think=train.empty_think,
            )
            callbacks.append(watch)
    if train.patience and validation is not None:
        callbacks.append(EarlyStoppingCallback(early_stopping_patience=train.patience))
    trainer = WeightedTrainer(
        model=model,
        args=arguments(train, schedule, checkpoints, validate=validation is not None, name=settings.name),
        train_dataset=Batches(
            data.stages, schedule.micros, packing=train.packing, soft=isinstance(train.method, Kd)
        ),
        callbacks=callbacks,
        validation=validation,
        objectives=objectives,
    )
    trainer.remove_callback(PrinterCallback)
    noise.set_verbosity_error()
    noise.disable_progress_bar()
    from_checkpoint = last_checkpoint(checkpoints)
    if from_checkpoint:
        speak(f"going on from {from_checkpoint.name}")
    begin = time.perf_counter()
    with _writing(directory):
        trainer.train(resume_from_checkpoint=str(from_checkpoint) if from_checkpoint else None)
    seconds = time.perf_counter() - begin
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    after = trainer.validation_loss() if validation is not None else math.nan
    with _writing(directory):
        saving.save(trainer, tokenizer, train, _folder(train, base), directory, ends)
    stopped = bool(watch and any(one.stops for one in watch.warned))
    state = saving.State(
        fingerprint=mark,
        status="stopped" if stopped else "done",
        steps=trainer.state.global_step,
        loss=losses[-1] if losses else 0.0,
        validation=after if validation is not None else None,
        seconds=round(seconds, 1),
        warnings=tuple(f"step {one.step}: {one.says} - {one.remedy}" for one in watch.warned)
        if watch
        else (),
        counts=objectives.counts if isinstance(train.method, Kd) else {},
    )
    if main:
        report.write(directory)
        saving.write(directory / "README.md", card.render(settings, train, data.prepared, found, state))
        saving.write_state(directory, state)
        shutil.rmtree(checkpoints, ignore_errors=True)
    return Result(directory, tuple(found), state)


def _on_policy(
    settings: Student,
    train: Train,
    method: Gkd,
    base: Path,
    directory: Path,
    say: Say,
    tokenizer: Any,
    data: Data,
    found: list[Finding],
    mark: str,
    ends: Sequence[int],
) -> Result:
    """On-policy distillation, which has a trainer and a data path of its own."""
    from tracegen.train import card, gkd

    teacher = _folder(msgspec.structs.replace(train, model=method.teacher, revision=""), base)
    folders = (_folder(train, base), teacher)
    directory.mkdir(parents=True, exist_ok=True)
    with _writing(directory):
        trainer, state = gkd.train(
            train, method, list(sources.rows(train, base)), tokenizer, folders, directory, say
        )
        saving.save(trainer, tokenizer, train, folders[0], directory, ends)
    saving.write(directory / saving.CHECKS, checks.to_json(found))
    saving.write(directory / saving.RECIPE, resolved(settings))
    saving.write(directory / "README.md", card.render(settings, train, data.prepared, found, state))
    state = msgspec.structs.replace(state, fingerprint=mark)
    saving.write_state(directory, state)
    shutil.rmtree(directory / saving.CHECKPOINTS, ignore_errors=True)
    return Result(directory, tuple(found), state)


@contextlib.contextmanager
def _writing(directory: Path) -> Iterator[None]:
    """A write that fails becomes one line, and leaves the last whole checkpoint."""
    from tracegen.train.trainer import last_checkpoint, remove_torn, unwritable

    try:
        yield
    except Exception as error:  # torch and safetensors have their own for a full disk
        why = unwritable(error)
        if not why:
            raise
        shutil.rmtree(directory / ".saving", ignore_errors=True)
        remove_torn(directory / saving.CHECKPOINTS)
        last = last_checkpoint(directory / saving.CHECKPOINTS)
        raise UserError(
            f"{directory}: cannot be written: {why} - make room, then run the same command; "
            f"it goes on from {last.name if last else 'the start'}"
        ) from None


def _objectives(train: Train, base: Path) -> Any:
    """What is minimised beside cross-entropy."""
    from tracegen.train import kd

    match train.method:
        case Kd(alpha=alpha, temperature=temperature):
            return kd.Stored(alpha, temperature)
        case Logits(teacher=name, alpha=alpha, temperature=temperature):
            import torch

            as_train = msgspec.structs.replace(train, model=name, revision="", lora=None)
            teacher = loading.load(name, _folder(as_train, base), train=as_train)
            if train.packing:
                from tracegen.train import attention

                attention.use(teacher)
            device = "cuda" if torch.cuda.is_available() else "cpu"
            return kd.Live(teacher.to(device, saving.dtype_of(train)), alpha, temperature)
        case _:
            return None


def _refused(found: list[Finding], directory: Path, show: Show | None, *, check: bool) -> Result:
    """After a check, the findings; else the refusal, as an error of one line."""
    if show and check:
        show(found)
    if not check:
        checks.refuse(found)
    return Result(directory, tuple(found), None)


def _held_micros(train: Train, data: Data) -> list[Micro]:
    capacity = max([_capacity(train, data), *(len(one.ids) for one in data.held)])
    group = pack if train.packing else by_length
    return [Micro(0, tuple(rows)) for rows in group([len(one.ids) for one in data.held], capacity)]


def _thinking_lengths(data: Data) -> list[int]:
    lengths = [one.regions.count(CODES["think"]) for one in data.stages[0]]
    return [length for length in lengths if length]


def _tokens(data: Data, schedule: Schedule) -> int:
    """Tokens of the whole schedule."""
    return sum(len(data.stages[micro.stage][row].ids) for micro in schedule.micros for row in micro.rows)


def _folder(train: Train, base: Path) -> Path:
    from tracegen.teachers import weights

    try:
        return weights.resolve(train.model, train.revision, base)
    except TeacherError as error:
        raise UserError(str(error)) from None


def _configured_ends(folder: Path) -> list[int]:
    """Ids at which the model's generation config stops."""
    import json

    found: list[int] = []
    for name in ("generation_config.json", "config.json"):
        try:
            named = json.loads((folder / name).read_text(encoding="utf-8")).get("eos_token_id")
        except (OSError, ValueError):
            continue
        found += named if isinstance(named, list) else [named] if isinstance(named, int) else []
    return sorted(set(found))


def _ends(folder: Path, tokenizer: Any, data: Data) -> list[int]:
    """Where the student is to stop: what rows end in, then what the base knows."""
    final = {
        token
        for one in data.stages[0]
        for token, region, weight in zip(one.ids, one.regions, one.weights, strict=True)
        if region == CODES["eot"] and weight > 0
    }
    special = {token for token in final if token in tokenizer.all_special_ids}
    own = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    return sorted(special | {*_configured_ends(folder), *own})


def fingerprint(train: Train, data: Data, folder: Path, ranks: int) -> str:
    """Digest of all that decides the weights: a checkpoint is gone on with only under the same."""
    from tracegen.teachers import weights

    content = hashlib.sha256()
    for stage in (*data.stages, data.held):
        for one in stage:
            content.update(one.ids.tobytes() + one.weights.tobytes() + b"|")
    blind = msgspec.structs.replace(
        train, model="", data=(), report_to=(), save_every=0, monitor=type(train.monitor)()
    )
    return digest(
        "training", msgspec.to_builtins(blind), content.hexdigest(), weights.fingerprint(folder), ranks
    )


def resolved(settings: Student) -> str:
    """The student's settings as TOML, every default written out."""
    import tomli_w

    return tomli_w.dumps(recipe.without_none(msgspec.to_builtins(settings)))


def _ranks() -> int:
    import os

    return int(os.environ.get("WORLD_SIZE", "1"))


def _main() -> bool:
    import os

    return int(os.environ.get("RANK", "0")) == 0
