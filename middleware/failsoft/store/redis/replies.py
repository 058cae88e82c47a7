"""What Redis answers, as text, numbers and log entries."""

from __future__ import annotations

from failsoft.store.protocols import Entry

__all__ = ["entry_of", "number_of", "text_of"]


# Whatever hands other than ours put into the store, a node must go on reading it.
def text_of(raw: bytes | None) -> str:
    """Return a reply as text; "" for none."""
    return raw.decode(errors="replace") if raw else ""


def number_of(raw: bytes | None) -> int:
    """Return a reply as a number; 0 for what is none."""
    return int(raw) if raw and raw.isdigit() else 0


def entry_of(id_: bytes, fields: dict[bytes, bytes]) -> Entry:
    """Build an `Entry` from an item of the log stream."""

    def text(name: bytes) -> str:
        return text_of(fields.get(name))

    return Entry(
        id=id_.decode(),
        rev=number_of(fields.get(b"rev")),
        epoch=text(b"ep"),
        kind=text(b"kind"),
        name=text(b"name"),
        op=text(b"op"),
        value=fields.get(b"v") or None,
        was=fields.get(b"was") or None,
        who=text(b"who"),
        why=text(b"why"),
        via=text(b"via"),
        op_id=text(b"id"),
    )
