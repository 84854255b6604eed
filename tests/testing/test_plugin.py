"""The pytest plugin, as a project has it that installed eventrouter: each suite is run by a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from textwrap import dedent

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

STRICT = """
[pytest]
addopts = --strict-markers --strict-config -p no:randomly -p no:cacheprovider
filterwarnings = error
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder of a project whose pytest is strict, and where the shell names no account."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "EVENTROUTER_", "PYTEST_")):
            monkeypatch.delenv(name)
    pytester.makeini(STRICT)
    return pytester


def run(project: pytest.Pytester, *arguments: str, **files: str) -> pytest.RunResult:
    """Write test files and run pytest over them, in a process of its own."""
    for name, text in files.items():
        project.path.joinpath(f"{name}.py").write_text(dedent(text))
    return project.runpytest_subprocess("-q", *arguments)


def test_sync_and_async_tests_have_a_fresh_node_each(project: pytest.Pytester) -> None:
    result = run(
        project,
        test_it="""
        import time
        import pytest

        def handler(event, context):
            return event["n"] + 1

        def test_sync(eventrouter):
            eventrouter.advance(86_400)
            function = eventrouter.function(handler, fail=[TimeoutError, None])
            function.send({"n": 1})
            began = time.monotonic()
            eventrouter.run_until_idle()
            assert time.monotonic() - began < 30
            assert (function.attempts, function.results) == (2, [2])

        def test_fresh(eventrouter):
            assert eventrouter.elapsed == 0
            assert eventrouter.client("lambda").list_functions()["Functions"] == []

        @pytest.mark.anyio
        @pytest.mark.parametrize("anyio_backend", ["asyncio"])
        async def test_async(eventrouter, anyio_backend):
            async def doubled(event, context):
                return event["n"] * 2

            function = eventrouter.function(doubled)
            function.send({"n": 4})
            eventrouter.run_until_idle()
            assert function.results == [8]

        class TestClass:
            def test_method(self, eventrouter):
                assert eventrouter.invoke(eventrouter.function(handler), {"n": 1}) == 2
        """,
    )  # fmt: skip

    result.assert_outcomes(passed=4)


TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Adder:
    Type: AWS::Serverless::Function
    Properties: {FunctionName: adder, Handler: app.add, Runtime: python3.12, CodeUri: ./code}
