"""Statistics of cache-aside calls, as returned by ``cache.stats()``."""

from __future__ import annotations

import msgspec

__all__ = ["Spending", "Stats"]

_BUCKETS = 100


class Spending(msgspec.Struct, kw_only=True):
    """The tokens and the money of some answers, of calls with the option ``usage``."""

    input_tokens: int = 0
    """Tokens of the questions, as far as they are known."""

    output_tokens: int = 0
    """Tokens of the answers, as far as they are known."""

    unknown: int = 0
    """Answers one of whose numbers is not known, so that it is not in the sums."""

    money: float = 0.0
    """What `AsideConfig.price` says of the answers whose numbers are known, added up."""

    unpriced: int = 0
    """Answers that are not in ``money``, though there is a price function."""

    def __str__(self) -> str:
        unknown = f", unknown of {self.unknown}" if self.unknown else ""
        money = f", money {self.money:.4f}" if self.money else ""
        unpriced = f", without that of {self.unpriced}" if self.unpriced else ""
        return f"{self.input_tokens} in, {self.output_tokens} out{unknown}{money}{unpriced}"


class Stats(msgspec.Struct, kw_only=True):
    """Statistics since the client was made, over all of its scopes.

    Each call of `get_or_set`, `get_or_stream` or a cached function is counted as one of ``hits``, ``misses``,
    ``bypasses`` and ``errors``, unless the function that computes the answer raised.
    """

    hits: int = 0
    """Calls answered from the cache."""

    misses: int = 0
    """Calls whose answer was computed because the cache had none, or none that was accepted."""

    bypasses: int = 0
    """Computed without asking the cache; `Answer.reason` says why."""

    errors: int = 0
    """Calls whose answer was computed because the lookup failed or took too long."""

    near_hits: int = 0
    """Lookups that were hits without asking the service (`NearCache`). Calls that share one count as one."""

    shared: int = 0
    """Calls, among those above, that shared the answer of a concurrent call."""

    rejected: int = 0
    """Entries found and rejected: by ``accept``, for their attributes, because a verdict has blocked them for
    the question, or since they could not be decoded."""

    judged: int = 0
    """Times that a `Judge` was asked about an entry in doubt."""

    judge_failures: int = 0
    """Times, among those, that it raised, returned no bool or took too long."""

    verdicts_right: int = 0
    """Answers that the program called right (`AsyncAnswer.right`)."""

    verdicts_wrong: int = 0
    """Answers that the program called wrong (`AsyncAnswer.wrong`)."""

    shadow_right: int = 0
    """Hits that were measured (`Shadow`) and whose answer was right."""

    shadow_wrong: int = 0
    """Hits that were measured and whose answer was wrong."""

    shadow_failures: int = 0
    """Hits that could not be measured: computing or comparing the answers raised."""

    shadow_dropped: int = 0
    """Hits that were not measured because too many were being measured."""

    dry_run_hits: int = 0
    """Calls, among the misses, that would have been hits, had it not been a dry run (`Shadow.dry_run`)."""

    stores: int = 0
    """Answers stored."""

    store_errors: int = 0
    """Answers that could not be stored: the service failed, or the value could not be encoded."""

    stores_dropped: int = 0
    """Answers not stored because too many were being stored, or because the circuit breaker was open."""

    declined: int = 0
    """Answers not stored because ``store_if`` returned False."""

    renewals: int = 0
    """Stale answers computed anew in the background (``stale_after``), and stored."""

    renewal_failures: int = 0
    """Stale answers that could not be computed anew, or whose new ones were not stored: it failed, or
    ``store_if`` declined them. The old ones stay."""

    renewals_dropped: int = 0
    """Stale answers not computed anew because too many were being computed (`AsideConfig.max_renewals`)."""

    flight_timeouts: int = 0
    """Times that a call stopped waiting for a concurrent call, after ``flight_timeout``."""

    lookup_seconds: float = 0.0
    """Total seconds spent in lookups."""

    make_seconds: float = 0.0
    """Total seconds spent in the functions that compute answers, without those of streams."""

    store_seconds: float = 0.0
    """Total seconds spent storing answers."""

    spent: Spending = msgspec.field(default_factory=Spending)
    """What the answers took that calls computed, of which several may share one."""

    saved: Spending = msgspec.field(default_factory=Spending)
    """What calls saved: for a hit what its answer took when it was computed, for a call that shared an answer
    which another one computed what that took. A hit that a dry run hides saves nothing."""

    background: Spending = msgspec.field(default_factory=Spending)
    """What computing in the background took: to measure hits (`Shadow`), and to renew stale answers
    (``stale_after``). ``saved`` less this is what the cache saves in all."""

    similarities: list[int] = msgspec.field(default_factory=lambda: [0] * _BUCKETS)
    """A histogram of 100 buckets: item n is the number of entries found, accepted or not, with a similarity
    from n / 100 to (n + 1) / 100. 1.0 is counted in the last one."""

    @property
    def calls(self) -> int:
        """How many calls were answered."""
        return self.hits + self.misses + self.bypasses + self.errors

    @property
    def hit_rate(self) -> float:
        """The share of hits among the calls that were not bypasses, 0 to 1; 0 if there were none."""
        asked = self.calls - self.bypasses
        return self.hits / asked if asked else 0.0

    def found(self, similarity: float) -> None:
        """Count an entry found."""
        if 0.0 <= similarity < 1.0:
            self.similarities[int(similarity * _BUCKETS)] += 1
        else:  # outside of 0 to 1, which a service might send
            self.similarities[_BUCKETS - 1 if similarity >= 1.0 else 0] += 1

    def __str__(self) -> str:
        found = [f"0.{at:02d} x {count}" for at, count in enumerate(self.similarities) if count]
        lines = (
            f"answers       {self.calls}, {self.shared} of them shared with another call",
            f"  hits        {self.hits}, {self.hit_rate:.1%} of those that the cache was asked for",
            f"    near      {self.near_hits} lookups without the service",
            f"  misses      {self.misses}",
            f"  bypasses    {self.bypasses}",
            f"  errors      {self.errors}",
            f"entries       {self.rejected} turned down",
            f"judged        {self.judged} in doubt, {self.judge_failures} failures",
            f"verdicts      {self.verdicts_right} right, {self.verdicts_wrong} wrong",
            f"shadow        {self.shadow_right} right, {self.shadow_wrong} wrong, "
            f"{self.shadow_failures} failures, {self.shadow_dropped} dropped, "
            f"{self.dry_run_hits} hits not given",
            f"stores        {self.stores}, {self.store_errors} failed, {self.stores_dropped} dropped, "
            f"{self.declined} declined",
            f"renewals      {self.renewals}, {self.renewal_failures} failed, {self.renewals_dropped} dropped",
            f"waits         {self.flight_timeouts} given up",
            f"seconds       {self.lookup_seconds:.3f} looking up, {self.make_seconds:.3f} computing, "
            f"{self.store_seconds:.3f} storing",
            f"spent         {self.spent}",
            f"saved         {self.saved}",
            f"  background  {self.background}",
            f"similarities  {', '.join(found) or 'none'}",
        )
        return "\n".join(lines)

    def copy(self) -> Stats:
        """A copy, which does not change any more."""
        snapshot = msgspec.structs.replace(self)
        snapshot.similarities = list(self.similarities)
        for name in ("spent", "saved", "background"):
            setattr(snapshot, name, msgspec.structs.replace(getattr(self, name)))
        return snapshot
