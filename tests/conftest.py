"""What holds for every test: nothing of the shell that started it leaks in."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from eventrouter.logging import configure_logging
from eventrouter.settings import Settings

pytest_plugins = ["pytester"]

_FOREIGN = ("AWS_", "EVENTROUTER_", "LAMBDA_")
_FOREIGN_NAMES = ("DEBUG", "EDGE_PORT", "GATEWAY_LISTEN", "LS_LOG", "PERSISTENCE")
_AWS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


@pytest.fixture(autouse=True, scope="session")
def _clean_environment():
    """Take the AWS, node and emulator variables of the shell away, and name the usual test credentials."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            foreign = name.startswith(_FOREIGN) and not name.startswith("EVENTROUTER_TEST_")
            if foreign or name in _FOREIGN_NAMES:
                patch.delenv(name)
        for name, value in _AWS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(autouse=True, scope="session")
def _interruptible():
    """Let SIGINT reach the processes that tests start: a shell that runs pytest in the background ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _node_log():
    """Send what nodes inside this process log to the real stderr, which pytest captures for every test."""
    configure_logging(Settings(log_level="warning", log_format="json"), stream=sys.__stderr__)
