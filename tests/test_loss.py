"""The weighted loss …"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch.nn import functional
from transformers import TrainerCallback

from tests import tiny
from tracegen.student import Lora, Train
from tracegen.train import attention, loss
from tracegen.train.example import Example
from tracegen.train.schedule import by_length, plan
from tracegen.train.trainer import Batches, WeightedTrainer, arguments, packed, padded, summed_loss

pytestmark = pytest.mark.model
Gradients = dict[str, torch.Tensor]


def first_fit(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """A packing as good as any for these tests."""
    groups: list[list[int]] = []
    for at, length in enumerate(lengths):
        for group in groups:
            if sum(lengths[i] for i in group) + length <= capacity:
                group.append(at)
                break
        else:
            groups.append([at])
    return groups


def naive(model: Any, examples: Sequence[Example]) -> tuple[float, Gradients]:
    """One row at a time, every logit made, sums kept apart until the end."""
    total, mass = torch.zeros(()), sum(sum(example.weights[1:]) for example in examples)
    for example in examples:
        ids = torch.tensor(example.ids)[None]
        logits = model(input_ids=ids).logits[0, :-1]
        each = functional.cross_entropy(logits, ids[0, 1:], reduction="none")
        total = total + (each * torch.tensor(example.weights[1:])).sum()
    (total / mass).backward()
    return (total / mass).item(), {
        name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None
    }


def error(found: Gradients, wanted: Gradients) -> float:
    """Largest difference, relative to the largest gradient."""
    assert found.keys() == wanted.keys()
    scale = max(grad.abs().max().item() for grad in wanted.values())
    return float(max((found[name] - wanted[name]).abs().max().item() for name in wanted) / scale)


class Caught(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Keeps the gradients that the optimizer was about to use."""

    def __init__(self) -> None:
        self.gradients: Gradients = {}

    def on_pre_optimizer_step(self, *args: Any, model: Any = None, **kwargs: Any) -> None:
        self.gradients = {
            name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None
        }


def trained(
    folder: Path, model: Any, examples: Sequence[Example], capacity: int, **settings: Any
) -> tuple[float, Gradients]:
    """One step over all the examples, by the Trainer."""
    train = Train(model="", dtype="float32", clip=0.0, epochs=1.0, **settings)
    lengths = [len(example.ids) for example in examples]
    group = first_fit if train.packing else by_length
    schedule = plan(
        [(lengths, 1.0)], capacity=capacity, batch_tokens=10**6, ranks=1, seed=train.seed, group=group
    )
    assert schedule.steps == 1
    caught = Caught()
    trainer = WeightedTrainer(
        model=model,
        args=arguments(train, schedule, folder, validate=False),
        train_dataset=Batches([examples], schedule.micros, packing=train.packing),
        callbacks=[caught],
    )
    trainer.train()
    return trainer.state.log_history[0]["loss"], caught.gradients


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("capacity", "settings"),
    [
        (60, {}),
        (150, {}),
        (10**6, {}),
        (100, {"packing": False}),
        (10**6, {"packing": False}),
        (150, {"gradient_checkpointing": True}),
    ],
)
def test_equals_one_row_at_a_time_whatever_the_batches(
    tmp_path: Path, seed: int, capacity: int, settings: dict[str, Any]
) -> None:
    rows = tiny.examples(13, seed)
    wanted_loss, wanted = naive(tiny.tiny_model(seed), rows)
    model = tiny.tiny_model(seed)
    assert loss.install(model)
    attention.use(model)
    found_loss, found = trained(tmp_path, model, rows, capacity, **settings)
    assert found_loss == pytest.approx(wanted_loss, rel=1e-6)
    assert error(found, wanted) < 1e-6


@pytest.mark.parametrize("chunk", [4 * tiny.VOCABULARY, 4 * 7 * tiny.VOCABULARY, 2**28])
def test_does_not_depend_on_the_size_of_a_chunk(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "CHUNK_BYTES", chunk)
    rows = tiny.examples(5)
    wanted_loss, wanted = naive(tiny.tiny_model(), rows)
    mass = sum(sum(row.weights[1:]) for row in rows)
    for batch in (packed(rows), padded(rows)):
        model = tiny.tiny_model()
        loss.install(model)
        attention.use(model)
        found = summed_loss(model, batch, torch.tensor(1 / mass))
        found.backward()
        grads = {name: weight.grad for name, weight in model.named_parameters()}
        assert found.item() == pytest.approx(wanted_loss, rel=1e-6)
        assert error(grads, wanted) < 1e-6


