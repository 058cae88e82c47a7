"""`failsoft acl`: the Redis rules of each role, ready for redis-cli."""

from __future__ import annotations

import argparse
import os

from failsoft.cli._answers import OK, answer
from failsoft.errors import Invalid
from failsoft.ops.connect import DEFAULT_ENV
from failsoft.store.redis.acl import ROLES, acl_line, acl_rules

__all__ = ["add_arguments", "main"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `failsoft acl`."""
    parser.add_argument("--env", metavar="NAME", help="environment (FAILSOFT_ENV)")
    parser.add_argument("--user", metavar="NAME", help="user name (the role's name)")
    parser.add_argument("--role", metavar="ROLE", help=f"one of {', '.join(ROLES)}")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def main(values: argparse.Namespace) -> int:
    """Print the rules of one role or of all."""
    env = values.env or os.environ.get("FAILSOFT_ENV") or DEFAULT_ENV
    roles = [role for role in ROLES if values.role in (None, role)]
    if not roles:
        message = f"{values.role!r} must be one of {', '.join(ROLES)}"
        raise Invalid("--role", message)
    users = {role: values.user or role for role in roles}
    if values.json:
        rules = {role: acl_rules(role, env, users[role]) for role in roles}
        answer({"ok": True, "env": env, "rules": rules})
        return OK
    print("# replace PASSWORD; run in redis-cli, then ACL SAVE")
    for role in roles:
        print(acl_line(role, env, users[role]))
    return OK
