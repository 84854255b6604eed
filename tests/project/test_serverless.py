"""Projects declared in a serverless.yml."""

import datetime
import json

import pytest

from eventrouter.project import serverless_keys as keys
from eventrouter.project.model import ProjectError
from eventrouter.project.serverless import read_serverless

pytestmark = pytest.mark.unit

SHOP = """\
service: shop
frameworkVersion: "3"
useDotenv: true

custom:
  batch: {dev: 5, prod: 50}
  tableStream: arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-01-01T00:00:00.000

provider:
  name: aws
  runtime: python3.12
  stage: ${opt:stage, 'dev'}
  region: eu-west-1
  timeout: 10
  environment:
    STAGE: ${sls:stage}
    QUEUE: !Ref Orders
    FROM_FILE: ${env:FROM_FILE, 'nothing'}
    PORT: 8080
    SECRET: ${ssm:/shop/secret}
  tags: {team: a}
  logs:
    lambda: {logFormat: JSON, applicationLogLevel: DEBUG}
    restApi: true
  iam:
    role: {statements: []}
  vpc: {securityGroupIds: [sg-1]}
  httpApi: {cors: true}

package:
  patterns: ['!node_modules/**']

plugins:
  - serverless-python-requirements

functions:
  take-orders:
    handler: app.orders.handler
    description: Takes orders.
    memorySize: 256
    reservedConcurrency: 3
    maximumRetryAttempts: 1
    maximumEventAge: 3600
    onError: !GetAtt Dead.Arn
    destinations:
      onSuccess: audit
      onFailure: !GetAtt Dead.Arn
    environment: {PORT: 9090, EXTRA: !Sub '${AWS::Region}/${Orders}'}
    tags: {owner: b}
    logs: {logGroup: shop-logs}
    layers: [arn:aws:lambda:eu-west-1:000000000000:layer:x:1]
    events:
      - sqs: !GetAtt Orders.Arn
      - sqs:
          arn: arn:aws:sqs:eu-west-1:000000000000:other
          batchSize: ${self:custom.batch.${sls:stage}}
          maximumBatchingWindow: 2
          functionResponseType: ReportBatchItemFailures
          filterPatterns:
            - body: {type: [created]}
          maximumConcurrency: 7
          enabled: false
      - schedule: rate(5 minutes)
      - schedule:
          name: nightly-${sls:stage}
          description: Every night.
          rate: cron(0 3 * * ? *)
          enabled: false
          input: {full: true, stage: "${sls:stage}"}
      - http: GET orders/{id}
      - httpApi: POST /orders
      - s3: uploads
  audit:
    handler: app.audit
    name: audit-${sls:stage}
    timeout: 3
    httpApi: {payload: '1.0'}
    events:
      - stream: !GetAtt Clicks.Arn
      - stream:
          type: dynamodb
          arn: ${self:custom.tableStream}
          batchSize: 100
          startingPosition: LATEST
          batchWindow: 3
          parallelizationFactor: 2
          maximumRetryAttempts: 4
          maximumRecordAgeInSeconds: 120
          bisectBatchOnFunctionError: true
          tumblingWindowInSeconds: 60
          functionResponseType: ReportBatchItemFailures
          destinations: {onFailure: !GetAtt Dead.Arn}
      - httpApi: '*'
      - httpApi: {method: '*', path: /any}
      - httpApi: {method: get, path: /one, authorizer: {name: x}}
      - http: {method: post, path: /rest, cors: true}

resources:
  Resources:
    Orders:
      Type: AWS::SQS::Queue
      Properties:
        QueueName: orders-${sls:stage}
        VisibilityTimeout: 60
    Dead:
      Type: AWS::SQS::Queue
    Clicks:
      Type: AWS::Kinesis::Stream
      Properties: {Name: clicks, ShardCount: 2}
    Bucket:
      Type: AWS::S3::Bucket
    Extra:
      Type: AWS::Lambda::EventSourceMapping
      Properties:
        EventSourceArn: !GetAtt Dead.Arn
        FunctionName: !Ref AuditLambdaFunction
"""
SQS = "arn:aws:sqs:eu-west-1:000000000000:"
FUNCTION = "arn:aws:lambda:eu-west-1:000000000000:function:"


