"""What is known about a project without a node."""

import pytest

from eventrouter.project.check import check, not_applied_of
from eventrouter.project.model import (
    MappingResource,
    NotApplied,
    Place,
    QueueResource,
    RouteResource,
    ScheduleResource,
    StreamResource,
)
from tests.project.apps import a_function, a_project

pytestmark = pytest.mark.unit

PLACE = Place("template.yaml", 12)


def test_a_project_without_faults_has_no_problems(tmp_path):
    project = a_project(
        tmp_path,
        functions=(a_function(tmp_path, event_invoke={"MaximumRetryAttempts": 1}, reserved_concurrency=2),),
        queues=(QueueResource(name="orders", place=PLACE, attributes={"DelaySeconds": "1"}),),
        streams=(StreamResource(name="clicks", place=PLACE),),
        mappings=(
            MappingResource(
                members={"EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:orders", "FunctionName": "f"},
                place=PLACE,
            ),
        ),
        schedules=(
            ScheduleResource(
                name="often",
                members={"ScheduleExpression": "rate(1 day)"},
                targets=({"Id": "1", "Arn": "arn:aws:lambda:us-east-1:000000000000:function:orders"},),
                place=PLACE,
            ),
        ),
        routes=(RouteResource(route_key="GET /", function="orders", place=PLACE),),
    )

    assert check(project) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"members": {"Timeout": 0}}, "Value '0' at 'timeout' failed to satisfy constraint"),
        ({"members": {"Timeout": 901}}, "'Timeout' value failed to satisfy constraint"),
        ({"members": {"Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:l:1"]}}, "layers are not served"),
        ({"members": {"Runtime": "nodejs22.x"}}, "The runtime nodejs22.x is not supported by eventrouter yet"),
        ({"members": {"Timout": 3}}, "Unknown parameter in input: 'Timout'"),
        ({"event_invoke": {"MaximumRetryAttempts": 3}}, "Value '3' at 'maximumRetryAttempts' failed"),
        ({"reserved_concurrency": -1}, "Value '-1' at 'reservedConcurrentExecutions' failed"),
    ],
)
def test_what_the_api_would_refuse_is_told_with_its_place(tmp_path, changes, told):
    (problem,) = check(a_project(tmp_path, functions=(a_function(tmp_path, **changes),)))

    assert str(problem).startswith("app.py:3: function orders: ")
    assert told in problem.message


SQS = "arn:aws:sqs:us-east-1:000000000000:orders"


def a_schedule(expression):
    return {
        "schedules": (ScheduleResource(name="s", members={"ScheduleExpression": expression}, targets=(), place=PLACE),)
    }


def a_mapping(**members):
    return {
        "mappings": (
            MappingResource(members={"EventSourceArn": SQS, "FunctionName": "orders", **members}, place=PLACE),
        )
    }


@pytest.mark.parametrize(
    ("resources", "told"),
    [
        (a_schedule("rate(5 minute)"), "'rate(5 minute)' is not a schedule: the unit of 5 is 'minutes'"),
        (a_schedule("cron(0 25 * * ? *)"), "'cron(0 25 * * ? *)' is not a schedule"),
        (a_schedule("at(2030-01-01T00:00:00)"), "a rule fires more than once"),
        (
            {"routes": (RouteResource(route_key="GET /{id", function="orders", place=PLACE),)},
            "'{id' in 'GET /{id' must be",
        ),
        (a_mapping(FilterCriteria={"Filters": [{"Pattern": '{"a": 1}'}]}), "Invalid filter pattern definition."),
        (
            {
                **a_mapping(),
                "queues": (QueueResource(name="orders", place=PLACE, attributes={"VisibilityTimeout": "5"}),),
            },
            "Queue visibility timeout: 5 seconds is less than Function timeout: 6 seconds",
        ),
    ],
)
def test_what_rules_beyond_the_models_refuse_is_told_with_its_place(tmp_path, resources, told):
    function = a_function(tmp_path, members={"Timeout": 6})

    (problem,) = check(a_project(tmp_path, functions=(function,), **resources))

    assert problem.place == PLACE
    assert told in problem.message


def test_what_has_no_meaning_here_is_listed_with_its_place(tmp_path):
    passed_by = NotApplied(what="AWS::IAM::Role", place=PLACE, why="there is no IAM here")
    function = a_function(tmp_path, members={"VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": []}})

    first, second = not_applied_of(a_project(tmp_path, functions=(function,), not_applied=(passed_by,)))

    assert first is passed_by
    assert second.what == "VpcConfig subnet-1 on `orders`"
    assert str(second.place) == "app.py:3"
