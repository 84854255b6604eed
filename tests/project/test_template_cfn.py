from __future__ import annotations

import json
from pathlib import Path

import pytest

from eventrouter.project.model import ProjectError
from tests.project.a_template import a_project, reasons

pytestmark = pytest.mark.unit

ARN = "arn:aws:lambda:us-east-1:000000000000:function:shop-Take"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"
MAPPING = "Type: 'AWS::Lambda::EventSourceMapping'"
TAKE = """\
Resources:
  Take:
    Type: AWS::Lambda::Function
    Properties:
      Handler: app.handler
      Runtime: python3.12
      Code: src
"""


def test_a_function_of_cloudformation_is_read(tmp_path: Path) -> None:
    project = a_project(
        tmp_path,
        """\
        Resources:
          Take:
            Type: AWS::Lambda::Function
            DependsOn: Nothing
            DeletionPolicy: Retain
            Properties:
              FunctionName: take
              Handler: app.handler
              Runtime: python3.12
              Code: ./src
              Role: arn:aws:iam::000000000000:role/any
              Timeout: 3
              Tags: [{Key: team, Value: shop}]
              DeadLetterConfig: {TargetArn: "arn:aws:sqs:us-east-1:000000000000:q"}
              ReservedConcurrentExecutions: 2
              TracingConfig: {Mode: Active}
              VpcConfig: {SubnetIds: []}
        """,
    )

    (function,) = project.functions
    assert function.members == {
        "FunctionName": "take",
        "Handler": "app.handler",
        "Runtime": "python3.12",
        "Role": "arn:aws:iam::000000000000:role/any",
        "Timeout": 3,
        "Tags": {"team": "shop"},
        "DeadLetterConfig": {"TargetArn": QUEUE},
    }
    assert function.code == tmp_path / "src"
    assert function.reserved_concurrency == 2
    assert set(reasons(project)) == {"Role of Take", "TracingConfig of Take", "VpcConfig of Take"}


def test_code_is_text_a_hot_reload_folder_or_what_cdk_put_beside_the_template(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "asset.1234").mkdir()
    project = a_project(
        tmp_path,
        f"""\
        Resources:
          Text:
            Type: AWS::Lambda::Function
            Properties: {{Code: {{ZipFile: !Sub "region = '${{AWS::Region}}'"}}}}
          Hot:
            Type: AWS::Lambda::Function
            Properties: {{Code: {{S3Bucket: hot-reload, S3Key: {tmp_path / "src"}}}}}
          Cdk:
            Type: AWS::Lambda::Function
            Properties: {{Code: {{S3Bucket: !Sub "cdk-${{AWS::AccountId}}", S3Key: 1234.zip}}}}
            Metadata: {{"aws:asset:path": asset.1234, "aws:asset:property": Code}}
        """,
    )

    text, hot, cdk = [function.code for function in project.functions]
    assert (text / "index.py").read_text() == "region = 'us-east-1'"
    assert hot == tmp_path / "src"
    assert cdk == tmp_path / "asset.1234"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("Code: {S3Bucket: b, S3Key: k}", "packages come from a folder or an archive on this machine, not from S3"),
        ("Code: nowhere", "nowhere does not exist"),
        ("Handler: x", "Take has no code"),
        ("Code: {ZipFile: '" + "x" * 5 + "'}, Tags: [{Key: a}]", "a tag has a Key and a Value"),
        ("Code: src, CodeUri: src", "CodeUri is not known here"),
    ],
)
def test_a_malformed_function_is_refused_with_its_line(tmp_path: Path, code: str, message: str) -> None:
    text = f"Resources:\n  Take:\n    Type: AWS::Lambda::Function\n    Properties: {{{code}}}\n"

    with pytest.raises(ProjectError) as caught:
        a_project(tmp_path, text)

    assert message in caught.value.message
    assert caught.value.place.line in (2, 4)


