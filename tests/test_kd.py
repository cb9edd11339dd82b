"""Soft targets …"""

from __future__ import annotations

from array import array
from typing import Any

import msgspec
import pytest

pytest.importorskip("torch")

import torch

from tests import tiny
from tracegen.train import attention, kd, loss
from tracegen.train.example import Example, Soft
from tracegen.train.schedule import Micro
from tracegen.train.trainer import Batches, summed_loss

pytestmark = pytest.mark.model
V = 50


def logits(seed: int, rows: int = 6) -> torch.Tensor:
    """Random logits, peaked enough to have a tail."""
    return 2.0 * torch.randn(rows, V, generator=torch.Generator().manual_seed(seed))


def slope(value: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(value.sum(), at)[0]


def test_with_all_tokens_stored_is_the_full_divergence() -> None:
    teacher, student = logits(0), logits(1).requires_grad_()
    stored = teacher.log_softmax(-1)
    ids = torch.arange(V).expand(6, V)
    kept, top = stored[:, : V - 1], ids[:, : V - 1]
    found, wanted = kd.bucketed(student, top, kept, 1.0), kd.full(student, teacher, 1.0)
    assert torch.allclose(found, wanted, atol=1e-5)
    assert torch.allclose(slope(found, student), slope(wanted, student), atol=1e-5)


@pytest.mark.parametrize("k", [1, 3, 10, 30])
def test_differs_from_the_full_divergence_by_no_more_than_the_tail(k: int) -> None:
    teacher, student = logits(2), logits(3).requires_grad_()
    stored = teacher.log_softmax(-1).topk(k, -1)
    tail = 1 - stored.values.exp().sum(-1)
    found, wanted = kd.bucketed(student, stored.indices, stored.values, 1.0), kd.full(student, teacher, 1.0)
    hidden = torch.zeros(6, V).scatter(1, stored.indices, float("-inf"))
    rest = kd._divergence((teacher + hidden).log_softmax(-1), (student + hidden).log_softmax(-1))
    assert torch.allclose(wanted - found, tail * rest, atol=1e-5)
    assert (found <= wanted + 1e-6).all()
    away = (slope(found, student) - slope(wanted, student)).abs().sum(-1)
    assert (away <= 2 * tail + 1e-5).all()


def test_pulls_to_the_teacher_where_renormalised_tokens_would_not() -> None:
    teacher = logits(4, 1) / 2
    stored = teacher.log_softmax(-1).topk(5, -1)
    fitted = torch.zeros(1, V, requires_grad=True)
    optimizer = torch.optim.Adam([fitted], lr=0.1)
    for _ in range(400):
        optimizer.zero_grad()
        kd.bucketed(fitted, stored.indices, stored.values, 1.0).sum().backward()
        optimizer.step()
    found = fitted.softmax(-1).gather(1, stored.indices)
    assert torch.allclose(found, stored.values.exp(), atol=1e-3)
    assert (stored.values.exp().sum() < 0.9).all()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_is_least_where_student_and_teacher_agree(temperature: float) -> None:
    teacher = logits(5)
    stored = teacher.log_softmax(-1).topk(4, -1)
    student = teacher.clone().requires_grad_()
    found = kd.bucketed(student, stored.indices, stored.values, temperature)
    assert torch.allclose(found, torch.zeros(6), atol=1e-5)
    assert slope(found, student).abs().max() < 1e-5


def test_takes_fewer_tokens_at_some_places_than_at_others() -> None:
    teacher, student = logits(6, 2), logits(7, 2)
    top = teacher.log_softmax(-1).topk(4, -1)
    values = top.values.clone()
    values[1, 2:] = float("-inf")
    found = kd.bucketed(student, top.indices, values, 1.0)
    alone = kd.bucketed(student[1:], top.indices[1:, :2], top.values[1:, :2], 1.0)
    assert torch.allclose(found[1], alone[0], atol=1e-6)


def with_soft(example: Example, teacher: Any, k: int) -> Example:
    """The example with what the teacher would have stored for all but its first three tokens."""
    stored = teacher(input_ids=torch.tensor(example.ids)[None]).logits[0].log_softmax(-1)[2:-1].topk(k, -1)
    soft = Soft(
        start=3,
        ids=tuple(map(tuple, stored.indices.tolist())),
        logprobs=tuple(map(tuple, stored.values.tolist())),
    )
    return msgspec.structs.replace(example, soft=soft)


@pytest.mark.parametrize("packing", [True, False])
def test_trains_towards_a_live_teacher_and_its_stored_words_alike(packing: bool) -> None:
    teacher = tiny.tiny_model(9).eval()
    rows = [
        msgspec.structs.replace(row, weights=array("f", [0.0] * 3 + list(row.weights[3:])))
        for row in tiny.examples(4)
    ]
    rows = [with_soft(row, teacher, tiny.VOCABULARY - 1) for row in rows]
    gradients = []
    for objectives in (kd.Stored(0.7, 1.0), kd.Live(teacher, 0.7, 1.0)):
        model = tiny.tiny_model(0)
        loss.install(model)
        attention.use(model)
        batch = Batches([rows], [Micro(0, (0, 1, 2, 3))], packing=packing, soft=True)[0]
        summed_loss(model, batch, torch.tensor(0.01), objectives).backward()
        gradients.append(model.model.embed_tokens.weight.grad)
    assert torch.allclose(*gradients, atol=1e-6)


def test_is_cross_entropy_where_the_teacher_said_nothing_and_counts_it() -> None:
    rows = tiny.examples(4)
    rows[0] = with_soft(rows[0], tiny.tiny_model(9).eval(), 5)
    mute = [msgspec.structs.replace(row, soft=None) for row in rows]
    values = []
    for chosen in (None, kd.Stored(0.5, 1.0)):
        model = tiny.tiny_model(0)
        loss.install(model)
        attention.use(model)
        batch = Batches([mute], [Micro(0, (0, 1, 2, 3))], packing=True, soft=True)[0]
        values.append(summed_loss(model, batch, torch.tensor(0.01), chosen).item())
    assert values[0] == pytest.approx(values[1], rel=1e-6)
    counted = kd.Stored(0.5, 1.0)
    summed_loss(
        model, Batches([rows], [Micro(0, (0, 1))], packing=True, soft=True)[0], torch.tensor(1.0), counted
    )
    assert counted.counts["with"] > 0 and counted.counts["without"] > 0
