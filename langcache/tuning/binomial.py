"""Exact bounds for a share, from counts: the tail of the binomial distribution, and Clopper-Pearson."""

from __future__ import annotations

import math

__all__ = ["at_most", "interval", "upper_bound"]

_NEGLIGIBLE = 1e-17
_HALVINGS = 50


def at_most(count: int, trials: int, share: float) -> float:
    """The probability of ``count`` successes or fewer in so many trials, each with probability ``share``."""
    if count >= trials or share <= 0:
        return 1.0
    if count < 0 or share >= 1:
        return 0.0
    if count > trials * share:  # the terms from count downwards would grow first
        return 1.0 - at_most(trials - count - 1, trials, 1 - share)
    log_term = (
        math.lgamma(trials + 1)
        - math.lgamma(count + 1)
        - math.lgamma(trials - count + 1)
        + count * math.log(share)
        + (trials - count) * math.log1p(-share)
    )
    odds = (1 - share) / share
    term = total = 1.0  # in units of the term of count, which may be too small for a float
    for successes in range(count, 0, -1):
        term *= successes / (trials - successes + 1) * odds
        total += term
        if term < total * _NEGLIGIBLE:
            break
    return min(math.exp(log_term + math.log(total)), 1.0)


def upper_bound(count: int, trials: int, error: float) -> float:
    """The largest share for which ``count`` or fewer is no less probable than ``error``.

    The true share is above it in at most that part of all samples (Clopper and Pearson, one-sided). 1 without
    trials.
    """
    if count >= trials:
        return 1.0
    low, high = count / trials, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if at_most(count, trials, middle) > error:
            low = middle
        else:
            high = middle
    return high


def interval(count: int, trials: int, confidence: float) -> tuple[float, float]:
    """The bounds of the share on both sides, which hold together with this confidence."""
    error = (1 - confidence) / 2
    return 1 - upper_bound(trials - count, trials, error), upper_bound(count, trials, error)
