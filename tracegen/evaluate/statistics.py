"""The numbers of an evaluation, each a pure function with its source: intervals, pass@k, votes, pairs.

A problem has a rate: the share of its judged samples that are right. Problems are the unit of every
interval and test, since samples of one problem are not independent (Miller 2024, arXiv 2411.00640).
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence

from tracegen.data import Struct

Z = 1.959963984540054
"""Normal quantile of a two-sided interval of 95 %."""
RESAMPLES = 2000


class Interval(Struct, frozen=True):
    """An estimate with its interval of 95 %."""

    value: float
    low: float
    high: float


class Quantiles(Struct, frozen=True):
    """Where a distribution lies."""

    count: int
    mean: float
    p5: float
    p25: float
    p50: float
    p75: float
    p95: float


def wilson(successes: float, trials: float) -> Interval:
    """Share of successes with Wilson's score interval (Wilson 1927), which holds at 0 and 1 too.

    Both may be effective numbers, not whole ones. Without a trial it is 0 within [0, 1].
    """
    if trials <= 0:
        return Interval(0.0, 0.0, 1.0)
    share, square = successes / trials, Z * Z
    centre = (share + square / (2 * trials)) / (1 + square / trials)
    half = Z / (1 + square / trials) * math.sqrt(share * (1 - share) / trials + square / (4 * trials**2))
    return Interval(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def mean_rate(rates: Sequence[float], samples: int) -> Interval:
    """Mean of the problems' rates, of `samples` samples in all: pass@1 with an interval clustered by problem.

    Wilson's interval at the effective number of samples that the spread between the problems leaves
    (design effect, Kish 1965); with one sample a problem it is Wilson's interval itself.
    """
    if not rates:
        return wilson(0, 0)
    mean = math.fsum(rates) / len(rates)
    variance = math.fsum((rate - mean) ** 2 for rate in rates) / len(rates) ** 2
    spread = mean * (1 - mean)
    effective = min(spread / variance, samples) if variance > 0 else len(rates)
    return wilson(mean * effective, effective)


def pass_at_k(right: int, samples: int, k: int) -> float:
    """Chance that one of k samples is right, unbiased from `right` of `samples` (Chen et al. 2021,
    arXiv 2107.03374): 1 - C(n - c, k) / C(n, k).

    Raises ValueError where k is not between 1 and the number of samples.
    """
    if not 1 <= k <= samples:
        raise ValueError(f"pass@{k} of {samples} samples")
    return 1.0 - math.comb(samples - right, k) / math.comb(samples, k)


def majority(votes: Sequence[str], right: str) -> float:
    """Chance that the most frequent vote is `right` when ties are drawn; empty votes do not count."""
    counts = Counter(vote for vote in votes if vote)
    if not counts:
        return 0.0
    most = max(counts.values())
    leaders = [vote for vote, count in counts.items() if count == most]
    return 1.0 / len(leaders) if right in leaders else 0.0


def mcnemar(won: int, lost: int) -> float:
    """Two-sided p of McNemar's exact test: how likely so uneven a split of the changed items is by chance."""
    changed, fewer = won + lost, min(won, lost)
    if not changed:
        return 1.0
    whole = math.lgamma(changed + 1) - changed * math.log(2)
    terms = (whole - math.lgamma(k + 1) - math.lgamma(changed - k + 1) for k in range(fewer + 1))
    return min(1.0, 2 * math.fsum(map(math.exp, terms)))


def bootstrap_mean(values: Sequence[float], *, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """Mean with the percentile interval of the bootstrap over problems (Efron 1979)."""
    if not values:
        return Interval(0.0, 0.0, 0.0)
    draw = random.Random(seed)  # noqa: S311 - statistics, no secret
    size = len(values)
    means = sorted(math.fsum(draw.choices(values, k=size)) / size for _ in range(resamples))
    return Interval(math.fsum(values) / size, _quantile(means, 0.025), _quantile(means, 0.975))


def quantiles(values: Sequence[float]) -> Quantiles | None:
    """Mean and quantiles, interpolated between neighbours; None without a value."""
    if not values:
        return None
    ordered = sorted(values)
    p5, p25, p50, p75, p95 = (_quantile(ordered, share) for share in (0.05, 0.25, 0.5, 0.75, 0.95))
    return Quantiles(len(ordered), math.fsum(ordered) / len(ordered), p5, p25, p50, p75, p95)


def _quantile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
