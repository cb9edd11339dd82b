"""The statistics of an evaluation …"""

from __future__ import annotations

import math
from itertools import combinations

import pytest

from tracegen.evaluate.statistics import (
    bootstrap_mean,
    majority,
    mcnemar,
    mean_rate,
    pass_at_k,
    quantiles,
    wilson,
)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_give_the_published_wilson_intervals(successes: int, trials: int, low: float, high: float) -> None:
    found = wilson(successes, trials)
    assert found.value == successes / trials
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_mirror_the_interval_of_failures() -> None:
    low, high = wilson(3, 10), wilson(7, 10)
    assert high.high == pytest.approx(1 - low.low)


def test_give_wilsons_interval_for_one_sample_a_problem() -> None:
    found, wanted = mean_rate([1.0] * 15 + [0.0] * 133, 148), wilson(15, 148)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))


def test_do_not_narrow_when_the_samples_of_a_problem_agree() -> None:
    once = mean_rate([1.0] * 3 + [0.0] * 7, 10)
    many = mean_rate([1.0] * 3 + [0.0] * 7, 160)
    assert (many.low, many.high) == pytest.approx((once.low, once.high))


def test_narrow_as_if_independent_when_problems_do_not_differ_by_more_than_chance() -> None:
    rates = [0.25, 0.5, 0.5, 0.75] * 10  # variance 1/32 where independent samples would have 1/16
    found, alone = mean_rate(rates, 160), wilson(80, 160)
    assert found.low == pytest.approx(alone.low)
    assert mean_rate([0.5] * 40, 80).high < wilson(20, 40).high + 1e-12


def test_hold_at_the_edges() -> None:
    assert mean_rate([], 0).high == 1.0
    everything = mean_rate([1.0] * 20, 20)
    assert everything.value == everything.high == 1.0
    assert everything.low == pytest.approx(1 - 0.1611, abs=1e-4)


@pytest.mark.parametrize("samples", [1, 4, 7])
def test_estimate_pass_at_k_as_the_mean_over_all_draws(samples: int) -> None:
    for right in range(samples + 1):
        marks = [1] * right + [0] * (samples - right)
        for k in range(1, samples + 1):
            draws = [max(draw) for draw in combinations(marks, k)]
            assert pass_at_k(right, samples, k) == pytest.approx(sum(draws) / len(draws))


def test_give_the_known_pass_at_k() -> None:
    assert pass_at_k(2, 5, 2) == pytest.approx(0.7)
    assert pass_at_k(1, 100, 100) == 1.0
    with pytest.raises(ValueError, match="pass@3 of 2"):
        pass_at_k(1, 2, 3)


@pytest.mark.parametrize(
    ("won", "lost", "p"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (5, 15, 0.0414),
        (15, 5, 0.0414),
        (0, 6, 0.0313),
        (10, 10, 1.0),
        (2, 8, 0.1094),
    ],
)
def test_give_the_exact_p_of_mcnemar(won: int, lost: int, p: float) -> None:
    assert mcnemar(won, lost) == pytest.approx(p, abs=5e-5)


def test_stay_finite_for_many_changed_items() -> None:
    assert 0 <= mcnemar(40_000, 38_000) < 1e-9


@pytest.mark.parametrize(
    ("votes", "chance"),
    [
        (["a", "a", "b"], 1.0),
        (["b", "b", "a"], 0.0),
        (["a", "b"], 0.5),
        (["a", "b", "c", ""], 1 / 3),
        (["", "", "a"], 1.0),
        (["", ""], 0.0),
        ([], 0.0),
    ],
)
def test_count_the_majority_with_ties_drawn(votes: list[str], chance: float) -> None:
    assert majority(votes, "a") == pytest.approx(chance)


def test_bootstrap_about_as_wide_as_the_normal_interval() -> None:
    values = [1.0] * 60 + [0.0] * 300 + [-1.0] * 40
    found = bootstrap_mean(values)
    mean = 20 / 400
    error = math.sqrt((100 / 400 - mean**2) / 400)
    assert found.value == pytest.approx(mean)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert found == bootstrap_mean(values)


def test_bootstrap_nothing_out_of_nothing() -> None:
    assert bootstrap_mean([0.5] * 9).low == bootstrap_mean([0.5] * 9).high == 0.5
    assert bootstrap_mean([]).value == 0.0


def test_interpolate_quantiles() -> None:
    found = quantiles(list(range(101)))
    assert found is not None
    assert (found.p5, found.p50, found.p95, found.mean, found.count) == (5, 50, 95, 50, 101)
    assert quantiles([]) is None