"""


def test_the_marker_names_a_template_beside_the_test_settings_and_a_seed(project: pytest.Pytester) -> None:
    nested = project.mkdir("suite")
    nested.joinpath("template.yaml").write_text(TEMPLATE)
    nested.joinpath("code").mkdir()
    nested.joinpath("code", "app.py").write_text("def add(event, context):\n    return sum(event)\n")
    project.path.joinpath("root.yaml").write_text(TEMPLATE.replace("./code", "./suite/code"))
    nested.joinpath("test_marked.py").write_text(
        dedent("""
        import pytest

        def failing(event, context):
            raise ValueError("no")

        @pytest.mark.eventrouter(template="template.yaml")
        def test_beside(eventrouter):
            assert eventrouter.invoke("adder", [1, 2, 3]) == 6

        @pytest.mark.eventrouter(template="root.yaml")
        def test_at_the_root(eventrouter):
            assert eventrouter.invoke("adder", [1]) == 1

        @pytest.mark.eventrouter(async_retry_base_delay=10, seed=7)
        class TestSettings:
            def test_of_the_class(self, eventrouter):
                function = eventrouter.function(failing)
                function.send()
                eventrouter.run_until_idle()
                assert function.attempt_times == pytest.approx([0, 10, 30])
                assert eventrouter.seed == 7

            @pytest.mark.eventrouter(seed=8)
            def test_the_nearest_wins(self, eventrouter):
                function = eventrouter.function(failing)
                function.send()
                eventrouter.run_until_idle()
                assert function.attempt_times == pytest.approx([0, 10, 30])
                assert eventrouter.seed == 8

        def test_by_default(eventrouter):
            assert eventrouter.seed == 3
        """)
    )  # fmt: skip

    run(project, "--eventrouter-seed=3").assert_outcomes(passed=5)


def test_values_of_the_marker_that_cannot_be_are_named(project: pytest.Pytester) -> None:
    result = run(
        project,
        test_wrong="""
        import pytest

        @pytest.mark.eventrouter(executor="threads")
        def test_executor(eventrouter): ...

        @pytest.mark.eventrouter(template="nowhere.yaml")
        def test_template(eventrouter): ...

        @pytest.mark.eventrouter("template.yaml")
        def test_position(eventrouter): ...

        @pytest.mark.eventrouter(seed="one")
        def test_seed(eventrouter): ...

        @pytest.mark.eventrouter(async_retry_base_dela=10)
        def test_setting(eventrouter): ...

        @pytest.mark.eventrouter(async_retry_base_delay=-1)
        def test_value(eventrouter): ...
        """,
    )  # fmt: skip

    result.assert_outcomes(errors=6)
    result.stdout.fnmatch_lines(
        [
            "*executor='threads'*'in-process' or 'subprocess'*",
            "*nowhere.yaml*",
            "*'template.yaml'*by name*",
            "*seed='one'*",
            "*async_retry_base_dela*",
            "*async_retry_base_delay*",
        ],
        consecutive=False,
    )


def test_a_failure_shows_the_timeline_and_the_seed(project: pytest.Pytester) -> None:
    result = run(
        project,
        "--eventrouter-seed=41",
        test_fails="""
        import pytest

        def handler(event, context):
            raise RuntimeError("no luck")

        def test_fails(eventrouter):
            eventrouter.function(handler, name="orders").send({"id": 1})
            eventrouter.run_until_idle()
            assert not "a claim"

        def test_passes(eventrouter):
            eventrouter.function(handler, name="others").send({"id": 1})
            eventrouter.run_until_idle()

        @pytest.fixture
        def prepared(eventrouter):
            eventrouter.function(handler, name="prepared").send({"id": 1})
            eventrouter.run_until_idle()
            raise RuntimeError("no preparation")

        def test_is_not_prepared(prepared): ...

        def test_without_a_router():
            assert not "another"
        """,
    )  # fmt: skip

    result.assert_outcomes(failed=2, passed=1, errors=1)
    shown = result.stdout.str()
    assert shown.count("eventrouter timeline (seed 41)") == 2
    for part in ("accepted", "invoked", "scheduled", "RuntimeError", "60.0", "orders", "prepared"):
        assert part in shown
    assert "others" not in shown.replace('others")', "")


def test_a_long_timeline_is_cut_to_its_end(project: pytest.Pytester) -> None:
    result = run(
        project,
        test_long="""
        def handler(event, context): ...

        def test_fails(eventrouter):
            function = eventrouter.function(handler)
            for _ in range(300):
                function.send()
            eventrouter.run_until_idle()
            assert not "a claim"
        """,
    )  # fmt: skip

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*earlier lines*history()*"])
    assert len(result.outlines) < 500


SERVER_SUITE = """
import os
import subprocess
import sys
import boto3
import pytest

CODE = "import boto3; print(boto3.client('sqs').list_queues().get('QueueUrls'))"

def test_the_sdks_find_the_node(aws, tmp_path):
    assert boto3.client("lambda").list_functions()["Functions"] == []
    url = boto3.client("sqs").create_queue(QueueName="jobs")["QueueUrl"]
    assert url.startswith(aws.url)
    told = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout
    assert "jobs" in told
    assert "AWS_PROFILE" not in os.environ

def test_the_environment_is_as_it_was():
    assert os.environ["AWS_PROFILE"] == "production"
    assert "AWS_ENDPOINT_URL" not in os.environ
    assert os.environ["AWS_ENDPOINT_URL_SQS"] == "http://nowhere.invalid"

def test_it_is_the_same_node_in_the_whole_run(eventrouter_server):
    assert len(eventrouter_server.client("sqs").list_queues()["QueueUrls"]) == 1
"""


def test_a_real_node_serves_the_whole_run_and_the_environment_is_restored(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://nowhere.invalid")

    run(project, test_server=SERVER_SUITE).assert_outcomes(passed=3)


def test_functions_run_in_processes_where_the_marker_says_so(project: pytest.Pytester) -> None:
    project.path.joinpath("code.py").write_text("import os\ndef pid(event, context):\n    return os.getpid()\n")
    result = run(
        project,
        shop="import os\ndef pid(event, context):\n    return os.getpid()\n",
        test_processes="""
        import os
        import pytest
        from shop import pid

        @pytest.mark.eventrouter(executor="subprocess")
        def test_subprocess(eventrouter):
            assert eventrouter.invoke(eventrouter.function(pid)) != os.getpid()

        def test_in_process(eventrouter):
            assert eventrouter.invoke(eventrouter.function(pid)) == os.getpid()
        """,
    )  # fmt: skip

    result.assert_outcomes(passed=2)


def test_nothing_heavy_is_imported_before_a_fixture_is_used(project: pytest.Pytester) -> None:
    result = run(
        project,
        test_modules="""
        import sys

        def test_modules(pytestconfig):
            assert pytestconfig.pluginmanager.hasplugin("eventrouter")
            for name in ("boto3", "botocore", "redis", "pydantic", "msgspec", "lupa", "eventrouter.node", "uvicorn"):
                assert name not in sys.modules, name
        """,
    )  # fmt: skip

    result.assert_outcomes(passed=1)


WITHOUT_PYTEST = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"pytest", "_pytest", "hypothesis"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Refuse())
import eventrouter
from eventrouter.testing import Router
from eventrouter.testing.process_router import ProcessRouter
from eventrouter.testing.server import NodeProcess

with Router() as router:
    assert router.invoke(router.function(lambda event, context: event, name="echo"), 1) == 1
"""


