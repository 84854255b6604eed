"""`eventrouter plan`: what would run, without a node."""

import json

import pytest

from eventrouter.cli import main
from tests.project.apps import write

pytestmark = pytest.mark.unit

APP = """
failed = app.queue("failed")
@app.queue("orders", dlq=failed)
@app.function(timeout=10, environment={"TOKEN": "secret"})
def take(event, context): ...
@app.stream("clicks", shards=2)
@app.schedule("rate(1 day)")
@app.route("GET /orders")
def look(event, context): ...
"""
TEMPLATE = """
Parameters:
  Name:
    Type: String
Resources:
  Role:
    Type: AWS::IAM::Role
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: !Ref Name
"""


@pytest.fixture
def plan(capfd, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = main(["plan", *arguments])
        told = capfd.readouterr()
        return code, told.out, told.err

    return run


def test_everything_is_listed_with_its_line(plan, tmp_path):
    write(tmp_path, APP)

    code, out, _ = plan()

    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == "shop account 000000000000 us-east-1"
    for wanted in (
        "queue failed app.py:3",
        "queue orders app.py:4",
        "stream clicks 2 shards app.py:7",
        "mapping sqs orders -> take app.py:4",
        "mapping kinesis clicks -> look app.py:7",
        "schedule look rate(1 day) -> look app.py:8",
        "route GET /orders -> look app.py:9",
    ):
        assert wanted in lines
    assert any(line.startswith("function take python3.") and line.endswith("10 s, 128 MB app.py:5") for line in lines)
    assert "secret" not in out


def test_a_plan_comes_as_json_without_the_values_of_variables(plan, tmp_path):
    write(tmp_path, APP)

    code, out, _ = plan("app.py", "--json")

    document = json.loads(out)
    assert code == 0
    assert [function["name"] for function in document["functions"]] == ["take", "look"]
    assert (document["refused"], document["not_applied"]) == ([], [])
    assert "secret" not in out


def test_what_has_no_meaning_here_is_listed_and_parameters_are_given(plan, tmp_path):
    (tmp_path / "template.yaml").write_text(TEMPLATE)

    code, out, _ = plan("template.yaml", "--parameter", "Name=given")

    assert code == 0
    assert "queue     given" in out
    assert "not applied 1" in out
    assert "template.yaml:6" in out


def test_what_the_api_would_refuse_is_an_error(plan, tmp_path):
    write(tmp_path, '@app.function(environment={"A": "secret"})\ndef take(event, context): ...\n')

    code, out, _ = plan("app.py")

    assert code == 1
    assert "refused 1" in out
    assert "app.py:3: function take: 1 validation error detected: Value at 'environment.variables'" in out
    assert "secret" not in out


def test_a_file_that_says_what_cannot_be_is_an_error_with_its_line(plan, tmp_path):
    write(tmp_path, "@app.function(timeout=0)\ndef take(event, context): ...\n")

    code, _, err = plan("app.py")

    assert (code, err) == (1, "error: app.py:3: @app.function: timeout=0 is not in 1..900\n")


@pytest.mark.parametrize("given", ["Name", "=value"])
def test_a_parameter_is_a_name_and_a_value(plan, given):
    code, _, err = plan(".", "--parameter", given)

    assert code == 2
    assert "is no NAME=VALUE" in err


def test_a_table_that_feeds_a_function_is_named(plan, tmp_path):
    arn = "arn:aws:dynamodb:us-east-1:000000000000:table/carts/stream/2026-01-01T00:00:00.000"
    (tmp_path / "app.py").write_text("def take(event, context): ...\n")
    (tmp_path / "eventrouter.toml").write_text(
        f'[functions.take]\nhandler = "app.take"\n\n[[mappings]]\nsource = "{arn}"\nfunction = "take"\n'
    )

    code, out, _ = plan("eventrouter.toml")

    assert code == 0
    assert "mapping dynamodb carts -> take eventrouter.toml:4" in [" ".join(line.split()) for line in out.splitlines()]
