"""Apply or refuse: every input member of every operation served is registered, and every claim has its test."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from eventrouter.api.applied import applied_table, embed, main, served_apis
from eventrouter.api.lambda_.members import MEMBERS
from eventrouter.api.registry import Applied, NotApplicable, Refused, applied_tests, differences, input_members
from eventrouter.ports import ServiceApi
from tests.api.conftest import Account, Door

ROOT = Path(__file__).parents[2]
APIS = {api.service: api for api in served_apis()}


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("service", APIS)
def test_every_input_member_of_every_operation_is_registered(service: str) -> None:
    assert differences(APIS[service]) == []


@pytest.mark.parametrize("service", APIS)
def test_every_applied_member_names_a_test_that_exists(service: str) -> None:
    missing = [test for test in sorted(applied_tests(APIS[service])) if not _exists(test)]

    assert missing == []


def _exists(test: str) -> bool:
    path, _, name = test.partition("::")
    return (ROOT / path).is_file() and name in names_in(path)


def test_every_operation_that_lambda_serves_is_in_the_registry(door: Door) -> None:
    served = set(door.gateway._services["lambda"].operations)

    assert served | {"Invoke", "InvokeAsync"} == set(MEMBERS)


def test_a_missing_a_stale_and_an_unregistered_entry_are_told() -> None:
    async def operation(caller: object, values: object) -> dict[str, object]:
        return {}

    api = ServiceApi(
        service="lambda",
        operations={"ListTags": operation, "GetAccountSettings": operation},
        members={"ListTags": {"Stale": NotApplicable("")}},
    )

    assert differences(api) == [
        "lambda.GetAccountSettings is served, not registered",
        "lambda.ListTags: Resource is not registered",
        "lambda.ListTags: Stale is no input member",
    ]


def test_members_of_lists_and_maps_have_paths() -> None:
    assert "FileSystemConfigs[].S3FilesConfig.DirectS3Read" in input_members("lambda", "CreateFunction")
    assert "Environment.Variables" in input_members("lambda", "CreateFunction")
    assert "MessageAttributes{}.StringValue" in input_members("sqs", "SendMessage")
    assert "Item{}.S" in input_members("dynamodb", "PutItem")
    assert input_members("lambda", "GetAccountSettings") == ()


def test_the_table_has_a_line_for_each_operation() -> None:
    members = {"ListTags": {"Resource": Applied("t"), "B": Refused("why"), "C": NotApplicable("why")}}

    table = applied_table([ServiceApi(service="lambda", operations={}, members=members)])

    assert table.splitlines()[-1] == "| lambda | ListTags | `Resource` | `C` | `B` |"


def test_the_table_is_embedded_between_its_markers(tmp_path: Path) -> None:
    document = "before <!-- applied:begin -->old<!-- applied:end --> after"

    assert embed(document, "new") == "before <!-- applied:begin -->\nnew\n<!-- applied:end --> after"
    with pytest.raises(ValueError, match="no <!-- applied:begin -->"):
        embed("no markers", "new")
    path = tmp_path / "doc.md"
    path.write_text(document)
    assert main([str(path)]) == 0
    assert applied_table(served_apis()) in path.read_text()


def test_the_command_prints_the_table() -> None:
    command = [sys.executable, "-m", "eventrouter.api.applied"]

    printed = subprocess.run(command, capture_output=True, check=True, cwd=ROOT, timeout=60)

    assert printed.stdout.decode() == applied_table(served_apis()) + "\n"


def test_the_readme_s_table_is_the_registry_s() -> None:
    readme = (ROOT / "README.md").read_text()

    assert embed(readme, applied_table(served_apis())) == readme, "run: python -m eventrouter.api.applied README.md"


def test_refused_members_are_refused_by_the_operations(account: Account) -> None:
    account.create()

    answer = account.ask("GET", "/2015-03-31/functions", query=b"MasterRegion=ALL")

    assert answer.headers["x-amzn-errortype"] == "InvalidParameterValueException"
    assert b"MasterRegion of ListFunctions is not supported by eventrouter: there is no Lambda@Edge here" in answer.body
