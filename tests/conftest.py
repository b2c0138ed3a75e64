"""Shared by all tests."""

import signal

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("checks")
# Whether a test passes must not depend on how busy the machine is.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")


def pytest_configure() -> None:
    # A shell that starts pytest in the background has it ignore Ctrl-C, and every process of its.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