@pytest.fixture
def read(tmp_path):
    """Read a service of this text."""

    def read_text(text, options=None, **given):
        (tmp_path / "serverless.yml").write_text(text)
        return read_serverless(tmp_path / "serverless.yml", options, **{"environ": {}, **given})

    return read_text


@pytest.fixture
def shop(read, tmp_path):
    (tmp_path / ".env").write_text("FROM_FILE=found\n")
    return read(SHOP)


def mapping(project, source):
    (found,) = (mapping for mapping in project.mappings if mapping.members["EventSourceArn"].endswith(source))
    return dict(found.members)


def notes(project):
    return {note.what: note.why for note in project.not_applied}


def test_a_function_has_its_own_settings_the_provider_s_and_the_framework_s(shop, tmp_path):
    orders, audit = shop.functions

    assert orders.name == "shop-dev-take-orders"
    environment = orders.members["Environment"]["Variables"]
    assert environment.pop("QUEUE").endswith("/000000000000/orders-dev")
    assert environment.pop("EXTRA").startswith("eu-west-1/http")
    assert orders.members == {
        "FunctionName": "shop-dev-take-orders",
        "Runtime": "python3.12",
        "Handler": "app.orders.handler",
        "Description": "Takes orders.",
        "Timeout": 10,
        "MemorySize": 256,
        "Environment": {"Variables": {"STAGE": "dev", "FROM_FILE": "found", "PORT": "9090"}},
        "Tags": {"team": "a", "owner": "b"},
        "LoggingConfig": {"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG", "LogGroup": "shop-logs"},
        "DeadLetterConfig": {"TargetArn": f"{SQS}shop-dev-Dead"},
    }
    assert orders.reserved_concurrency == 3
    assert orders.code == tmp_path
    assert (audit.members["Timeout"], audit.members["MemorySize"]) == (3, 1024)


def test_a_service_that_says_nothing_has_the_framework_s_defaults(read):
    project = read(f"{MINIMAL}\n  f: {{handler: a.b}}\n")

    members = project.functions[0].members
    assert (members["Timeout"], members["MemorySize"]) == (6, 1024)
    assert (project.name, project.region) == ("s-dev", "us-east-1")


def test_the_async_settings_become_the_event_invoke_config(shop):
    orders, audit = shop.functions

    assert orders.event_invoke == {
        "MaximumRetryAttempts": 1,
        "MaximumEventAgeInSeconds": 3600,
        "DestinationConfig": {
            "OnSuccess": {"Destination": f"{FUNCTION}audit-dev"},
            "OnFailure": {"Destination": f"{SQS}shop-dev-Dead"},
        },
    }
    assert audit.event_invoke is None


def test_queues_are_mapped_with_the_framework_s_defaults(shop):
    assert mapping(shop, ":orders-dev") == {
        "EventSourceArn": f"{SQS}orders-dev",
        "FunctionName": "shop-dev-take-orders",
        "BatchSize": 10,
    }
    assert mapping(shop, ":other") == {
        "EventSourceArn": f"{SQS}other",
        "FunctionName": "shop-dev-take-orders",
        "BatchSize": 5,
        "Enabled": False,
        "MaximumBatchingWindowInSeconds": 2,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "FilterCriteria": {"Filters": [{"Pattern": '{"body":{"type":["created"]}}'}]},
        "ScalingConfig": {"MaximumConcurrency": 7},
    }


