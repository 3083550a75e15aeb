"""What the tests of all heads share."""

import pytest
from head_cases import CASES


@pytest.fixture(params=CASES)
def name(request: pytest.FixtureRequest) -> str:
    """Each head of this package, in each form."""
    return request.param
