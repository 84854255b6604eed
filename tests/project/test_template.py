from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from eventrouter.project.cfn_types import READERS
from eventrouter.project.model import Place, ProjectError
from eventrouter.project.sam_events import READERS as EVENT_READERS
from eventrouter.project.template import read_template
from eventrouter.project.yaml_lines import load
from tests.project.a_template import SAM, a_project, reasons, write

pytestmark = pytest.mark.unit

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def test_the_sample_functions_are_read_whole() -> None:
    project = read_template(ROOT / "handlers" / "template.yaml")

    assert [function.name for function in project.functions] == [
        "hello", "orders", "flaky", "poison", "slow", "echo", "ledger", "calls-aws", "readings", "parcels",
    ]  # fmt: skip
    assert {function.code for function in project.functions} == {ROOT / "handlers"}
    assert [queue.name for queue in project.queues] == ["poison-dead-letters", "readings-parked"]
    by_name = {function.name: function for function in project.functions}
    assert by_name["flaky"].event_invoke == {"MaximumRetryAttempts": 2}
    assert by_name["slow"].reserved_concurrency == 1
    assert by_name["parcels"].members["Timeout"] == 1
    assert by_name["poison"].members["DeadLetterConfig"] == {
        "TargetArn": "arn:aws:sqs:us-east-1:000000000000:poison-dead-letters"
    }
    assert project.name == "handlers"
    assert project.not_applied == ()
    assert project.files == (ROOT / "handlers" / "template.yaml",)


def test_everything_that_is_served_is_read_and_nothing_is_left_over() -> None:
    project = read_template(HERE / "templates" / "everything.yaml", name="shop", parameters={"Stage": "prod"})

    orders, audit = project.functions
    parked = "arn:aws:sqs:us-east-1:000000000000:parked"
    assert orders.name == "orders-prod"
    assert orders.members == {
        "FunctionName": "orders-prod",
        "Handler": "orders.handler",
        "Runtime": "python3.12",
        "Timeout": 10,
        "MemorySize": 256,
        "Environment": {
            "Variables": {
                "STAGE": "prod",
                "LEVEL": "debug",
                "QUEUE": "http://sqs.us-east-1.localhost.localstack.cloud:4566/000000000000/shop-Incoming",
                "ANSWER": "42",
                "ENABLED": "true",
            }
        },
        "DeadLetterConfig": {"TargetArn": parked},
        "Tags": {"team": "shop"},
    }
    assert orders.reserved_concurrency == 5
    assert orders.event_invoke == {
        "MaximumEventAgeInSeconds": 3600,
        "MaximumRetryAttempts": 1,
        "DestinationConfig": {
            "OnSuccess": {"Destination": "arn:aws:lambda:us-east-1:000000000000:function:shop-Audit"},
            "OnFailure": {"Destination": parked},
        },
    }
    assert (audit.name, audit.members["Runtime"]) == ("shop-Audit", "python3.13")
    assert {stream.name: (stream.members, stream.retention_hours) for stream in project.streams} == {
        "shop-Clicks": ({"ShardCount": 4}, 48)
    }
    assert {queue.name for queue in project.queues} == {"shop-Incoming", "parked", "shop-OrdersNightlyQueue"}
    assert project.not_applied == ()