def test_streams_are_mapped_with_the_framework_s_defaults(shop):
    assert mapping(shop, "stream/clicks") == {
        "EventSourceArn": "arn:aws:kinesis:eu-west-1:000000000000:stream/clicks",
        "FunctionName": "audit-dev",
        "BatchSize": 10,
        "StartingPosition": "TRIM_HORIZON",
    }
    assert mapping(shop, "00.000") == {
        "EventSourceArn": "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-01-01T00:00:00.000",
        "FunctionName": "audit-dev",
        "BatchSize": 100,
        "StartingPosition": "LATEST",
        "MaximumBatchingWindowInSeconds": 3,
        "ParallelizationFactor": 2,
        "MaximumRetryAttempts": 4,
        "MaximumRecordAgeInSeconds": 120,
        "BisectBatchOnFunctionError": True,
        "TumblingWindowInSeconds": 60,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "DestinationConfig": {"OnFailure": {"Destination": f"{SQS}shop-dev-Dead"}},
    }


def test_schedules_are_rules_whose_target_is_the_function(shop):
    plain, nightly = shop.schedules

    assert plain.members == {"ScheduleExpression": "rate(5 minutes)", "State": "ENABLED"}
    assert [target["Arn"] for target in plain.targets] == [f"{FUNCTION}shop-dev-take-orders"]
    assert nightly.name == "nightly-dev"
    assert nightly.members == {
        "ScheduleExpression": "cron(0 3 * * ? *)",
        "State": "DISABLED",
        "Description": "Every night.",
    }
    assert json.loads(nightly.targets[0]["Input"]) == {"full": True, "stage": "dev"}


def test_routes_have_the_events_of_their_kind_of_api(shop):
    assert [(route.route_key, route.function, route.payload_format) for route in shop.routes] == [
        ("GET /orders/{id}", "shop-dev-take-orders", "1.0"),
        ("POST /orders", "shop-dev-take-orders", "2.0"),
        ("$default", "audit-dev", "1.0"),
        ("ANY /any", "audit-dev", "1.0"),
        ("GET /one", "audit-dev", "1.0"),
        ("POST /rest", "audit-dev", "1.0"),
    ]


def test_resources_are_read_as_cloudformation_with_the_functions_known(shop):
    assert {queue.name: dict(queue.attributes) for queue in shop.queues} == {
        "orders-dev": {"VisibilityTimeout": "60"},
        "shop-dev-Dead": {},
    }
    assert [stream.name for stream in shop.streams] == ["clicks"]
    assert mapping(shop, ":shop-dev-Dead")["FunctionName"] == "audit-dev"


def test_what_has_no_meaning_here_is_listed_with_its_line(shop):
    told = notes(shop)

    assert set(told) == {
        "Bucket (AWS::S3::Bucket)",
        "SECRET of the environment of the function take-orders",
        "SECRET of the environment of the function audit",
        "authorizer of the httpApi event 5 of the function audit",
        "cors of httpApi of the provider",
        "cors of the http event 6 of the function audit",
        "iam of the provider",
        "layers of the function take-orders",
        "patterns of package",
        "restApi of logs of the provider",
        "the plugin serverless-python-requirements",
        "the s3 event 7 of the function take-orders",
        "vpc of the provider",
    }
    lines = {note.what: note.place.line for note in shop.not_applied}
    assert lines["vpc of the provider"] == line("  vpc:")
    assert lines["the s3 event 7 of the function take-orders"] == line("      - s3:")


def line(start):
    return next(number for number, text in enumerate(SHOP.splitlines(), 1) if text.startswith(start))


def test_a_value_of_the_parameter_store_can_be_given(read):
    project = read(SHOP, {"resolve:ssm:/shop/secret": "s3cret", "stage": "prod"})

    assert project.functions[0].name == "shop-prod-take-orders"
    assert project.functions[0].members["Environment"]["Variables"]["SECRET"] == "s3cret"
    assert mapping(project, ":other")["BatchSize"] == 50


def test_everything_stands_where_it_was_declared(shop):
    assert shop.functions[0].place.line == line("  take-orders:")
    assert [schedule.place.line for schedule in shop.schedules] == [
        line("      - schedule: rate"),
        line("          rate: cron"),
    ]


