"""Choosing a similarity threshold from labelled pairs of questions: `tune`.

::

    from langcache.tuning import tune

    report = tune("pairs.tsv", max_wrong=0.05)
    print(report)
"""

from __future__ import annotations

from .measuring import tune
from .pairs import Pair, read_pairs
from .report import Report, Row

__all__ = ["Pair", "Report", "Row", "read_pairs", "tune"]
