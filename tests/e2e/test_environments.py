"""Execution environments as a handler sees them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

from tests.e2e.accounts import GATED, REGION, RUNTIME, Account, Notes
from tests.e2e.nodes import wait_until

INSPECT = """
import os, sys
at_import = dict(os.environ)
here = __file__

def handler(event, context):
    return {
        "import": at_import,
        "now": dict(os.environ),
        "cwd": os.getcwd(),
        "pid": os.getpid(),
        "file": here,
        "path": sys.path,
        "listing": sorted(os.listdir(".")),
    }
"""


def test_a_warm_environment_is_reused(account: Account) -> None:
    name = account.function(INSPECT)

    pids = {account.invoke(name, {}).json["pid"] for _ in range(5)}

    assert len(pids) == 1


def test_the_environment_has_lambda_s_variables_and_the_function_s_own(account: Account) -> None:
    name = account.function(INSPECT, Environment={"Variables": {"COLOUR": "blue"}}, MemorySize=192)

    seen = account.invoke(name, {}).json["now"]

    assert (
        seen.items()
        >= {
            "COLOUR": "blue",
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "192",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{RUNTIME}",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": account.url,
            "_HANDLER": "app.handler",
            "TZ": ":UTC",
        }.items()
    )
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_LAMBDA_LOG_STREAM_NAME"} <= set(seen)
    assert not [variable for variable in seen if variable.startswith("EVENTROUTER_")]


def test_row_60_the_trace_id_is_set_inside_the_handler_only(account: Account) -> None:
    name = account.function(INSPECT)

    seen = account.invoke(name, {}).json

    assert "_X_AMZN_TRACE_ID" not in seen["import"]
    assert seen["now"]["_X_AMZN_TRACE_ID"].startswith("Root=1-")


def test_the_caller_s_trace_root_reaches_the_handler(account: Account) -> None:
    name = account.function(INSPECT)
    root = "Root=1-5759e988-bd862e3fe1be46a994272793"
    client = account.client("lambda")
    client.meta.events.register(
        "before-sign.lambda.Invoke",
        lambda request, **_: request.headers.add_header("X-Amzn-Trace-Id", f"{root};Parent=53995c3f42cd8ad8;Sampled=1"),
    )

    answer = json.loads(client.invoke(FunctionName=name)["Payload"].read())

    client.close()
    assert answer["now"]["_X_AMZN_TRACE_ID"].startswith(root)


def test_the_working_directory_and_the_module_path_are_the_package(account: Account) -> None:
    name = account.function({"app.py": INSPECT, "data.txt": "x"})

    seen = account.invoke(name, {}).json

    assert seen["listing"] == ["app.py", "data.txt"]
    assert seen["cwd"] in seen["path"]


def test_a_handler_in_a_nested_package_is_found(account: Account) -> None:
    files = {
        "pkg/__init__.py": "",
        "pkg/sub/__init__.py": "",
        "pkg/sub/mod.py": "def run(e, c):\n    return 'nested'\n",
    }
    dotted = account.function(files, Handler="pkg.sub.mod.run")
    slashed = account.function(files, Handler="pkg/sub/mod.run")

    assert [account.invoke(name, {}).json for name in (dotted, slashed)] == ["nested", "nested"]


def test_tmp_is_each_environment_s_own_and_lasts_while_it_is_warm(account: Account) -> None:
    source = """
import os
def handler(event, context):
    with open("/tmp/file", "a") as file:
        file.write("x")
    return os.path.getsize("/tmp/file")
"""
    one, other = account.function(source), account.function(source)

    assert [account.invoke(one, {}).json for _ in range(3)] == [1, 2, 3]
    assert account.invoke(other, {}).json == 1


def test_boto3_inside_a_handler_reaches_the_node_as_the_same_account(account: Account) -> None:
    echo = account.function("def handler(event, context):\n    return {'echo': event}\n")
    caller = account.function(
        """
import boto3, json
client = boto3.client("lambda")
def handler(event, context):
    answer = client.invoke(FunctionName=event["name"], Payload=json.dumps({"from": context.function_name}))
    return json.loads(answer["Payload"].read())
""",
        Timeout=20,
        MemorySize=256,
    )

    assert account.invoke(caller, {"name": echo}).json == {"echo": {"from": caller}}


def test_a_background_thread_left_over_does_not_disturb_the_next_invocation(account: Account) -> None:
    name = account.function(
        """
import threading, time
def noise():
    for _ in range(100):
        print("noise from a thread")
        time.sleep(0.005)
def handler(event, context):
    if event == "leave":
        threading.Thread(target=noise, daemon=True).start()
    return event
"""
    )
    account.invoke(name, "leave")

    answers = [account.invoke(name, number) for number in range(20)]

    assert [(answer.function_error, answer.json) for answer in answers] == [(None, number) for number in range(20)]


def test_a_fresh_environment_serves_the_invocation_after_a_timeout(account: Account) -> None:
    name = account.function(
        "import os, time\ndef handler(event, context):\n    time.sleep(event)\n    return os.getpid()\n", Timeout=1
    )
    before = account.invoke(name, 0).json

    assert account.invoke(name, 30).function_error == "Unhandled"

    assert account.invoke(name, 0).json != before


def test_a_run_finishes_on_its_old_code_while_new_calls_run_the_new(account: Account, notes: Notes) -> None:
    name = account.function(GATED)
    with ThreadPoolExecutor(1) as callers:
        old = callers.submit(account.invoke, name, {"notes": notes.path})
        wait_until("the old code to run", lambda: notes.lines("started"))

        account.update(name, "def handler(event, context):\n    return 'new'\n")

        assert account.invoke(name, {}).json == "new"
        notes.write("go")
        assert old.result().json == "through"


def test_hot_reload_runs_what_the_folder_holds_now(account: Account, notes: Notes) -> None:
    module = notes.folder / "app.py"
    module.write_text("def handler(event, context):\n    return 'first'\n")
    name = account.create("", Code={"S3Bucket": "hot-reload", "S3Key": notes.path})
    account.wait_active(name)
    assert account.invoke(name, {}).json == "first"

    module.write_text("def handler(event, context):\n    return 'second'\n")

    wait_until("the changed code", lambda: account.invoke(name, {}).json == "second")


def test_a_configuration_change_reaches_the_next_invocation(account: Account) -> None:
    name = account.function("import os\ndef handler(event, context):\n    return os.environ.get('COLOUR')\n")
    assert account.invoke(name, {}).json is None

    account.lambda_.update_function_configuration(FunctionName=name, Environment={"Variables": {"COLOUR": "red"}})
    account.wait_active(name)

    assert account.invoke(name, {}).json == "red"


def test_the_result_is_what_json_dumps_makes_of_it(account: Account) -> None:
    value = {"b": [1, 2.5, None, True], "a": "ü"}
    name = account.function(f"def handler(event, context):\n    return {value!r}\n")

    body = account.invoke(name, {}).body.decode()

    assert body in {json.dumps(value), json.dumps(value, ensure_ascii=False)}