def test_a_mapping_is_read_with_aws_s_own_words(tmp_path: Path) -> None:
    project = a_project(
        tmp_path,
        f"""\
{TAKE}
  Reads:
    Type: AWS::Lambda::EventSourceMapping
    Properties:
      FunctionName: !GetAtt Take.Arn
      EventSourceArn: !GetAtt Clicks.Arn
      StartingPosition: AT_TIMESTAMP
      StartingPositionTimestamp: 1700000000.5
      BatchSize: "10"
      DestinationConfig: {{OnFailure: {{Destination: "{QUEUE}"}}}}
      Tags: [{{Key: a, Value: b}}]
      KmsKeyArn: x
  Clicks:
    Type: AWS::Kinesis::Stream
  Aliased:
    Type: AWS::Lambda::EventSourceMapping
    Properties: {{FunctionName: "{ARN}:live", EventSourceArn: "{QUEUE}"}}
  Latest:
    Type: AWS::Lambda::EventSourceMapping
    Properties: {{FunctionName: "{ARN}:$LATEST", EventSourceArn: "{QUEUE}"}}
""",
    )

    reads, aliased, latest = [mapping.members for mapping in project.mappings]
    assert reads == {
        "FunctionName": "shop-Take",
        "EventSourceArn": "arn:aws:kinesis:us-east-1:000000000000:stream/shop-Clicks",
        "StartingPosition": "AT_TIMESTAMP",
        "StartingPositionTimestamp": 1700000000.5,
        "BatchSize": 10,
        "DestinationConfig": {"OnFailure": {"Destination": QUEUE}},
        "Tags": {"a": "b"},
    }
    assert aliased["FunctionName"] == "shop-Take:live"
    assert latest["FunctionName"] == "shop-Take"
    assert set(reasons(project)) == {"KmsKeyArn of Reads"}


@pytest.mark.parametrize(
    "properties",
    [
        "SelfManagedEventSource: {Endpoints: {KafkaBootstrapServers: [a]}}, FunctionName: f",
        "EventSourceArn: 'arn:aws:kafka:us-east-1:000000000000:cluster/c/1', Topics: [t], FunctionName: f",
        "EventSourceArn: 'arn:aws:mq:us-east-1:000000000000:broker:b', FunctionName: f",
        "EventSourceArn: !GetAtt Consumer.ConsumerARN, FunctionName: f",
    ],
)
def test_a_mapping_of_a_source_that_is_not_served_is_listed(tmp_path: Path, properties: str) -> None:
    project = a_project(
        tmp_path,
        f"""\
        Resources:
          Consumer: {{Type: "AWS::Kinesis::StreamConsumer"}}
          Reads:
            Type: AWS::Lambda::EventSourceMapping
            Properties: {{{properties}}}
        """,
    )

    assert project.mappings == ()
    assert "the mapping Reads" in reasons(project)


def test_an_event_invoke_config_goes_to_its_function_wherever_it_stands(tmp_path: Path) -> None:
    config = """\
  Config:
    Type: AWS::Lambda::EventInvokeConfig
    Properties:
      FunctionName: !Ref Take
      Qualifier: $LATEST
      MaximumRetryAttempts: 0
      DestinationConfig: {OnFailure: {Destination: "arn:x"}}
"""
    head, rest = TAKE.split("\n", 1)
    wanted = {"MaximumRetryAttempts": 0, "DestinationConfig": {"OnFailure": {"Destination": "arn:x"}}}

    assert a_project(tmp_path, TAKE + config).functions[0].event_invoke == wanted
    assert a_project(tmp_path, f"{head}\n{config}{rest}").functions[0].event_invoke == wanted


def test_an_event_invoke_config_of_something_else_is_listed(tmp_path: Path) -> None:
    project = a_project(
        tmp_path,
        TAKE
        + """\
  Version:
    Type: AWS::Lambda::EventInvokeConfig
    Properties: {FunctionName: !Ref Take, Qualifier: "1"}
  Other:
    Type: AWS::Lambda::EventInvokeConfig
    Properties: {FunctionName: other, Qualifier: $LATEST}
""",
    )

    assert reasons(project) == {
        "Version for 1": "versions and aliases are not served",
        "EventInvokeConfig of other": "the function is not one of this template",
    }


