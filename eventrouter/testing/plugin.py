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
MOST_LINES = 400
"""So many lines of a timeline are shown, its last ones."""
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
        "eventrouter(template=None, executor='in-process', seed=None, **settings): how the fixture of that name "
        "is set up: a project file to begin with; 'subprocess' for functions in processes, on the embedded server; "
        "any setting.",
    )


@pytest.fixture
def eventrouter(request: pytest.FixtureRequest) -> Iterator[Router]:
    """A fresh node under virtual time, in this process; by the marker with a template, settings, or real processes.

    def test_the_third_attempt_wins(eventrouter):
        orders = eventrouter.function(handler, fail=[TimeoutError, TimeoutError, None])
        orders.send({"id": 1})
        eventrouter.run_until_idle()
        assert orders.attempt_times == [0, 60, 180]
    """
    options = _marked(request)
    template = options.pop("template", None)
    with _router(options.pop("executor", IN_PROCESS), options) as router:
        request.node.stash[_ROUTER] = router
        if template is not None:
            router.template(_found(request, template))
        yield router


@pytest.fixture(scope="session")
def eventrouter_server() -> Iterator[NodeProcess]:
    """A real node on a free port, one for the whole run (with xdist: for each worker), whose time can be advanced.

    def test_a_program(eventrouter_server):
        subprocess.run(["./importer", "--endpoint", eventrouter_server.url], check=True)
        eventrouter_server.advance(90)
    """
    from eventrouter.testing.server import NodeProcess

    with NodeProcess(clock="virtual") as node:
        yield node


@pytest.fixture
def aws(eventrouter_server: NodeProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[NodeProcess]:
    """Point every AWS SDK of this process, and of those that it starts, at `eventrouter_server`.

    def test_an_import(aws):
        boto3.client("sqs").create_queue(QueueName="orders")
        subprocess.run(["./importer"], check=True)

    The environment is restored afterwards; what a test leaves in the node stays there.
    """
    import os

    from eventrouter.testing.aws import default_session

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in eventrouter_server.environ.items():
        monkeypatch.setenv(name, value)
    with default_session():
        yield eventrouter_server


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:  # noqa: ARG001 - the hook's
    """Add the router's timeline to the report of a test that failed."""
    report = yield
    router = item.stash.get(_ROUTER, None)
    if router is not None and report.failed:
        report.sections.append((f"eventrouter timeline (seed {router.seed})", _end_of(router.timeline())))
    return report


def _marked(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return what the markers say, the nearest first to be heard, and the seed of the command line."""
    options: dict[str, Any] = {"seed": request.config.getoption("--eventrouter-seed")}
    for marker in reversed(list(request.node.iter_markers("eventrouter"))):
        if marker.args:
            raise pytest.UsageError(f"{marker.args[0]!r}: the marker eventrouter takes its values by name")
        options.update(marker.kwargs)
    if not isinstance(options["seed"], int):
        raise pytest.UsageError(f"seed={options['seed']!r} of the marker eventrouter is not a whole number")
    return options


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


def _end_of(timeline: str) -> str:
    lines = timeline.splitlines()
    if len(lines) <= MOST_LINES:
        return timeline
    left_out = len(lines) - MOST_LINES
    return "\n".join([f"({left_out} earlier lines left out: router.history() has them all)", *lines[-MOST_LINES:]])
