"""What a function finds in its environment, and what starts it."""

from __future__ import annotations

import asyncio
import re

import pytest

from eventrouter.rules.function import LogFormat, LoggingConfig
from eventrouter.runtime.variables import environment_of
from tests.runtime.support import a_function, a_runtime, answer, failure_of, invoke_one

EVERY_VARIABLE = {
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_RUNTIME_API",
    "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_XRAY_CONTEXT_MISSING", "AWS_XRAY_DAEMON_ADDRESS",
    "_AWS_XRAY_DAEMON_ADDRESS", "_AWS_XRAY_DAEMON_PORT", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "LANG", "LC_CTYPE",
    "LD_LIBRARY_PATH", "PATH", "PWD", "PYTHONPATH", "SHLVL", "TZ", "_HANDLER",
}  # fmt: skip
"""lambda-semantics §5.2, without _X_AMZN_TRACE_ID, which exists within handlers only."""
SHOW = """
    import os, time
    at_import = dict(os.environ)
    def handler(event, context): return at_import | {"zone": time.tzname[0], "cwd": os.getcwd()}
"""


async def _shown(tmp_path, **fields):
    async with a_runtime(tmp_path) as runtime:
        lease = await runtime.lease(a_function(tmp_path, SHOW, **fields), patience_s=5)
        return lease, await invoke_one(lease)


@pytest.mark.integration
def test_functions_see_every_variable_of_lambda_and_none_of_the_node(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_NODE", "1")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    lease, run = asyncio.run(_shown(tmp_path, memory_mb=256))

    shown = answer(run)
    assert set(shown) == EVERY_VARIABLE | {"AWS_ENDPOINT_URL", "AWS_LAMBDA_LOG_FORMAT", "zone", "cwd"}
    assert shown["AWS_ACCESS_KEY_ID"] == "111122223333"
    assert shown["AWS_REGION"] == shown["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert shown["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.12"
    assert shown["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert shown["AWS_LAMBDA_LOG_STREAM_NAME"] == lease.log_stream == run.log_stream
    assert shown["AWS_LAMBDA_RUNTIME_API"] == "127.0.0.1:4566"
    assert shown["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
    assert shown["LAMBDA_TASK_ROOT"] == shown["PWD"] == shown["cwd"]
    assert shown["zone"] == "UTC"
    assert shown["_HANDLER"] == "index.handler"


@pytest.mark.integration
def test_the_variables_of_the_function_win_where_lambda_lets_them(tmp_path):
    chosen = {"TZ": "Asia/Tokyo", "LANG": "C", "AWS_ENDPOINT_URL": "http://elsewhere", "MINE": "é", "AWS_REGION": "no"}

    _, run = asyncio.run(_shown(tmp_path, environment=chosen))

    shown = answer(run)
    assert {key: shown[key] for key in chosen} == chosen | {"AWS_REGION": "eu-west-1"}
    assert shown["zone"] == "JST"


@pytest.mark.unit
def test_log_settings_and_streams_of_a_shared_group_are_told(tmp_path):
    logging = LoggingConfig(group="shared", format=LogFormat.JSON, application_level="DEBUG")
    function = a_function(tmp_path, "", logging=logging)

    variables = environment_of(function, log_stream="s", endpoint_url="http://h:1", task_root="/var/task")

    assert variables["AWS_LAMBDA_LOG_FORMAT"] == "JSON"
    assert variables["AWS_LAMBDA_LOG_LEVEL"] == "DEBUG"
    assert variables["AWS_LAMBDA_LOG_GROUP_NAME"] == "shared"


@pytest.mark.integration
def test_log_streams_name_the_function_in_a_group_of_its_own_choice(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            plain = await runtime.lease(a_function(tmp_path, SHOW), patience_s=5)
            shared = a_function(tmp_path, SHOW, name="other", logging=LoggingConfig(group="shared"))
            return plain.log_stream, (await runtime.lease(shared, patience_s=5)).log_stream

    plain, shared = asyncio.run(scenario())

    day = r"\d{4}/\d\d/\d\d/"

    assert re.fullmatch(day + r"\[\$LATEST\][0-9a-f]{32}", plain)
    assert re.fullmatch(day + r"other\[\$LATEST\][0-9a-f]{32}", shared)


@pytest.mark.integration
@pytest.mark.parametrize("wants_sandbox", [True, False])
def test_an_exec_wrapper_starts_the_function(tmp_path, wants_sandbox):
    async def scenario():
        async with a_runtime(tmp_path, wants_sandbox=wants_sandbox) as runtime:
            environment = {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrapper"}
            function = a_function(tmp_path, SHOW, environment=environment)
            wrapper = tmp_path / function.code.directory / "wrapper"
            wrapper.write_text('#!/bin/sh\necho wrapped\nexport FROM_WRAPPER=yes\nexec "$@"\n')
            wrapper.chmod(0o755)
            lease = await runtime.lease(function, patience_s=5)
            return await invoke_one(lease)

    run = asyncio.run(scenario())

    assert answer(run)["FROM_WRAPPER"] == "yes"
    assert run.log == b"wrapped\n"
    assert run.init_ms is not None


@pytest.mark.integration
def test_a_missing_exec_wrapper_is_exit_status_127(tmp_path):
    _, run = asyncio.run(_shown(tmp_path, environment={"AWS_LAMBDA_EXEC_WRAPPER": "/opt/none"}))

    assert failure_of(run)["errorMessage"].endswith("Error: Runtime exited with error: exit status 127")