def test_the_region_of_an_option_wins(read):
    assert read(SHOP, {"region": "us-west-2"}).region == "us-west-2"


def test_the_files_of_variables_are_the_project_s_too(read, tmp_path):
    (tmp_path / "functions.yml").write_text("f:\n  handler: a.b\n")
    project = read("service: s\nprovider: {name: aws, runtime: python3.12}\nfunctions: ${file(functions.yml)}\n")

    assert project.files == (tmp_path / "serverless.yml", tmp_path / "functions.yml")
    assert project.functions[0].place.file.endswith("functions.yml")


def test_functions_and_resources_may_be_lists(read, tmp_path):
    (tmp_path / "a.yml").write_text("Resources:\n  A: {Type: AWS::SQS::Queue}\n")
    project = read("""\
service: {name: s}
provider: {name: aws, runtime: python3.12, stackName: stack}
functions:
  - f: {handler: a.b}
  - g: {handler: a.b}
resources:
  - ${file(a.yml)}
  - Resources:
      B: {Type: AWS::SQS::Queue}
    Outputs:
      Name: {Value: !Ref B}
""")

    assert [function.name for function in project.functions] == ["s-dev-f", "s-dev-g"]
    assert [queue.name for queue in project.queues] == ["stack-A", "stack-B"]


def test_a_dotenv_of_the_stage_comes_before_the_common_one_and_the_environment_before_both(read, tmp_path):
    (tmp_path / ".env").write_text("A=common\n")
    (tmp_path / ".env.dev").write_text("A=dev\n")
    text = "service: ${env:A, 'none'}\nframeworkVersion: '%s'\nprovider: {name: aws, runtime: python3.12}\n"

    assert read(text % "4").name == "dev-dev"
    assert read(text % "^4.1.0").name == "dev-dev"
    assert read(text % "4", environ={"A": "mine"}).name == "mine-dev"
    assert read(text % "4", {"stage": "prod"}).name == "common-prod"
    assert read(text % "3").name == "none-dev"
    assert read(f"useDotenv: true\n{text % '3'}").name == "dev-dev"


def test_a_function_whose_condition_does_not_hold_is_left_out(read):
    project = read(
        f"{MINIMAL}\n  f: {{handler: a.b, condition: No}}\n  g: {{handler: a.b, condition: Yes}}\n"
        "resources:\n  Conditions:\n    'No': !Equals [a, b]\n    'Yes': !Equals [a, a]\n"
    )

    assert [function.name for function in project.functions] == ["s-dev-g"]


def test_functions_made_of_images_are_not_applied(read):
    project = read(f"{MINIMAL}\n  f: {{image: repo/x, events: [{{schedule: rate(1 day)}}]}}\n")

    assert (project.functions, project.schedules) == ((), ())
    assert notes(project) == {"the function f": "functions made of images are not served"}


def test_an_archive_is_the_code_of_the_service_or_of_one_function(read, tmp_path):
    (tmp_path / "all.zip").touch()
    (tmp_path / "one.zip").touch()
    project = read(
        f"package: {{artifact: all.zip}}\n{MINIMAL}\n  f: {{handler: a.b}}\n"
        "  g: {handler: a.b, package: {artifact: one.zip}}\n"
    )

    assert [function.code.name for function in project.functions] == ["all.zip", "one.zip"]


def events(text):
    return f"{MINIMAL}\n  f:\n    handler: a.b\n    events:\n      - {text}\n"


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("http: get /a/", "GET /a"),
        ("http: any /a/{proxy+}", "ANY /a/{proxy+}"),
        ("http: {method: ANY, path: '{proxy+}'}", "ANY /{proxy+}"),
        ("http: {method: get, path: ''}", "GET /"),
        ("http: {method: get, path: /x, integration: lambda-proxy}", "GET /x"),
        ("httpApi: {path: '*'}", "$default"),
        ("httpApi: {method: '*', path: '*'}", "$default"),
        ("httpApi: '* /x'", "ANY /x"),
        ("httpApi: {path: 'PUT /x'}", "PUT /x"),
    ],
)
def test_every_spelling_of_a_route_is_read(read, written, key):
    assert [route.route_key for route in read(events(written)).routes] == [key]


