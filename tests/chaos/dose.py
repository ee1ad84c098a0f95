"""How much of each fault a run takes: the short form is part of the gate, the long one takes some forty minutes."""

import os
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Dose:
    """Amounts of a run.

    Attributes:
        load_s: How long the mixed load lasts.
        callers: Clients of each server with a fake engine; a real one has a quarter of them.
        kills: Engine processes that are killed under load.
        malformed: Broken uploads.
        slow_connections: Connections that send one byte a second.
        slow_s: How long they do.
        schema_examples: Requests that are made up for each operation of the OpenAPI documents.
    """

    load_s: float
    callers: int
    kills: int
    malformed: int
    slow_connections: int
    slow_s: float
    schema_examples: int


SHORT = Dose(10.0, 8, 6, 500, 1_000, 5.0, 12)
LONG = Dose(1_800.0, 8, 60, 5_000, 10_000, 60.0, 150)


def choose_dose() -> Dose:
    """The short form, or with `CHAOS=long` the long one; `CHAOS_LOAD_S` sets the seconds of the mixed load."""
    dose = {"short": SHORT, "long": LONG}[os.environ.get("CHAOS", "short")]
    load_s = os.environ.get("CHAOS_LOAD_S")
    return replace(dose, load_s=float(load_s)) if load_s else dose