def test_two_event_invoke_configs_of_one_function_are_refused(tmp_path: Path) -> None:
    config = """
    Type: AWS::Lambda::EventInvokeConfig
    Properties: {FunctionName: !Ref Take, Qualifier: $LATEST, MaximumRetryAttempts: 0}
"""

    with pytest.raises(ProjectError, match="shop-Take has an event invoke config already"):
        a_project(tmp_path, f"{TAKE}  One:{config}  Two:{config}")


def test_queues_have_their_attributes_as_text(tmp_path: Path) -> None:
    project = a_project(
        tmp_path,
        """\
        Resources:
          Plain:
            Type: AWS::SQS::Queue
            Properties:
              FifoQueue: false
              VisibilityTimeout: 60
              DelaySeconds: "5"
              RedrivePolicy: {deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 3}
              Tags: [{Key: a, Value: 1}]
              KmsMasterKeyId: alias/mine
          Ordered:
            Type: AWS::SQS::Queue
            Properties:
              QueueName: ordered.fifo
              FifoQueue: true
              ContentBasedDeduplication: true
              RedriveAllowPolicy: '{"redrivePermission":"denyAll"}'
          Unnamed:
            Type: AWS::SQS::Queue
            Properties: {FifoQueue: "true"}
          Dead:
            Type: AWS::SQS::Queue
        """,
    )

    plain, ordered, unnamed, dead = project.queues
    assert json.loads(plain.attributes["RedrivePolicy"]) == {
        "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:shop-Dead",
        "maxReceiveCount": 3,
    }
    assert {**plain.attributes, "RedrivePolicy": ""} == {
        "VisibilityTimeout": "60",
        "DelaySeconds": "5",
        "RedrivePolicy": "",
    }
    assert plain.tags == {"a": "1"}
    assert (ordered.name, ordered.attributes) == (
        "ordered.fifo",
        {
            "FifoQueue": "true",
            "ContentBasedDeduplication": "true",
            "RedriveAllowPolicy": '{"redrivePermission":"denyAll"}',
        },
    )
    assert unnamed.name == "shop-Unnamed.fifo"
    assert (dead.name, dead.attributes) == ("shop-Dead", {})
    assert set(reasons(project)) == {"KmsMasterKeyId of Plain"}


def test_streams_have_shards_a_mode_and_a_retention(tmp_path: Path) -> None:
    project = a_project(
        tmp_path,
        """\
        Resources:
          Plain: {Type: "AWS::Kinesis::Stream"}
          Wide:
            Type: AWS::Kinesis::Stream
            Properties:
              Name: wide
              ShardCount: "8"
              RetentionPeriodHours: 168
              Tags: [{Key: a, Value: b}]
              StreamEncryption: {EncryptionType: KMS, KeyId: x}
          Free: {Type: "AWS::Kinesis::Stream", Properties: {StreamModeDetails: {StreamMode: ON_DEMAND}}}
        """,
    )

    assert [(stream.name, stream.members, stream.retention_hours) for stream in project.streams] == [
        ("shop-Plain", {"ShardCount": 1}, 24),
        ("wide", {"ShardCount": 8, "Tags": {"a": "b"}}, 168),
        ("shop-Free", {"StreamModeDetails": {"StreamMode": "ON_DEMAND"}}, 24),
    ]
    assert set(reasons(project)) == {"StreamEncryption of Wide"}