def test_several_rates_are_several_rules(read):
    first, second = read(events("schedule: {rate: [rate(1 minute), rate(2 minutes)], input: text}")).schedules

    assert (first.name, second.name) == ("s-dev-f-schedule-1", "s-dev-f-schedule-2")
    assert [rule.members["ScheduleExpression"] for rule in (first, second)] == ["rate(1 minute)", "rate(2 minutes)"]
    assert first.targets[0]["Input"] == "text"


def test_a_schedule_of_the_scheduler_is_a_rule_where_one_does_the_same(read):
    text = "schedule: {rate: %s, method: scheduler, timezone: %s, input: {a: 1}}"

    (rule,) = read(events(text % ("rate(1 minute)", "UTC"))).schedules
    assert rule.members == {"ScheduleExpression": "rate(1 minute)", "State": "ENABLED"}
    assert read(events(text % ("rate(1 minute)", "Europe/Berlin"))).schedules == ()
    assert read(events(text % ("at(2026-01-01T00:00:00)", "UTC"))).schedules == ()


def test_a_schedule_may_say_what_of_the_event_it_hands_over(read):
    project = read(
        events("schedule: {rate: rate(1 day), inputTransformer: {inputPathsMap: {t: $.time}, inputTemplate: <t>}}")
        + "      - schedule: {rate: rate(2 days), inputPath: $.time}\n"
    )

    first, second = (schedule.targets[0] for schedule in project.schedules)
    assert first["InputTransformer"] == {"InputPathsMap": {"t": "$.time"}, "InputTemplate": "<t>"}
    assert second["InputPath"] == "$.time"


def test_an_event_bridge_event_with_a_schedule_is_a_rule_and_one_with_a_pattern_is_not_applied(read):
    project = read(
        events("eventBridge: {schedule: rate(1 day), input: {a: 1}}")
        + "      - eventBridge: {pattern: {source: [x]}}\n      - eventBridge: {eventBus: own, schedule: rate(1 day)}\n"
    )

    assert [schedule.members["ScheduleExpression"] for schedule in project.schedules] == ["rate(1 day)"]
    assert set(notes(project)) == {
        "the eventBridge event 2 of the function f",
        "the eventBridge event 3 of the function f",
    }


def test_the_arn_of_a_consumer_is_the_source_and_a_consumer_to_be_made_is_not_applied(read):
    arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
    project = read(
        events(f"stream: {{arn: {arn}, consumer: {arn}/consumer/c:1}}")
        + f"      - stream: {{arn: {arn}, consumer: true, startingPosition: AT_TIMESTAMP,"
        + " startingPositionTimestamp: 1767225600}\n"
    )

    consumer, plain = (mapping.members for mapping in project.mappings)
    assert consumer["EventSourceArn"] == f"{arn}/consumer/c:1"
    assert plain["EventSourceArn"] == arn
    assert plain["StartingPosition"] == "AT_TIMESTAMP"
    at = datetime.datetime.fromtimestamp(plain["StartingPositionTimestamp"], datetime.UTC)
    assert at == datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    assert set(notes(project)) == {"consumer of the stream event 2 of the function f"}


def test_pollers_and_typed_destinations_are_read(read):
    arn, dead = "arn:aws:kinesis:us-east-1:000000000000:stream/s", "arn:aws:sqs:us-east-1:000000000000:d"
    project = read(
        events(f"sqs: {{arn: '{dead}', provisionedPollerConfig: {{minimumPollers: 2, maximumPollers: 4}}}}")
        + f"      - stream: {{arn: '{arn}', destinations: {{onFailure: {{type: sqs, arn: '{dead}'}}}}}}\n"
    )

    queue, stream = (mapping.members for mapping in project.mappings)
    assert queue["ProvisionedPollerConfig"] == {"MinimumPollers": 2, "MaximumPollers": 4}
    assert stream["DestinationConfig"] == {"OnFailure": {"Destination": dead}}