def test_every_event_becomes_what_invokes_the_function() -> None:
    project = read_template(HERE / "templates" / "everything.yaml", name="shop")
    function = "arn:aws:lambda:us-east-1:000000000000:function:orders-dev"

    clicks, accounts, incoming = [mapping.members for mapping in project.mappings]
    assert clicks == {
        "FunctionName": "orders-dev",
        "EventSourceArn": "arn:aws:kinesis:us-east-1:000000000000:stream/shop-Clicks",
        "StartingPosition": "TRIM_HORIZON",
        "BatchSize": 200,
        "MaximumBatchingWindowInSeconds": 2,
        "MaximumRetryAttempts": 5,
        "MaximumRecordAgeInSeconds": 3600,
        "BisectBatchOnFunctionError": True,
        "ParallelizationFactor": 2,
        "TumblingWindowInSeconds": 0,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:000000000000:parked"}},
        "FilterCriteria": {"Filters": [{"Pattern": '{"data": {"kind": ["click"]}}'}]},
    }
    assert accounts == {
        "FunctionName": "orders-dev",
        "EventSourceArn": "arn:aws:dynamodb:us-east-1:000000000000:table/accounts/stream/2026-11-21T00:00:00.000",
        "StartingPosition": "LATEST",
        "Enabled": False,
    }
    assert incoming == {
        "FunctionName": "orders-dev",
        "EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:shop-Incoming",
        "BatchSize": 5,
        "ScalingConfig": {"MaximumConcurrency": 3},
    }
    assert [(schedule.name, schedule.members, schedule.targets) for schedule in project.schedules] == [
        (
            "nightly",
            {"Description": "Once a night.", "ScheduleExpression": "cron(0 3 * * ? *)", "State": "DISABLED"},
            [
                {
                    "Id": "OrdersNightlyLambdaTarget",
                    "Arn": function,
                    "Input": '{"night": true}',
                    "RetryPolicy": {"MaximumRetryAttempts": 3},
                    "DeadLetterConfig": {"Arn": "arn:aws:sqs:us-east-1:000000000000:shop-OrdersNightlyQueue"},
                }
            ],
        ),
        (
            "OrdersOften",
            {"ScheduleExpression": "rate(5 minutes)"},
            [{"Id": "OrdersOftenLambdaTarget", "Arn": function, "Input": "{}"}],
        ),
    ]
    assert [(route.route_key, route.function, route.payload_format, route.api) for route in project.routes] == [
        ("GET /orders/{id}", "orders-dev", "2.0", "default"),
        ("$default", "orders-dev", "2.0", "default"),
        ("ANY /legacy/{proxy+}", "orders-dev", "1.0", "default"),
    ]


def test_json_is_read_as_yaml_is(tmp_path: Path) -> None:
    source = HERE / "templates" / "everything.yaml"
    (tmp_path / "code").symlink_to(HERE / "templates" / "code")
    path = tmp_path / "template.json"
    path.write_text(json.dumps(load(source).plain, indent="\t"))

    from_yaml, from_json = read_template(source, name="shop"), read_template(path, name="shop")

    assert [resource.name for resource in from_json.resources] == [resource.name for resource in from_yaml.resources]
    assert [mapping.members for mapping in from_json.mappings] == [mapping.members for mapping in from_yaml.mappings]
    assert from_json.functions[0].members == from_yaml.functions[0].members
    assert from_json.functions[0].place.line > 1


def test_every_resource_tells_its_line(tmp_path: Path) -> None:
    project = a_project(
        tmp_path,
        """\
        Resources:
          First:
            Type: AWS::SQS::Queue
          Second:
            Type: AWS::Kinesis::Stream
        """,
    )

    assert project.queues[0].place == Place(str(tmp_path / "template.yaml"), 2)
    assert project.streams[0].place == Place(str(tmp_path / "template.yaml"), 4)


def test_names_that_are_not_declared_begin_with_the_stack_s(tmp_path: Path) -> None:
    text = 'Resources: {Incoming: {Type: "AWS::SQS::Queue"}}'

    assert a_project(tmp_path, text, name="my.shop!").queues[0].name == "my-shop-Incoming"
    assert a_project(tmp_path, text, name="s" * 100).queues[0].name == f"{'s' * 55}-Incoming"
    assert a_project(tmp_path, text, name="s" * 100) == a_project(tmp_path, text, name="s" * 100)
    assert read_template(tmp_path / "template.yaml").name == tmp_path.name.replace("_", "-")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("shop/template.yaml", "shop"),
        ("shop/.aws-sam/build/template.yaml", "shop"),
        ("shop/build/template.yaml", "build"),
        ("shop/cdk.out/ShopStack.template.json", "ShopStack"),
    ],
)
def test_a_stack_is_called_like_its_project_wherever_a_tool_has_built_it(tmp_path: Path, path: str, name: str) -> None:
    target = tmp_path / path
    target.parent.mkdir(parents=True)
    target.write_text('{"Resources": {"Incoming": {"Type": "AWS::SQS::Queue"}}}')

    assert read_template(target).name == name
    assert read_template(target).queues[0].name == f"{name}-Incoming"