@pytest.mark.parametrize("kind", ["untied", "bias", "scaled", "checkpointed", "frozen"])
def test_serves_every_kind_of_head(kind: str) -> None:
    def made() -> Any:
        model = tiny.tiny_model(tie_word_embeddings=kind != "untied")
        if kind == "bias":
            model.lm_head.bias = torch.nn.Parameter(torch.arange(float(tiny.VOCABULARY)) / 50)
        if kind == "frozen":
            model.lm_head.weight.requires_grad_(False)
        if kind == "scaled":
            plain = model.forward

            def scaled(*args: Any, **kwargs: Any) -> Any:
                out = plain(*args, **kwargs)
                out.logits = torch.tanh(out.logits / 3) * 3
                return out

            model.forward = scaled
        return model

    rows = tiny.examples(5)
    wanted_loss, wanted = naive(made(), rows)
    mass = sum(sum(row.weights[1:]) for row in rows)
    model = made()
    assert loss.install(model) == (kind != "scaled")
    attention.use(model)
    batch = packed(rows)
    keep, targets, weights = loss.supervised(batch["weights"] / mass, batch["input_ids"])
    objective = loss.cross_entropy(targets, weights) if kind == "checkpointed" else None
    found = model(
        input_ids=batch["input_ids"],
        position_ids=batch["position_ids"],
        keep=keep,
        targets=targets,
        target_weights=weights,
        objective=objective,
    ).loss
    found.backward()
    grads = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    assert found.item() == pytest.approx(wanted_loss, rel=1e-6)
    assert error(grads, wanted) < 1e-6


def test_passes_through_an_adapter(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    def made() -> Any:
        torch.manual_seed(1)
        model = tiny.tiny_model()
        loss.install(model)
        attention.use(model)
        adapted = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
        return adapted.eval()

    rows = tiny.examples(9)
    wanted_loss, wanted = naive(made(), rows)
    found_loss, found = trained(tmp_path, made(), rows, 120, lora=Lora(rank=4))
    assert all("lora" in name for name in found)
    assert found_loss == pytest.approx(wanted_loss, rel=1e-6)
    assert error(found, wanted) < 1e-6


def test_keeps_packed_rows_apart() -> None:
    rows = tiny.examples(4)
    model = tiny.tiny_model().eval()
    alone = [model(input_ids=torch.tensor(row.ids)[None]).logits[0] for row in rows]
    attention.use(model)
    batch = packed(rows)
    inputs = {name: batch[name] for name in ("input_ids", "position_ids", "documents")}
    together = model(**inputs).logits[0].split(batch["documents"])
    for one, other in zip(alone, together, strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_keeps_a_sliding_window() -> None:
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = MistralConfig(vocab_size=97, num_key_value_heads=2, sliding_window=8, **sizes)
    model = MistralForCausalLM(config).eval()
    rows = tiny.examples(4)
    wanted = torch.cat([model(input_ids=torch.tensor(row.ids)[None]).logits[0] for row in rows])
    attention.use(model)
    batch = packed(rows)
    inputs = {name: batch[name] for name in ("input_ids", "position_ids", "documents")}
    assert torch.allclose(model(**inputs).logits[0], wanted, atol=1e-5)


def test_generates_as_before_where_training_attends_by_document() -> None:
    model = tiny.tiny_model().eval()
    prompts = torch.tensor([[0, 0, 5, 6, 7], [3, 4, 5, 6, 7]])
    ask = {"attention_mask": (prompts > 0).long(), "max_new_tokens": 5, "do_sample": False}
    wanted = model.generate(prompts, **ask)
    attention.use(model)
    with attention.plain(model):
        assert torch.equal(model.generate(prompts, **ask), wanted)
    assert model.config._attn_implementation == attention.NAME
