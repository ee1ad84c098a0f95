"""How much of everything."""

import pytest

from chaos.dose import Dose, choose_dose


@pytest.fixture(scope="session")
def dose() -> Dose:
    """The amounts of this run."""
    return choose_dose()