def test_account_and_region_are_those_of_every_arn(tmp_path: Path) -> None:
    text = f"""\
        {SAM.strip()}
        Resources:
          Take:
            Type: AWS::Serverless::Function
            Properties:
              Handler: app.handler
              Runtime: python3.12
              CodeUri: src
              Events:
                In: {{Type: SQS, Properties: {{Queue: !GetAtt Incoming.Arn}}}}
          Incoming: {{Type: "AWS::SQS::Queue"}}
        """

    project = a_project(tmp_path, text, account="123456789012", region="eu-west-1")

    assert (project.account, project.region) == ("123456789012", "eu-west-1")
    assert project.mappings[0].members["EventSourceArn"] == "arn:aws:sqs:eu-west-1:123456789012:shop-Incoming"


def test_a_resource_whose_condition_does_not_hold_is_not_there(tmp_path: Path) -> None:
    text = """\
        Parameters:
          Stage: {Type: String, Default: dev}
        Conditions:
          IsProd: !Equals [!Ref Stage, prod]
        Resources:
          Always: {Type: "AWS::SQS::Queue"}
          Sometimes: {Type: "AWS::SQS::Queue", Condition: IsProd}
          Bucket: {Type: "AWS::S3::Bucket", Condition: IsProd}
        """

    dev, prod = a_project(tmp_path, text), a_project(tmp_path, text, parameters={"Stage": "prod"})

    assert [queue.name for queue in dev.queues] == ["shop-Always"]
    assert dev.not_applied == ()
    assert [queue.name for queue in prod.queues] == ["shop-Always", "shop-Sometimes"]
    assert list(reasons(prod)) == ["Bucket (AWS::S3::Bucket)"]


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("AWS::S3::Bucket", "S3 is not served"),
        ("AWS::SNS::Topic", "SNS is not served"),
        ("AWS::EC2::VPC", "EC2 is not served"),
        ("AWS::Cognito::UserPool", "Cognito is not served"),
        ("Alexa::ASK::Skill", "Alexa is not served"),
        ("AWS::DynamoDB::Table", "tables are not kept here"),
        ("AWS::Serverless::SimpleTable", "tables are not kept here"),
        ("AWS::IAM::Role", "there is no IAM here"),
        ("AWS::Lambda::Permission", "there is no IAM here"),
        ("AWS::SQS::QueuePolicy", "there is no IAM here"),
        ("AWS::Lambda::Alias", "versions and aliases are not served"),
        ("AWS::Lambda::LayerVersion", "layers are not served"),
        ("AWS::Logs::LogGroup", "logs are kept for every function"),
        ("AWS::Events::EventBus", "event patterns are not served"),
        ("AWS::ApiGatewayV2::Stage", "routes are served at once"),
        ("AWS::CloudFormation::Stack", "CloudFormation itself is not served"),
        ("Custom::Thing", "custom resources are not called"),
    ],
)
def test_a_type_that_is_not_served_is_listed_with_its_line_and_why(tmp_path: Path, kind: str, why: str) -> None:
    text = f"{SAM}Resources:\n  Thing:\n    Type: {kind}\n    Properties: {{Anything: [1, !Ref Nowhere]}}\n"

    project = a_project(tmp_path, text)

    assert project.resources == ()
    ((entry),) = project.not_applied
    assert entry.what == f"Thing ({kind})"
    assert entry.place.line == 3
    assert entry.why.startswith(why)


