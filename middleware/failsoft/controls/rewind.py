"""Whether the store lost history, and what a node enforces while it has.  Pure.

The last good set stays; what operators write afterwards lies on top of it, key by
key.  Nothing is given back to the store, and nothing taken from it, by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from failsoft.controls.held import Held, Key, Mark
from failsoft.store.protocols import KINDS, Survey

__all__ = ["Peer", "later_than", "offers_of", "overlay", "why_rewound"]


def why_rewound(known: Mark, survey: Survey) -> str:
    """Return in words why the store's history is not the one `known` is of.

    "" when it is, or when it replaced that one.  A node that never held a set knows
    revision 0 and accepts any history.  survey: asked for `known.last_id`.
    """
    if not known.rev:
        return ""
    if survey.epoch not in ("", known.epoch) and known.epoch in survey.lineage:
        return _why_uncounted(survey)
    if not survey.epoch:
        return f"empty, rev {known.rev:,} was known"
    if survey.epoch != known.epoch:
        return f"another history, epoch {survey.epoch[:8]}"
    if survey.rev < known.rev:
        return f"at rev {survey.rev:,}, rev {known.rev:,} was known"
    return _why_overtaken(known, survey) or _why_uncounted(survey)


def _why_overtaken(known: Mark, survey: Survey) -> str:
    """Compare the entry kept where ours was: a lost history may be longer by now."""
    proof = survey.proof
    if proof is None:  # ours was trimmed, or there is no log
        return ""
    same_op = not known.op_id or known.op_id == proof.op_id
    if proof.id == known.last_id and proof.rev == known.rev and same_op:
        return ""
    return f"the write at rev {known.rev:,} is not in its log"


def _why_uncounted(survey: Survey) -> str:
    for kind in KINDS:
        held, counted = survey.held.get(kind, 0), survey.counted.get(kind, 0)
        if held != counted:
            return f"{held:,} records of kind {kind}, {counted:,} were written"
    return ""


def later_than(good: Held, survey: Survey) -> int:
    """Return the revision of the store after which all was written after `good`.

    Store ids are times, so entries after the place of our last one are later, also
    those written before anybody noticed the rewind.
    """
    if not _is_kin(good, survey):
        return 0
    if survey.proof is not None:
        return survey.proof.rev
    return survey.oldest_rev - 1 if survey.oldest_rev else survey.rev


def _is_kin(good: Held, survey: Survey) -> bool:
    """Whether one history goes on from the other, or replaced it knowingly."""
    is_older = survey.epoch in (good.epoch, *good.lineage)
    return is_older or good.epoch in survey.lineage


def overlay(good: Held, stored: Held, base: int, gone: Iterable[Key] = ()) -> Held:
    """Return the last good set with what was written since on top of it.

    stored: what the store holds; of it, records above revision `base` count.
    gone: keys deleted since.  Place and epoch are the store's, so that its log can
    be followed.  O(records).
    """
    held = good.copy()
    place = stored.mark()
    held.rev, held.epoch = place.rev, place.epoch
    held.last_id, held.op_id = place.last_id, place.op_id
    held.lineage, held.unknown = stored.lineage, stored.unknown
    for key in gone:
        held.drop(key)
    for record in stored.records.values():
        if record.rev > base:
            held.put(record)
    return held


class Peer(msgspec.Struct, frozen=True):
    """What another node's heartbeat says of its controls.

    offer: digest of the last good set it holds against a rewound store.
    """

    state: str = ""
    offer: str = ""


_decode = msgspec.msgpack.Decoder(Peer).decode


def offers_of(heartbeats: Mapping[str, bytes]) -> list[str]:
    """Return digests that rewound nodes hold, the one most of them hold first."""
    held: Counter[str] = Counter()
    for blob in heartbeats.values():
        try:
            peer = _decode(blob)
        except (msgspec.DecodeError, UnicodeError):
            continue
        if peer.state == "rewound" and peer.offer:
            held[peer.offer] += 1
    return sorted(held, key=lambda digest: (-held[digest], digest))
