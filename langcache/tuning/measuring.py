"""`tune`: the way from labelled pairs to a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from os import PathLike
from typing import TYPE_CHECKING, TypeAlias, cast

from .._checks import check_int, check_number, wrong_type
from ..limits import LimitError, Limits
from ..many import Progress
from ..models import CacheEntry, SearchStrategy
from ..sync import LangCache
from .pairs import Pair, checked_pairs
from .report import Report
from .scoring import by_embedder, by_service

if TYPE_CHECKING:
    from ..service.embedders import Embedder
else:  # it needs numpy, which those who tune from a log may not have; what inspects types sees any object
    Embedder = object

__all__ = ["tune"]

Pairs: TypeAlias = "str | PathLike[str] | Iterable[Pair | tuple[str, str, bool] | str | PathLike[str]]"

_CONCURRENCY = 16


def tune(
    pairs: Pairs,
    *,
    max_wrong: float | None = None,
    confidence: float = 0.95,
    thresholds: Iterable[float] | None = None,
    embedder: Embedder | None = None,
    client: LangCache | None = None,
    attribute: str | None = None,
    accept: Callable[[str, CacheEntry], bool] | None = None,
    rescore: bool = False,
    concurrency: int = _CONCURRENCY,
    progress: Progress | None = None,
) -> Report:
    """What each similarity threshold keeps and lets through, and the lowest that is certified.

    The pairs should be like the traffic: what is certified holds for traffic with as many different
    questions among those that come close. A few hundred pairs are enough for ``max_wrong=0.1``, a thousand or
    more for 0.05.

    The call blocks. From a coroutine: ``await asyncio.to_thread(tune, pairs)``.

    Args:
        pairs: a file (see `read_pairs`), several files, or `Pair` objects or (question, prompt, same) tuples.
            There must be pairs with the same answer and pairs with different ones.
        max_wrong: the share of hits that may be wrong, more than 0 and less than 1, such as 0.05. Default: no
            threshold is chosen.
        confidence: how sure that is to hold, and how sure the intervals are; 0.5 to 0.9999. Default: 0.95.
        thresholds: those of the table, 0 to 1. Default: up to 20, from one that keeps four in five questions.
        embedder: a `langcache.service.Embedder`. Pairs without a similarity get that which a local service
            with this embedder gives. Default: `langcache.service.MiniLMEmbedder`. Needs the extra ``local``.
        client: a client of a service that gives the similarities instead. Each prompt is stored for a moment,
            as an entry of its own that is deleted again; if that fails, it expires in 10 minutes.
        attribute: the name of an attribute that the client's cache was set up with. It gets another value for
            each of these entries, so that other entries do not matter. Without it the cache has to be empty,
            and pairs are scored one after the other.
        accept: called with the question and the entry, as by cache-aside; pairs for which it returns False
            are misses. ``langcache.verifier`` measures what cache-aside does by default. Default: none.
        rescore: whether pairs that have a similarity already are scored too. Default: False.
        concurrency: how many pairs are scored at once at most; 1 to 256. Default: 16.
        progress: called after each pair scored with the number done and the total number.

    Raises:
        TypeError, ValueError: an argument or a line of a file breaks a rule, or the cache has other entries.
        OSError: a file can't be read.
        ImportError: the extra ``local`` is missing, and there are pairs to score.
        langcache.errors.LangCacheError, langcache.service.EmbedderError: pairs could not be scored.
    """
    if max_wrong is not None:
        max_wrong = float(check_number("max_wrong", max_wrong, minimum=0, maximum=1))
        if not 0 < max_wrong < 1:
            raise ValueError(
                f"max_wrong: must be more than 0 and less than 1, such as 0.05, but is {max_wrong:g}"
            )
    confidence = float(check_number("confidence", confidence, minimum=0.5, maximum=0.9999))
    if thresholds is not None:
        thresholds = _checked_thresholds(thresholds)
    if client is not None and not isinstance(client, LangCache):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise wrong_type("client", "a LangCache", client)
    if client is not None and client._scope is not None:
        raise ValueError("client: must not be scoped, since a scope deletes no single entries")
    if client is not None and embedder is not None:
        raise ValueError("embedder: can't be given along with client, which has its service's")
    if attribute is not None and client is None:
        raise ValueError("attribute: is for a client, which there is none of")
    if attribute is not None:
        try:
            Limits().attribute_map({attribute: "x"})
        except LimitError as error:
            raise LimitError("attribute", error.rule, error.reason) from None
    concurrency = check_int("concurrency", concurrency, minimum=1, maximum=256)
    if accept is not None and not callable(accept):
        raise wrong_type("accept", "a function of the question and the entry", accept)
    found = _with_both_labels(checked_pairs(pairs))
    unscored = [at for at, pair in enumerate(found) if rescore or pair.similarity is None]
    similarities = [-1.0 if pair.similarity is None else pair.similarity for pair in found]
    if unscored:
        chosen = [found[at] for at in unscored]
        if client is not None:
            scores = by_service(chosen, client, attribute, concurrency, progress)
        else:
            if embedder is None:
                from ..service import MiniLMEmbedder

                embedder = MiniLMEmbedder()
            scores = by_embedder(chosen, embedder, concurrency, progress)
        for at, score in zip(unscored, scores, strict=True):
            similarities[at] = score
    if accept is not None:
        similarities = [
            similarity if similarity < 0 or accept(pair.question, _entry(pair, similarity)) else -1.0
            for pair, similarity in zip(found, similarities, strict=True)
        ]
    return Report(
        zip(similarities, (pair.same for pair in found), strict=True),
        max_wrong=max_wrong,
        confidence=confidence,
        thresholds=thresholds,
        scored_by=_scored_by(len(found), len(unscored), embedder),
    )


def _checked_thresholds(thresholds: object) -> list[float]:
    if isinstance(thresholds, str | bytes) or not isinstance(thresholds, Iterable):
        raise wrong_type("thresholds", "an iterable of numbers", thresholds)
    numbers = cast("Iterable[object]", thresholds)
    return [float(check_number("thresholds", number, minimum=0, maximum=1)) for number in numbers]


def _with_both_labels(pairs: list[Pair]) -> list[Pair]:
    same = sum(pair.same for pair in pairs)
    if not 0 < same < len(pairs):
        missing = "with different answers" if same else "with the same answer"
        raise ValueError(
            f"pairs: must have some with the same answer and some with different ones, but has none {missing}"
        )
    return pairs


def _entry(pair: Pair, similarity: float) -> CacheEntry:
    return CacheEntry(
        id="tune",
        prompt=pair.prompt,
        response="",
        similarity=similarity,
        search_strategy=SearchStrategy.SEMANTIC,
    )


def _scored_by(pairs: int, scored: int, embedder: Embedder | None) -> str:
    if not scored:
        return "as given"
    name = "by the service" if embedder is None else f"by {embedder.name}"
    return name if scored == pairs else f"{name} for {scored:,}, as given for the others"