def test_the_package_needs_no_pytest() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_PYTEST], check=True, timeout=60)


def test_workers_of_xdist_are_in_nobodys_way(project: pytest.Pytester) -> None:
    places = project.mkdir("places")
    result = run(
        project,
        "-n2",
        "--dist=load",
        test_many="""
        import os
        from pathlib import Path
        import boto3
        import pytest

        PLACES = Path(__file__).parent / "places"

        def handler(event, context):
            return event

        @pytest.mark.parametrize("number", range(12))
        def test_one(eventrouter, eventrouter_server, number, worker_id):
            url = eventrouter_server.url
            PLACES.joinpath(f"{worker_id} {url.rpartition(':')[2]} {eventrouter_server.folder.name}").touch()
            name = f"queue-{worker_id}-{number}"
            eventrouter_server.client("sqs").create_queue(QueueName=name)
            mine = eventrouter_server.client("sqs").list_queues()["QueueUrls"]
            assert all(f"queue-{worker_id}-" in each for each in mine)
            function = eventrouter.function(handler, fail=[ValueError, None])
            boto3.client("lambda").invoke(FunctionName="handler", InvocationType="Event", Payload=b"{}")
            eventrouter.run_until_idle()
            assert function.attempts == 2
        """,
    )  # fmt: skip

    result.assert_outcomes(passed=12)
    workers, ports, folders = zip(*(place.name.split() for place in places.iterdir()), strict=True)
    assert len(set(workers)) == len(set(ports)) == len(set(folders)) == len(workers) == 2


def test_breakpoints_stop_in_the_main_thread_below_the_test(project: pytest.Pytester) -> None:
    result = run(
        project,
        test_frames="""
        import sys
        import threading
        from unittest import mock

        frames = []

        def handler(event, context):
            assert threading.current_thread() is threading.main_thread()
            frame = sys._getframe()
            while frame:
                frames.append(frame.f_code.co_name)
                frame = frame.f_back
            return charge(event)

        def charge(event):
            raise AssertionError("not mocked")

        def test_frames(eventrouter):
            eventrouter.function(handler).send({})
            with mock.patch(f"{__name__}.charge", return_value=1):
                eventrouter.run_until_idle()
            assert frames[0] == "handler"
            assert "test_frames" in frames

        def test_the_debuggers_hook_is_called(eventrouter, monkeypatch):
            stopped = []

            def hook():
                stopped.append((threading.current_thread(), sys._getframe(1).f_code.co_name))

            monkeypatch.setattr(sys, "breakpointhook", hook)

            def stops(event, context):
                breakpoint()

            eventrouter.invoke(eventrouter.function(stops))
            assert stopped == [(threading.main_thread(), "stops")]
        """,
    )  # fmt: skip

    result.assert_outcomes(passed=2)


def test_coverage_counts_the_lines_of_handlers(project: pytest.Pytester) -> None:
    project.path.joinpath("shop.py").write_text(
        dedent("""
        def order(event, context):
            if event["n"] > 1:
                return "many"
            return "one"
        """).lstrip()
    )  # fmt: skip
    project.path.joinpath("test_shop.py").write_text(
        dedent("""
        import shop

        def test_order(eventrouter):
            function = eventrouter.function(shop.order)
            function.send({"n": 1})
            eventrouter.run_until_idle()
            assert function.results == ["one"]
        """)
    )  # fmt: skip
    command = [sys.executable, "-m", "coverage"]
    environ = {**os.environ, "COVERAGE_FILE": str(project.path / "coverage.data")}
    subprocess.run(
        [*command, "run", "--include=shop.py", "-m", "pytest", "-q"],
        cwd=project.path, env=environ, check=True, capture_output=True, timeout=100,
    )  # fmt: skip
    told = subprocess.run(
        [*command, "report", "--show-missing", "--format=markdown"],
        cwd=project.path, env=environ, check=True, capture_output=True, text=True, timeout=60,
    ).stdout  # fmt: skip

    [line] = [line for line in told.splitlines() if "shop.py" in line]
    assert [cell.strip() for cell in line.split("|")][-2] == "3"