@pytest.mark.parametrize(
    "kind", ["s3", "sns", "kafka", "msk", "activemq", "alexaSkill", "websocket", "cognitoUserPool", "alb", "iot"]
)
def test_events_of_other_kinds_are_not_applied(read, kind):
    project = read(events(f"{kind}: {{anything: 1}}"))

    assert set(notes(project)) == {f"the {kind} event 1 of the function f"}


def test_every_key_that_has_no_meaning_here_is_listed(read):
    lines = [f"  {key}: x" for key in keys.PROVIDER]
    text = MINIMAL.replace(
        "provider: {name: aws, runtime: python3.12}",
        "\n".join(["layers: {x: {path: y}}", "provider:", "  name: aws", "  runtime: python3.12", *lines]),
    )
    project = read("\n".join([text, "  f:", "    handler: a.b", *(f"    {key}: x" for key in keys.FUNCTION)]))

    told = notes(project)
    assert told == {
        "layers of the service": keys.SERVICE["layers"],
        **{f"{key} of the provider": why for key, why in keys.PROVIDER.items()},
        **{f"{key} of the function f": why for key, why in keys.FUNCTION.items()},
    }


def test_what_is_switched_off_is_not_listed(read):
    project = read(f"{MINIMAL}\n  f: {{handler: a.b, tracing: false, vpc: null}}\n")

    assert project.not_applied == ()


def test_keys_and_events_of_plugins_are_not_applied(read):
    project = read(
        "plugins: {modules: [some-plugin]}\nstepFunctions: {a: 1}\n"
        + events("webhook: {a: 1}").replace("handler: a.b", "handler: a.b\n    warmup: true")
    )

    assert set(notes(project)) == {
        "the plugin some-plugin",
        "stepFunctions of the service",
        "warmup of the function f",
        "the webhook event 1 of the function f",
    }


MINIMAL = "service: s\nprovider: {name: aws, runtime: python3.12}\nfunctions:"


