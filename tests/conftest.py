"""Shared by all tests."""

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("checks")
# Whether a test passes must not depend on how busy the machine is.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")
