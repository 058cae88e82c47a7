"""The name of every key, by environment.

The braces are literal: one hash tag keeps an environment on one cluster slot.
`1` is the schema version of what lies under the key.
"""

from __future__ import annotations

from failsoft.store.limits import check_env
from failsoft.store.protocols import KINDS

__all__ = ["Keys"]


class Keys:
    """Key names of one environment; DefinitionError on a bad environment name."""

    def __init__(self, env: str) -> None:
        self.env = check_env(env)
        self.root = f"fs:{{{env}}}"
        self.controls = f"{self.root}:ctl:1"
        self.observations = f"{self.root}:obs:1"
        self.meta = f"{self.controls}:meta"
        self.due = f"{self.controls}:due"
        self.log = f"{self.controls}:log"
        self.attempts = f"{self.controls}:attempts"
        self.kinds = {kind: f"{self.controls}:{kind}" for kind in KINDS}
        self.nodes = f"{self.observations}:nodes"
        self.watch = f"{self.observations}:watch"
        self.alert = f"{self.observations}:alert"
        self.slos = f"{self.observations}:slo"
        self.ticks = f"{self.observations}:ticks"
        self.flights = f"{self.observations}:flights"
        self.offers = f"{self.observations}:offers"
        self.seen = f"{self.observations}:seen"
        self.seen_since = f"{self.observations}:seen:since"
        self.guards = f"{self.observations}:guards"
        self.proposals = f"{self.observations}:proposals"
        self.peer_notes = f"{self.observations}:peer:notes"
        self.peer_notes_at = f"{self.observations}:peer:at"
        self.peer_marks = f"{self.observations}:peer:marks"
        self.salt = f"{self.observations}:salt"
        self.fleet_rows = f"{self.observations}:fleet:rows"
        self.fleet_leader = f"{self.observations}:leader"
        self.fleet_term = f"{self.observations}:leader:term"
        self.fleet_quotas = f"{self.observations}:quota"
        self.drift_entries = f"{self.observations}:drift:d"
        self.drift_seen = f"{self.observations}:drift:t"
        self.limits = f"{self.observations}:lim"
        self.calls = f"{self.observations}:calls"

    def op(self, op_id: str) -> str:
        """Return the key of an applied write's stored answer."""
        return f"{self.controls}:op:{op_id}"

    def node(self, node: str) -> str:
        """Return the key of a node's heartbeat."""
        return f"{self.observations}:node:{node}"

    def lease(self, bucket: str) -> str:
        """Return the key of the tokens of one `<limit>:<key>`."""
        return f"{self.observations}:lease:{bucket}"

    def offer(self, digest: str) -> str:
        """Return the key of a last good set that nodes offer."""
        return f"{self.observations}:offer:{digest}"

    def definitions(self, digest: str) -> str:
        """Return the key of published definitions."""
        return f"{self.observations}:defs:{digest}"

    def slo(self, name: str, width_s: int) -> str:
        """Return the key of an SLO's buckets of one width."""
        return f"{self.observations}:slo:{name}:{width_s}"

    def alert_mark(self, mark: str) -> str:
        """Return the key that says that an alert was told."""
        return f"{self.observations}:alert:{mark}"

    def exposures(self, day: str) -> str:
        """Return the key of a day's evaluations of flags, by UTC date."""
        return f"{self.observations}:exp:{day}"

    def drift_counts(self, day: str) -> str:
        """Return the key of a day's counts of drift, by UTC date `20260131`."""
        return f"{self.observations}:drift:n:{day}"

    def probe(self, name: str, since_ms: int, number: int) -> str:
        """Return the key of one probe of a dependency open since `since_ms`."""
        return f"{self.observations}:probe:{name}:{since_ms}:{number}"

    def usage(self, day: str) -> str:
        """Return the key of a day's usage of versions, by UTC date."""
        return f"{self.observations}:usage:{day.replace('-', '')}"

    def guard(self, flag: str, bucket: int | str) -> str:
        """Return the key of a guarded flag's outcomes in one bucket."""
        return f"{self.observations}:guard:{flag}:{bucket}"

    def user_mark(self, user: str) -> str:
        """Return the key only this ACL user may read; it never exists."""
        return f"{self.root}:id:u:{user}"

    def role_mark(self, role: str) -> str:
        """Return the key only this role may read; it never exists."""
        return f"{self.root}:id:r:{role}"
