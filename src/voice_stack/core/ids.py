"""Ids of what is asked for again: they name the replica that knows it, so that a balancer finds the way back."""

import re
import secrets

REPLICA_NAME = "[a-z0-9-]{1,32}"
"""A replica's name, as a regular expression; it has no `_`, which stands around it in ids."""
_OF_REPLICA = re.compile(f"[a-z]+_({REPLICA_NAME})_[0-9a-f]+")


def new_id(kind: str, replica: str = "") -> str:
    """An id that nobody can guess: its kind, the replica's name if it has one, 128 random bits.

    Args:
        kind: As `job`.
        replica: Of the server, as `r3`; that makes it `job_r3_...`. Empty: `job_...`.
    """
    return "_".join(filter(None, (kind, replica, secrets.token_hex(16))))


def tell_other_replica(wanted: str, replica: str) -> str:
    """Where to look for what is not here, as a sentence after that; empty where its id names no other replica.

    Args:
        wanted: An id as it came, whatever it is.
        replica: That of the server that was asked; empty: it has no name.
    """
    named = _OF_REPLICA.fullmatch(wanted)
    if named is None or named[1] == replica:
        return ""
    asked = f"replica {replica!r}" if replica else "a replica without a name"
    return (
        f" Its id is of replica {named[1]!r}, and this is {asked}: "
        "the balancer has to send a request with that id there."
    )
