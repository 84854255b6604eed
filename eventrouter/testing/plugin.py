"""The pytest plugin: fixtures `eventrouter`, `eventrouter_server` and `aws`, a marker, and timelines of what failed.

Loaded by every pytest run where eventrouter is installed, so nothing heavy is imported before a fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from eventrouter.testing import Router
    from eventrouter.testing.server import NodeProcess

IN_PROCESS, SUBPROCESS = "in-process", "subprocess"
_ROUTER = pytest.StashKey["Router"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--eventrouter-seed`."""
    group = parser.getgroup("eventrouter")
    group.addoption(
        "--eventrouter-seed", type=int, default=0, metavar="N", help="Seed of every router. A failure prints its own."
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers",
        "eventrouter(template=None, executor='in-process', seed=None, **settings): how the fixture of that name is set up: "
        "a project file to begin with; 'subprocess' for functions in processes, on the embedded server; any setting.",
    )


@pytest.fixture
def eventrouter(request: pytest.FixtureRequest) -> Iterator[Router]:
    """A fresh node under virtual time, in this process; by the marker with a template, settings, or real processes."""
    marker = request.node.get_closest_marker("eventrouter")
    options: dict[str, Any] = dict(marker.kwargs) if marker is not None else {}
    template = options.pop("template", None)
    options.setdefault("seed", request.config.getoption("--eventrouter-seed"))
    with _router(options.pop("executor", IN_PROCESS), options) as router:
        request.node.stash[_ROUTER] = router
        if template is not None:
            router.template(_found(request, template))
        yield router


@pytest.fixture(scope="session")
def eventrouter_server() -> Iterator[NodeProcess]:
    """A real node on a free port, one for the whole run (with xdist: for each worker), whose time can be advanced."""
    from eventrouter.testing.server import NodeProcess

    with NodeProcess(clock="virtual") as node:
        yield node


@pytest.fixture
def aws(eventrouter_server: NodeProcess, monkeypatch: pytest.MonkeyPatch) -> NodeProcess:
    """Point every AWS SDK of this process, and of those that it starts, at `eventrouter_server`."""
    for name, value in eventrouter_server.environ.items():
        monkeypatch.setenv(name, value)
    return eventrouter_server


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:  # noqa: ARG001 - the hook's
    """Add the router's timeline to the report of a test that failed."""
    report = yield
    router = item.stash.get(_ROUTER, None)
    if router is not None and report.when == "call" and report.failed:
        report.sections.append((f"eventrouter timeline (seed {router.seed})", router.timeline()))
    return report


def _router(executor: str, options: dict[str, Any]) -> Router:
    """Return the router of an executor, not opened yet."""
    if executor == IN_PROCESS:
        from eventrouter.testing.router import Router

        return Router(**options)
    if executor == SUBPROCESS:
        from eventrouter.testing.process_router import ProcessRouter

        return ProcessRouter(**options)
    raise pytest.UsageError(f"executor={executor!r} of the marker eventrouter is not {IN_PROCESS!r} or {SUBPROCESS!r}")


def _found(request: pytest.FixtureRequest, template: str) -> Path:
    """Return a template beside the test, or below the root directory."""
    beside = request.path.parent / template
    return beside if beside.exists() else request.config.rootpath / template