@pytest.mark.parametrize(
    ("text", "place", "told"),
    [
        ("", ":1", "the file is empty"),
        ("a: [", ":", "is not valid YAML"),
        ("provider: {name: aws}", "", "there is no service"),
        ("service: {a: 1}\nprovider: aws", ":1", "the service has no name"),
        ("service: s", "", "there is no provider: name: aws"),
        ("service: s\nprovider: google", ":2", "the provider must be aws"),
        ("service: ${ssm:x}\nprovider: aws", ":1", "is not known here: give it as the parameter resolve:ssm:x"),
        (f"{MINIMAL}\nfunction: 1", ":4", r"function is not known here \(did you mean functions\?\)"),
        ("service: s\nprovider:\n  name: aws\n  timout: 3", ":4", r"timout is not known .* timeout"),
        (f"{MINIMAL}\n  f:\n    handlr: a.b", ":5", "handlr is not known .* handler"),
        (f"{MINIMAL}\n  f: {{}}", ":4", "the function f has no handler"),
        ("service: s\nprovider: aws\nfunctions:\n  f: {handler: a.b}", ":4", "has no runtime"),
        (f"{MINIMAL}\n  f:\n    handler: a.b\n    timeout: soon", ":6", "expected a whole number, found 'soon'"),
        (f"{MINIMAL}\n  f:\n    handler: a.b\n    package: {{artifact: x.zip}}", ":6", "x.zip does not exist"),
        (f"{MINIMAL}\n  f:\n    handler: a.b\n    package: {{patern: x}}", ":6", "patern is not known"),
        (f"{MINIMAL}\n  f:\n    handler: a.b\n    logs: {{level: x}}", ":6", "level is not known"),
        (f"{MINIMAL}\n  f:\n    handler: a.b\n    destinations: {{onSuccess: g}}", ":6", "g is not known here"),
        (f"{MINIMAL}\n  f:\n    handler: a.b\n    destinations: {{onError: f}}", ":6", "onError is not known here"),
        (f"{MINIMAL}\n  - f: {{handler: a.b}}\n  - f: {{handler: a.b}}", ":5", "the function f stands here twice"),
        (f"{MINIMAL}\n  f: {{handler: a.b, condition: X}}", ":4", "there is no condition X"),
        (events("sqs: {batchSize: 3}"), ":7", "the sqs event 1 of the function f has no arn"),
        (events("sqs: {arn: x, bachSize: 3}"), ":7", r"bachSize is not known here \(did you mean batchSize"),
        (events("sqs: !GetAtt Nothing.Arn"), ":7", "there is no resource or parameter Nothing"),
        (events("stream: {arn: x, destinations: {onSuccess: x}}"), ":7", "onSuccess is not known here"),
        (events("schedul: rate(1 day)"), ":7", r"schedul is not known here \(did you mean schedule"),
        (events("{sqs: a, s3: b}"), ":7", "an event has one kind, not 2: sqs, s3"),
        (events("schedule: {enabled: true}"), ":7", "has no rate"),
        (events("schedule: {rate: [a, b], name: n}"), ":7", "several rates, which cannot have one name"),
        (events("schedule: {rate: a, method: cron}"), ":7", "cron is not known here"),
        (events("schedule: {rate: a, timezone: UTC}"), ":7", "timezone is for schedules with method: scheduler"),
        (events("schedule: {rate: a, input: {}, inputPath: b}"), ":7", "input and inputPath exclude each other"),
        (events("http: orders"), ":7", "'orders' must be a method and a path, such as GET /orders"),
        (events("http: {path: orders}"), ":7", "needs a method and a path"),
        (events("http: {method: gett, path: a}"), ":7", r"GETT is not known here \(did you mean GET"),
        (events("httpApi: {method: get, path: '*'}"), ":7", r"the path \* goes with the method \*"),
        (events("httpApi: GET /a") + "      - httpApi: GET /a\n", ":8", "declared twice"),
        (f"{MINIMAL}\n  f: {{handler: a.b}}\nresources: {{Resurces: {{}}}}", ":5", "Resurces is not known here"),
        ("service: s\nprovider: {name: aws, logs: {lamda: {}}}", ":2", "lamda is not known here"),
        (f"{MINIMAL}\n  f:\n    handler: a.b\n    httpApi: {{payload: '3'}}", ":6", "is 1.0 or 2.0, not 3"),
        (f"package: {{pattern: x}}\n{MINIMAL}", ":1", "pattern is not known here"),
    ],
)
def test_what_cannot_be_meant_is_told_with_its_line(read, text, place, told):
    with pytest.raises(ProjectError, match=rf"serverless\.yml{place}.*{told}"):
        read(text)


def test_an_option_that_nothing_asks_for_is_refused(read):
    with pytest.raises(ProjectError, match=r"stag is not known here \(did you mean stage\?\)"):
        read(SHOP, {"stag": "prod"})


def test_extensions_of_what_the_framework_makes_are_listed_one_by_one(read):
    extensions = "\n  extensions:\n    FLogGroup: {Properties: {RetentionInDays: 5}}\n    IamRole: {}\n"
    project = read(f"{MINIMAL}\n  f: {{handler: a.b}}\nresources:{extensions}")

    listed = [(entry.what, entry.place.line) for entry in project.not_applied]
    assert listed == [("the extension of FLogGroup", 7), ("the extension of IamRole", 8)]


def test_destinations_that_are_not_served_are_listed(read):
    function = "{handler: a.b, onError: 'arn:aws:sns:r:1:t', destinations: {onFailure: 'arn:aws:sns:r:1:t'}}"
    project = read(f"{MINIMAL}\n  f: {function}")

    assert [entry.why for entry in project.not_applied] == ["SNS is not served as a destination"] * 2
    (made,) = project.functions
    assert "DeadLetterConfig" not in made.members
    assert made.event_invoke is None
