"""No environment outlives its test: not its processes, not its descriptors, not its files."""

from __future__ import annotations

import gc
import os

import pytest

from tests.runtime.support import children


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path):
    processes, descriptors = children(), _descriptors()
    yield
    gc.collect()
    left = tmp_path / "data" / "environments"
    assert children() <= processes, "processes are left"
    assert _descriptors() <= descriptors, "descriptors are left"
    assert not left.exists() or not list(left.iterdir()), "files of environments are left"


def _descriptors():
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue
        if not target.startswith(("/dev/", "/proc/")):
            found[int(fd), target] = True
    return found.keys()


@pytest.fixture(scope="session", autouse=True)
def _descriptors_for_good():
    """libuv opens a pipe with its first loop and keeps it."""
    try:
        import uvloop
    except ImportError:
        return
    uvloop.new_event_loop().close()