def test_rules_with_a_schedule_are_read_and_those_with_a_pattern_listed(tmp_path: Path) -> None:
    project = a_project(
        tmp_path,
        TAKE
        + """\
  Nightly:
    Type: AWS::Events::Rule
    Properties:
      Name: nightly
      ScheduleExpression: cron(0 3 * * ? *)
      State: DISABLED
      Tags: [{Key: a, Value: b}]
      Targets:
        - {Id: one, Arn: !GetAtt Take.Arn, Input: "{}", RetryPolicy: {MaximumRetryAttempts: "2"}}
        - {Id: two, Arn: "arn:aws:states:us-east-1:000000000000:stateMachine:m", RoleArn: x}
  Orders:
    Type: AWS::Events::Rule
    Properties: {EventPattern: {source: [!Ref Nowhere]}}
  Elsewhere:
    Type: AWS::Events::Rule
    Properties: {EventBusName: other, ScheduleExpression: rate(1 hour)}
""",
    )

    (nightly,) = project.schedules
    assert nightly.name == "nightly"
    assert nightly.members == {
        "ScheduleExpression": "cron(0 3 * * ? *)",
        "State": "DISABLED",
        "Tags": [{"Key": "a", "Value": "b"}],
    }
    assert nightly.targets == [{"Id": "one", "Arn": ARN, "Input": "{}", "RetryPolicy": {"MaximumRetryAttempts": 2}}]
    assert set(reasons(project)) == {"a target of the rule Nightly", "the rule Orders", "the rule Elsewhere"}


def test_a_schedule_of_scheduler_becomes_a_rule_where_a_rule_does_the_same(tmp_path: Path) -> None:
    project = a_project(
        tmp_path,
        TAKE
        + """\
  Hourly:
    Type: AWS::Scheduler::Schedule
    Properties:
      FlexibleTimeWindow: {Mode: "OFF"}
      ScheduleExpression: rate(1 hour)
      Target: {Arn: !GetAtt Take.Arn, RoleArn: !GetAtt Nowhere.Arn, Input: x}
  Machine:
    Type: AWS::Scheduler::Schedule
    Properties:
      FlexibleTimeWindow: {Mode: "OFF"}
      ScheduleExpression: rate(1 hour)
      Target: {Arn: "arn:aws:states:us-east-1:000000000000:stateMachine:m", RoleArn: x, Input: x}
""".replace("!GetAtt Nowhere.Arn", "x"),
    )

    (hourly,) = project.schedules
    assert (hourly.name, hourly.members) == ("shop-Hourly", {"ScheduleExpression": "rate(1 hour)"})
    assert hourly.targets == [{"Id": "Hourly", "Arn": ARN, "Input": "x"}]
    assert "the schedule Machine" in reasons(project)


