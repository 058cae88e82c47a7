"""Which variants were evaluated how often: summed for ten seconds, told to a meter."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

__all__ = ["Counts", "Exposures"]

Counts = Mapping[str, Mapping[str, int]]  # key -> variant -> evaluations


class Exposures:
    """Sums of evaluations since the last `take`; bounded by the seconds' own bounds.

    The application's OpenTelemetry meter hears them as `failsoft.flag.evaluations`
    with `feature_flag.key` and `feature_flag.result.variant`; without a meter nobody.
    """

    __slots__ = ("_counter", "_counts")

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, int]] = {}
        self._counter = _counter()

    def add(self, counts: Counts) -> None:
        """Add the evaluations of one second."""
        for key, variants in counts.items():
            held = self._counts.setdefault(key, {})
            for variant, count in variants.items():
                held[variant] = held.get(variant, 0) + count

    def take(self) -> Counts:
        """Return the sums, and start anew."""
        counts, self._counts = self._counts, {}
        return counts

    def tell(self, counts: Counts) -> None:
        """Tell the meter; some 7 us a variant."""
        if self._counter is not None:
            for key, variants in counts.items():
                for variant, count in variants.items():
                    self._counter.add(count, _attributes(key, variant))


@cache  # the SDK warns of an instrument that is made again
def _counter() -> Any:
    try:
        from opentelemetry.metrics import get_meter
    except ImportError:
        return None
    # A proxy: a meter provider that the application sets later is found then.
    return get_meter("failsoft").create_counter(
        "failsoft.flag.evaluations", "{evaluation}", "Evaluations by flag and variant"
    )


def _attributes(key: str, variant: str) -> dict[str, str]:
    return {"feature_flag.key": key, "feature_flag.result.variant": variant}
