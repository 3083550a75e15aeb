"""What the tests of all heads share."""

import pytest
from head_cases import OWN


@pytest.fixture(params=OWN)
def name(request: pytest.FixtureRequest) -> str:
    """Each head of this package."""
    return request.param