def test_routes_of_http_apis_are_read_with_their_integrations(tmp_path: Path) -> None:
    project = a_project(
        tmp_path,
        TAKE
        + """\
  Front:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: front, ProtocolType: HTTP, CorsConfiguration: {AllowOrigins: ["*"]}}
  Calls:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Front
      IntegrationType: AWS_PROXY
      IntegrationUri: !GetAtt Take.Arn
      PayloadFormatVersion: "2.0"
  Long:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Front
      IntegrationType: AWS_PROXY
      IntegrationMethod: POST
      ConnectionType: INTERNET
      PassthroughBehavior: NEVER
      IntegrationUri: !Sub "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Take.Arn}/invocations"
  Web:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {ApiId: !Ref Front, IntegrationType: HTTP_PROXY, IntegrationUri: "https://example.org"}
  Show:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Front, RouteKey: "GET /orders/{id}", Target: !Sub "integrations/${Calls}"}
  Rest:
    Type: AWS::ApiGatewayV2::Route
    Properties:
      ApiId: !Ref Front
      RouteKey: $default
      Target: !Join ["/", [integrations, !Ref Long]]
      AuthorizationType: JWT
  Outside:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Front, RouteKey: "GET /web", Target: !Sub "integrations/${Web}"}
  Quick:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: quick, ProtocolType: HTTP, Target: !GetAtt Take.Arn}
  Socket:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: socket, ProtocolType: WEBSOCKET}
""",
    )

    assert [(route.api, route.route_key, route.function, route.payload_format) for route in project.routes] == [
        ("front", "GET /orders/{id}", "shop-Take", "2.0"),
        ("front", "$default", "shop-Take", "1.0"),
        ("quick", "$default", "shop-Take", "2.0"),
    ]
    assert set(reasons(project)) == {
        "CorsConfiguration of Front",
        "PassthroughBehavior of Long",
        "AuthorizationType of the route Rest",
        "the route Outside",
        "the API Socket",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Type: 'AWS::SQS::Queue', Properties: {Visibility: 1}", "Visibility is not known here"),
        ("Type: 'AWS::Kinesis::Stream', Properties: {ShardCount: many}", "expected a whole number, found 'many'"),
        ("Type: 'AWS::Kinesis::Stream', Properties: {Shards: 1}", "Shards is not known here"),
        ("Type: 'AWS::Lambda::EventSourceMapping', Properties: {FunctionName: f}", "A has no EventSourceArn"),
        ("Type: 'AWS::Lambda::EventInvokeConfig', Properties: {Qualifier: '1'}", "A has no FunctionName"),
        (
            f"{MAPPING}, Properties: {{EventSourceArn: '{QUEUE}', Batch: 1, FunctionName: f}}",
            "Batch is not known here",
        ),
        (
            f"{MAPPING}, Properties: {{EventSourceArn: '{QUEUE}', Enabled: maybe, FunctionName: f}}",
            "expected true or false, found 'maybe'",
        ),
        ("Type: 'AWS::Events::Rule', Properties: {Targets: []}", "A has no ScheduleExpression"),
        (
            "Type: 'AWS::Events::Rule', Properties: {ScheduleExpression: rate(1 hour), Targets: [{Ids: x}]}",
            "Ids is not known here (did you mean Id?)",
        ),
        ("Type: 'AWS::Scheduler::Schedule', Properties: {ScheduleExpression: x}", "A has no Target"),
        ("Type: 'AWS::ApiGatewayV2::Route', Properties: {RouteKey: x, ApiId: y}", "A has no Target"),
        ("Type: 'AWS::SQS::Queue', Properties: [1]", "expected a mapping, found a list"),
    ],
)
def test_a_malformed_resource_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    source = f"Resources:\n  A: {{{text}}}\n"

    with pytest.raises(ProjectError) as caught:
        a_project(tmp_path, source)

    assert message in caught.value.message
    assert caught.value.place.line == 2


@pytest.mark.parametrize("kind", ["Alias", "Version"])
def test_what_refers_to_an_alias_or_version_refers_to_the_function(tmp_path: Path, kind: str) -> None:
    project = a_project(
        tmp_path,
        TAKE
        + f"""\
  Live:
    Type: AWS::Lambda::{kind}
    Properties: {{FunctionName: !Ref Take}}
  Mapping:
    Type: AWS::Lambda::EventSourceMapping
    Properties: {{FunctionName: !Ref Live, EventSourceArn: "arn:aws:sqs:us-east-1:000000000000:q"}}
""",
    )

    assert project.mappings[0].members["FunctionName"] == "shop-Take"
    assert reasons(project)[f"Live (AWS::Lambda::{kind})"].startswith("versions and aliases are not served")


def test_code_in_the_template_is_kept_anew_where_somebody_has_changed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    text = "Resources: {F: {Type: 'AWS::Lambda::Function', Properties: {Code: {ZipFile: 'a = 1'}}}}"
    kept = a_project(tmp_path, text).functions[0].code / "index.py"
    kept.write_text("a = 2")

    assert (a_project(tmp_path, text).functions[0].code / "index.py").read_text() == "a = 1"


def test_a_cache_folder_that_is_relative_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    monkeypatch.setenv("HOME", str(tmp_path))

    text = "Resources: {F: {Type: 'AWS::Lambda::Function', Properties: {Code: {ZipFile: 'a = 1'}}}}"
    kept = a_project(tmp_path, text).functions[0].code

    assert kept.is_relative_to(tmp_path / ".cache")
