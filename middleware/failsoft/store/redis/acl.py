"""The rights of each role as Redis ACL rules; `failsoft acl` prints them.

Redis decides, not failsoft: a node's credentials cannot write controls whatever
code runs with them.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

from failsoft.errors import DefinitionError
from failsoft.store.redis.keys import Keys

__all__ = ["ROLES", "Role", "acl_line", "acl_rules"]

Role = Literal["app", "viewer", "operator", "automation"]
ROLES: tuple[Role, ...] = get_args(Role)

# Rights on (controls, observations).
_KEYS = {
    "app": ("%R", "%RW"),
    "viewer": ("%R", "%R"),
    "operator": ("%RW", "%RW"),
    "automation": ("%RW", "%RW"),
}
_READS = ("-@all", "+@connection", "+@read", "+@transaction", "+@blocking", "+time")
_WRITES = ("+@write", "+eval", "+evalsha", "+script|load")
# What is dangerous goes last but for WHOAMI, which only names the asking user.
_LAST = ("-@dangerous", "+acl|whoami")

_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}")


def acl_rules(role: Role, env: str, user: str) -> tuple[str, ...]:
    """Return the rules of `ACL SETUSER` for a user of a role, without its password.

    Each user may read one key that bears its name and one that bears its role;
    they never exist, being readable is what proves who is connected.
    Raises DefinitionError on a bad environment or user name.
    """
    keys = Keys(env)
    if not _USER.fullmatch(user):
        raise DefinitionError(
            [f"user {user!r} must be 1 to 63 of letters, digits and . _ @ -"]
        )
    controls, observations = _KEYS[role]
    rules = [
        f"{controls}~{keys.controls}:*",
        f"{observations}~{keys.observations}:*",
        f"%R~{keys.user_mark(user)}",
        f"%R~{keys.role_mark(role)}",
        *_READS,
        *(() if role == "viewer" else _WRITES),
        *_LAST,
    ]
    if role == "viewer":
        # The one key a viewer writes: it tells the nodes that somebody looks.
        rules.append(f"(+set ~{keys.watch})")
    return tuple(rules)


def acl_line(role: Role, env: str, user: str) -> str:
    """Return the whole command for redis-cli; the password is a placeholder."""
    rules = " ".join(
        f"'{rule}'" if set(rule) & set("(|*") else rule
        for rule in acl_rules(role, env, user)
    )
    return f"ACL SETUSER {user} reset on '>PASSWORD' {rules}"