def test_what_is_not_applied_is_listed_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
        Rules: {R: {Assertions: []}}
        Resources:
          B: {Type: "AWS::S3::Bucket"}
          A: {Type: "AWS::SNS::Topic"}
        """

    assert list(reasons(a_project(tmp_path, text))) == ["Rules", "B (AWS::S3::Bucket)", "A (AWS::SNS::Topic)"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "the template is empty"),
        ("- a", 1, "expected a mapping, found a list"),
        ("Resources:", 1, "the template has no Resources"),
        ("Resorces: {}", 1, "Resorces is not known here (did you mean Resources?)"),
        ("Resources:\n  A:", 2, "expected a mapping, found nothing"),
        ("Resources:\n  A: {}", 2, "the resource A has no Type"),
        ("Resources:\n  A: {Type: nonsense}", 2, "nonsense is no type of resource"),
        (
            "Resources:\n  A: {Type: 'AWS::SQS::Que'}",
            2,
            "AWS::SQS::Que is not known here (did you mean AWS::SQS::Queue?)",
        ),
        ("Resources:\n  A: {Type: 'AWS::Lambda::Function', Propertys: {}}", 2, "(did you mean Properties?)"),
        ("Resources:\n  A: {Type: 'AWS::SQS::Queue', Condition: No}", 2, "there is no condition No"),
        ("Resources:\n  'Fn::ForEach::A': [x]", 2, "Fn::ForEach is not served"),
        ("Resources:\n  A: {Type: 'AWS::Serverless::Function'}", 2, "needs the template's Transform"),
        ("Transform: [AWS::Include]\nResources: {}", 1, "the transform AWS::Include is not known here"),
        (SAM + "Globals: {Functions: {}}\nResources: {}", 2, "Functions is not known here (did you mean Function?)"),
        (SAM + "Globals:\n  Function:\n    Role: x\nResources: {}", 4, "Role is not known here"),
        (SAM + "Resources:\n  A: {Type: 'AWS::Serverless::Funtion'}", 3, "(did you mean AWS::Serverless::Function?)"),
    ],
)
def test_a_malformed_template_is_refused_with_its_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    path = write(tmp_path, text)

    with pytest.raises(ProjectError) as caught:
        read_template(path)

    assert message in caught.value.message
    assert caught.value.place == Place(str(path), line)


def test_a_parameter_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    text = """\
        Parameters:
          Stage: {Type: String, Default: dev}
        Resources:
          A: {Type: "AWS::SQS::Queue"}
        """

    with pytest.raises(ProjectError, match=r"template.yaml: Stge is not known here \(did you mean Stage\?\)"):
        a_project(tmp_path, text, parameters={"Stge": "prod"})


def test_the_document_names_everything_that_is_read_and_its_example_is_read_whole(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "templates.md").read_text()
    (example,) = re.findall(r"```yaml\n(.+?)```", text, re.DOTALL)

    project = a_project(tmp_path, example)

    assert {name for name in (*READERS, *EVENT_READERS) if f"`{name}`" not in text} == set()
    assert project.not_applied == ()
    assert len(project.resources) == 6
    assert "STACK-LOGICALID" in text
    assert project.streams[0].name == "shop-Clicks"


def test_two_resources_of_one_name_are_refused(tmp_path: Path) -> None:
    text = """\
        Resources:
          A: {Type: "AWS::SQS::Queue", Properties: {QueueName: same}}
          B: {Type: "AWS::SQS::Queue", Properties: {QueueName: same}}
        """

    with pytest.raises(ProjectError, match=r"template.yaml:3: same is declared twice; first at .*template.yaml:2"):
        a_project(tmp_path, text)


def test_conditions_of_conditions_are_decided_once_each(tmp_path: Path) -> None:
    chain = "".join(f"  C{n}: !And [!Condition C{n - 1}, !Condition C{n - 1}]\n" for n in range(1, 60))
    queue = "Resources: {Q: {Type: 'AWS::SQS::Queue', Condition: C59}}\n"

    assert len(a_project(tmp_path, f"Conditions:\n  C0: !Equals [a, a]\n{chain}{queue}").queues) == 1


def test_expressions_in_expressions_cannot_multiply_without_end(tmp_path: Path) -> None:
    name = "x"
    for _ in range(25):
        name = f"!Sub ['${{a}}${{a}}', {{a: {name}}}]"

    with pytest.raises(ProjectError, match=r":1: the expressions up to here make too much"):
        a_project(tmp_path, f"Resources: {{Q: {{Type: 'AWS::SQS::Queue', Properties: {{QueueName: {name}}}}}}}")


def test_many_texts_cannot_be_made_of_one_large_one(tmp_path: Path) -> None:
    texts = "".join(f"            V{n}: !Sub '${{P}}'\n" for n in range(1_000))
    text = (
        f"Parameters: {{P: {{Type: String, Default: {'x' * 400_000}}}}}\n"
        "Resources:\n"
        "  F:\n"
        "    Type: AWS::Lambda::Function\n"
        f"    Properties:\n        Code: src\n        Environment:\n          Variables:\n{texts}"
    )

    with pytest.raises(ProjectError, match="the expressions up to here make too much"):
        a_project(tmp_path, text)
