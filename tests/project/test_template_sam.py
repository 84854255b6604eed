from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from eventrouter.project.model import Project, ProjectError
from tests.project.a_template import SAM, a_project, reasons

pytestmark = pytest.mark.unit

BASE = {"FunctionName": "take", "Handler": "app.handler", "Runtime": "python3.12"}
QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"


def a_function(folder: Path, properties: str = "", events: str = "", more: str = "") -> Project:
    """Read a template with one function, `Take`; its own lines start at line 10."""
    head = [
        "Resources:",
        "  Take:",
        "    Type: AWS::Serverless::Function",
        "    Properties:",
        "      FunctionName: take",
        "      Handler: app.handler",
        "      Runtime: python3.12",
        "      CodeUri: src",
    ]
    lines = [*head, textwrap.indent(textwrap.dedent(properties), " " * 6)]
    if events:
        lines += ["      Events:", textwrap.indent(textwrap.dedent(events), " " * 8)]
    return a_project(folder, SAM + "\n".join([*lines, textwrap.indent(textwrap.dedent(more), "  ")]))


def test_globals_are_merged_as_sam_merges_them(tmp_path: Path) -> None:
    project = a_project(
        tmp_path,
        f"""\
        {SAM.strip()}
        Globals:
          Function:
            Runtime: python3.11
            Handler: app.handler
            CodeUri: src
            Timeout: 20
            Tags: {{team: shop, cost: low}}
            Environment: {{Variables: {{A: global, B: global}}}}
            LoggingConfig: {{LogFormat: JSON}}
        Resources:
          All:
            Type: AWS::Serverless::Function
          Some:
            Type: AWS::Serverless::Function
            Properties:
              Runtime: python3.13
              Tags: {{cost: high}}
              Environment: {{Variables: {{B: own, C: own}}}}
              LoggingConfig: !Ref AWS::NoValue
          Without:
            Type: AWS::Serverless::Function
            IgnoreGlobals: [Timeout, Environment]
          Alone:
            Type: AWS::Serverless::Function
            IgnoreGlobals: "*"
            Properties: {{CodeUri: src}}
        """,
    )

    everything, some, without, alone = [dict(function.members) for function in project.functions]
    assert everything == {
        "FunctionName": "shop-All",
        "Runtime": "python3.11",
        "Handler": "app.handler",
        "Timeout": 20,
        "Tags": {"team": "shop", "cost": "low"},
        "Environment": {"Variables": {"A": "global", "B": "global"}},
        "LoggingConfig": {"LogFormat": "JSON"},
    }
    assert some["Runtime"] == "python3.13"
    assert some["Tags"] == {"team": "shop", "cost": "high"}
    assert some["Environment"] == {"Variables": {"A": "global", "B": "own", "C": "own"}}
    assert "LoggingConfig" not in some
    assert "Timeout" not in without
    assert "Environment" not in without
    assert without["Handler"] == "app.handler"
    assert alone == {"FunctionName": "shop-Alone"}


def test_lists_of_globals_go_before_a_resource_s_own(tmp_path: Path) -> None:
    project = a_project(
        tmp_path,
        f"""\
        {SAM.strip()}
        Globals:
          Function: {{CodeUri: src, VpcConfig: {{SubnetIds: [a]}}, Layers: [one], Architectures: [arm64]}}
        Resources:
          Take:
            Type: AWS::Serverless::Function
            Properties: {{Layers: [two], Architectures: [x86_64]}}
        """,
    )

    assert set(reasons(project)) == {"Architectures of Take", "Layers of Take", "VpcConfig of Take"}


def test_a_function_takes_the_settings_of_sam(tmp_path: Path) -> None:
    project = a_function(
        tmp_path,
        """\
        Description: Takes.
        MemorySize: "512"
        Timeout: !Select [0, ["30"]]
        Environment: {Variables: {}}
        LoggingConfig: {LogFormat: JSON, ApplicationLogLevel: WARN}
        Tags: {a: 1}
        ReservedConcurrentExecutions: 0
        """,
    )

    (function,) = project.functions
    assert function.members == BASE | {
        "Description": "Takes.",
        "MemorySize": 512,
        "Timeout": 30,
        "Environment": {"Variables": {}},
        "LoggingConfig": {"LogFormat": "JSON", "ApplicationLogLevel": "WARN"},
        "Tags": {"a": "1"},
    }
    assert function.reserved_concurrency == 0
    assert function.code == tmp_path / "src"
    assert function.place.line == 3
    assert project.not_applied == ()


@pytest.mark.parametrize(
    "line",
    [
        "Architectures: [arm64]",
        "AutoPublishAlias: live",
        "CodeSigningConfigArn: x",
        "DeploymentPreference: {Type: AllAtOnce}",
        "DurableConfig: {}",
        "EphemeralStorage: {Size: 1024}",
        "FileSystemConfigs: []",
        "FunctionUrlConfig: {AuthType: NONE}",
        "KmsKeyArn: x",
        "Layers: [!Ref Anything]",
        "PermissionsBoundary: x",
        "Policies: [SQSSendMessagePolicy: {QueueName: !GetAtt Anything.QueueName}]",
        "ProvisionedConcurrencyConfig: {ProvisionedConcurrentExecutions: 5}",
        "Role: !GetAtt AnyRole.Arn",
        "RuntimeManagementConfig: {UpdateRuntimeOn: Auto}",
        "SnapStart: {ApplyOn: PublishedVersions}",
        "Tracing: Active",
        "VpcConfig: {SubnetIds: [!Ref Subnet]}",
    ],
)
def test_settings_without_a_meaning_here_are_listed_with_their_line(tmp_path: Path, line: str) -> None:
    more = "AnyRole: {Type: 'AWS::IAM::Role'}"

    project = a_function(tmp_path, line, more=more)

    name = line.partition(":")[0]
    noted = {entry.what: entry for entry in project.not_applied}[f"{name} of Take"]
    assert noted.place.line == 10
    assert noted.why
    kept = {"Role": "arn:aws:iam::000000000000:role/shop-AnyRole"} if name == "Role" else {}
    assert project.functions[0].members == BASE | kept


def test_a_variable_that_is_not_known_here_is_left_out_and_listed(tmp_path: Path) -> None:
    project = a_function(
        tmp_path,
        """\
        Environment:
          Variables:
            POOL: !GetAtt Pool.ProviderURL
            PASSWORD: "{{resolve:secretsmanager:db:SecretString:password}}"
            KNOWN: x
        """,
        more="Pool: {Type: 'AWS::Cognito::UserPool'}",
    )

    assert project.functions[0].members["Environment"] == {"Variables": {"KNOWN": "x"}}
    assert reasons(project)["POOL of the environment of Take"] == (
        "Pool.ProviderURL is not known here: give it as the parameter Pool.ProviderURL"
    )
    assert "PASSWORD of the environment of Take" in reasons(project)


def test_roles_and_apis_that_sam_makes_can_be_referred_to(tmp_path: Path) -> None:
    project = a_function(
        tmp_path, 'Environment: {Variables: {ROLE: !GetAtt TakeRole.Arn, API: !Sub "${ServerlessHttpApi}"}}'
    )

    assert project.functions[0].members["Environment"] == {
        "Variables": {"ROLE": "arn:aws:iam::000000000000:role/shop-TakeRole", "API": "default"}
    }


def test_code_in_the_template_becomes_index_py_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    text = f"""\
        {SAM.strip()}
        Globals: {{Function: {{CodeUri: src}}}}
        Resources:
          Take:
            Type: AWS::Serverless::Function
            Properties:
              Handler: index.handler
              InlineCode: |
                def handler(event, context):
                    return "é"
        """

    first, second = a_project(tmp_path, text), a_project(tmp_path, text)

    folder = first.functions[0].code
    assert (folder / "index.py").read_text() == 'def handler(event, context):\n    return "é"\n'
    assert second.functions[0].code == folder
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert a_project(tmp_path, text.replace("é", "e")).functions[0].code != folder


def test_an_archive_is_code_too(tmp_path: Path) -> None:
    (tmp_path / "package.zip").write_bytes(b"PK")

    assert a_function(tmp_path, "").functions[0].code == tmp_path / "src"
    assert (
        a_project(
            tmp_path,
            SAM + "Resources: {Take: {Type: 'AWS::Serverless::Function', Properties: {CodeUri: ./package.zip}}}",
        )
        .functions[0]
        .code
        == tmp_path / "package.zip"
    )


def test_a_function_made_of_an_image_is_listed_and_so_is_what_would_invoke_it(tmp_path: Path) -> None:
    project = a_project(
        tmp_path,
        f"""\
        {SAM.strip()}
        Resources:
          Take:
            Type: AWS::Serverless::Function
            Properties:
              PackageType: Image
              Events: {{In: {{Type: HttpApi}}}}
          Mapping:
            Type: AWS::Lambda::EventSourceMapping
            Properties: {{FunctionName: !Ref Take, EventSourceArn: {QUEUE}}}
        """,
    )

    assert project.resources == ()
    assert reasons(project) == {
        "the function Take": "functions made of images are not served",
        f"the mapping {QUEUE} -> shop-Take": "the function shop-Take is not applied",
    }


def test_a_destination_of_type_sqs_alone_is_a_queue_of_its_own(tmp_path: Path) -> None:
    project = a_function(tmp_path, "EventInvokeConfig: {DestinationConfig: {OnFailure: {Type: SQS}}}")

    (queue,) = project.queues
    assert queue.name == "shop-TakeEventInvokeConfigOnFailureQueue"
    assert project.functions[0].event_invoke == {
        "DestinationConfig": {"OnFailure": {"Destination": f"arn:aws:sqs:us-east-1:000000000000:{queue.name}"}}
    }


@pytest.mark.parametrize("kind", ["S3", "SNS", "EventBridgeRule", "CloudWatchLogs", "MSK", "Cognito", "AlexaSkill"])
def test_events_that_are_not_served_are_listed_with_their_line(tmp_path: Path, kind: str) -> None:
    project = a_function(tmp_path, events=f"In:\n  Type: {kind}\n  Properties: {{X: !Ref Nowhere}}")

    (entry,) = project.not_applied
    assert (entry.what, entry.place.line) == ("the event In of Take", 12)
    assert entry.why == f"events of {kind} are not served"
    assert [function.name for function in project.functions] == ["take"]


def test_a_table_s_stream_must_be_given(tmp_path: Path) -> None:
    more = "Table: {Type: 'AWS::DynamoDB::Table'}"
    events = "In: {Type: DynamoDB, Properties: {Stream: !GetAtt Table.StreamArn, StartingPosition: LATEST}}"
    arn = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/now"

    project = a_function(tmp_path, events=events, more=more)

    assert project.mappings == ()
    assert reasons(project)["the event In of Take"] == (
        "Table.StreamArn is not known here: give it as the parameter Table.StreamArn"
    )
    text = (tmp_path / "template.yaml").read_text()
    given = a_project(tmp_path, text, parameters={"Table.StreamArn": arn})
    assert given.mappings[0].members["EventSourceArn"] == arn


def test_a_source_that_is_no_queue_and_no_stream_is_listed(tmp_path: Path) -> None:
    project = a_function(tmp_path, events="In: {Type: Kinesis, Properties: {Stream: 'arn:aws:s3:::bucket'}}")

    assert reasons(project) == {
        "the event In of Take": "arn:aws:s3:::bucket is no queue and no stream of Kinesis or DynamoDB"
    }


def test_a_schedule_says_whether_it_is_enabled_in_two_ways(tmp_path: Path) -> None:
    project = a_function(
        tmp_path,
        events="""\
        A: {Type: Schedule, Properties: {Schedule: rate(1 minute), Enabled: "false"}}
        B: {Type: Schedule, Properties: {Schedule: rate(1 minute), State: ENABLED}}
        C: {Type: Schedule, Properties: {Schedule: rate(1 minute), DeadLetterConfig: {Arn: "arn:x"}}}
        D: {Type: Schedule, Properties: {Schedule: rate(1 minute), DeadLetterConfig: {Type: SQS, QueueLogicalId: Dead}}}
        """,
    )

    assert [(schedule.name, schedule.members.get("State")) for schedule in project.schedules] == [
        ("shop-TakeA", "DISABLED"),
        ("shop-TakeB", "ENABLED"),
        ("shop-TakeC", None),
        ("shop-TakeD", None),
    ]
    assert project.schedules[2].targets[0]["DeadLetterConfig"] == {"Arn": "arn:x"}
    assert project.schedules[3].targets[0]["DeadLetterConfig"] == {
        "Arn": "arn:aws:sqs:us-east-1:000000000000:shop-Dead"
    }
    assert [queue.name for queue in project.queues] == ["shop-Dead"]


@pytest.mark.parametrize(
    ("properties", "why"),
    [
        ("ScheduleExpression: at(2030-01-01T00:00:00)", "one-time schedules are not served"),
        (
            "ScheduleExpression: rate(1 hour), ScheduleExpressionTimezone: Europe/Berlin",
            "schedules run on UTC, not on Europe/Berlin",
        ),
        (
            "ScheduleExpression: rate(1 hour), FlexibleTimeWindow: {Mode: FLEXIBLE, MaximumWindowInMinutes: 5}",
            "schedules fire on time: there are no flexible time windows",
        ),
        ("ScheduleExpression: rate(1 hour), EndDate: 2030-01-01T00:00:00Z", "schedules neither begin nor end"),
    ],
)
def test_a_schedule_of_scheduler_that_no_rule_can_keep_is_listed(tmp_path: Path, properties: str, why: str) -> None:
    project = a_function(tmp_path, events=f"In: {{Type: ScheduleV2, Properties: {{Input: x, {properties}}}}}")

    assert project.schedules == ()
    assert reasons(project) == {"the event In of Take": why}


def test_scheduler_s_own_event_is_listed_as_not_applied(tmp_path: Path) -> None:
    project = a_function(
        tmp_path,
        events="""\
        A:
          Type: ScheduleV2
          Properties:
            ScheduleExpression: rate(1 hour)
            ScheduleExpressionTimezone: UTC
            FlexibleTimeWindow: {Mode: "OFF"}
        B: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(1 hour), Input: x, OmitName: true}}
        C: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(1 hour), Input: x, Name: hourly}}
        """,
    )

    assert [schedule.name for schedule in project.schedules] == ["TakeA", "shop-TakeB", "hourly"]
    assert list(reasons(project)) == ["Scheduler's own event of the event A of Take"]


def test_routes_name_their_api_method_and_format(tmp_path: Path) -> None:
    project = a_function(
        tmp_path,
        events="""\
        A: {Type: HttpApi, Properties: {Path: /a, Method: "*"}}
        B: {Type: HttpApi, Properties: {Path: /b, Method: post, PayloadFormatVersion: "1.0", ApiId: !Ref Own}}
        C: {Type: Api, Properties: {Path: /c, Method: GET, RestApiId: !Ref Rest}}
        D: {Type: HttpApi, Properties: {Path: /d, Method: get, Auth: {Authorizer: NONE}}}
        E: {Type: HttpApi, Properties: {Path: /e, Method: get, Auth: {Authorizer: Mine}, TimeoutInMillis: 5000}}
        """,
        more="""\
        Own: {Type: "AWS::Serverless::HttpApi", Properties: {Name: own, Auth: {DefaultAuthorizer: Mine}}}
        Rest: {Type: "AWS::Serverless::Api", Properties: {StageName: live, DefinitionBody: {}}}
        """,
    )

    assert [(route.api, route.route_key, route.payload_format) for route in project.routes] == [
        ("default", "ANY /a", "2.0"),
        ("own", "POST /b", "1.0"),
        ("shop-Rest", "GET /c", "1.0"),
        ("default", "GET /d", "2.0"),
        ("default", "GET /e", "2.0"),
    ]
    assert {route.function for route in project.routes} == {"take"}
    assert set(reasons(project)) == {
        "Auth of Own",
        "DefinitionBody of Rest",
        "Auth of the event E of Take",
        "TimeoutInMillis of the event E of Take",
    }


def test_what_globals_say_of_an_api_that_is_not_declared_is_listed(tmp_path: Path) -> None:
    text = textwrap.dedent(f"""\
        {SAM.strip()}
        Globals:
          Api: {{Cors: "*"}}
          HttpApi: {{CorsConfiguration: true, RouteSettings: {{}}}}
        Resources:
          Incoming: {{Type: "AWS::SQS::Queue"}}
        """)

    assert set(reasons(a_project(tmp_path, text))) == {
        "Cors of Globals.Api",
        "CorsConfiguration of Globals.HttpApi",
        "RouteSettings of Globals.HttpApi",
    }
    declared = a_project(tmp_path, text + '  Own: {Type: "AWS::Serverless::HttpApi"}\n')
    assert set(reasons(declared)) == {"Cors of Globals.Api", "CorsConfiguration of Own", "RouteSettings of Own"}
    with pytest.raises(ProjectError, match="CorsConfig is not known here"):
        a_project(tmp_path, text.replace("CorsConfiguration", "CorsConfig"))


def test_a_condition_takes_an_event_or_a_setting_away(tmp_path: Path) -> None:
    project = a_project(
        tmp_path,
        f"""\
        {SAM.strip()}
        Conditions: {{IsProd: !Equals [a, b]}}
        Resources:
          Take:
            Type: AWS::Serverless::Function
            Properties:
              CodeUri: src
              Timeout: !If [IsProd, 30, !Ref AWS::NoValue]
              Environment: !If [IsProd, {{Variables: {{A: 1}}}}, {{Variables: {{B: 2}}}}]
              EventInvokeConfig: !If [IsProd, {{MaximumRetryAttempts: 1}}, !Ref AWS::NoValue]
              Events:
                In: !If [IsProd, {{Type: HttpApi}}, !Ref AWS::NoValue]
                Out: !If [IsProd, !Ref AWS::NoValue, {{Type: HttpApi}}]
        """,
    )

    (function,) = project.functions
    assert function.members == {"FunctionName": "shop-Take", "Environment": {"Variables": {"B": "2"}}}
    assert function.event_invoke is None
    assert [route.route_key for route in project.routes] == ["$default"]


@pytest.mark.parametrize(
    ("properties", "line", "message"),
    [
        ("Handlr: x", 10, "Handlr is not known here (did you mean Handler?)"),
        ("Timeout: soon", 10, "expected a whole number, found 'soon'"),
        ("Timeout: true", 10, "expected a whole number, found true"),
        ("LoggingConfig: {LogFormt: JSON}", 10, "LogFormt is not known here (did you mean LogFormat?)"),
        ("Environment: {Variable: {}}", 10, "Variable is not known here (did you mean Variables?)"),
        ("Environment:\n  Variables:\n    A: [1]", 12, "expected text, found a list"),
        ("DeadLetterQueue: {Type: SQS}", 10, "DeadLetterQueue of Take has no TargetArn"),
        ("DeadLetterQueue: {Type: S3, TargetArn: x}", 10, "the Type of a DeadLetterQueue is SQS or SNS, not S3"),
        ("EventInvokeConfig: {DestinationConfig: {OnFailure: {Type: FTP}}}", 10, "the Type of a destination is one of"),
        ("EventInvokeConfig: {DestinationConfig: {OnFailure: {Type: Lambda}}}", 10, "has no Destination"),
        ("EventInvokeConfig: {MaximumRetries: 1}", 10, "MaximumRetries is not known here"),
        ("Events: {A: {Typ: SQS}}", 10, "Typ is not known here (did you mean Type?)"),
        ("Events: {A: {Properties: {}}}", 10, "the event A of Take has no Type"),
        ("Events: {A: {Type: Sqs}}", 10, "Sqs is not known here"),
        ("Events: {A: {Type: SQS}}", 10, "the event A of Take has no Queue"),
        (f"Events: {{A: {{Type: SQS, Properties: {{Queue: '{QUEUE}', Batch: 1}}}}}}", 10, "Batch is not known here"),
        ("Events: {A: {Type: Schedule}}", 10, "the event A of Take has no Schedule"),
        (
            "Events: {A: {Type: Schedule, Properties: {Schedule: x, Enabled: true, State: ENABLED}}}",
            10,
            "the event A of Take has both Enabled and State",
        ),
        ("Events: {A: {Type: HttpApi, Properties: {Path: /a}}}", 10, "has Path and Method, or neither"),
        (
            "Events: {A: {Type: HttpApi, Properties: {PayloadFormatVersion: 3}}}",
            10,
            "PayloadFormatVersion is 1.0 or 2.0, not 3",
        ),
        (
            "Events: {A: {Type: HttpApi}, B: {Type: HttpApi}}",
            10,
            "default $default is declared twice; first at",
        ),
    ],
)
def test_a_malformed_function_is_refused_with_its_line(
    tmp_path: Path, properties: str, line: int, message: str
) -> None:
    with pytest.raises(ProjectError) as caught:
        a_function(tmp_path, properties)

    assert message in caught.value.message
    assert caught.value.place.line == line


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ("{}", "Take has no code"),
        ("{CodeUri: nowhere}", "nowhere does not exist"),
        ("{CodeUri: src/app.py}", "src/app.py is neither a folder nor an archive"),
        ("{CodeUri: 's3://bucket/key'}", "packages come from a folder or an archive on this machine"),
        ("{CodeUri: {Bucket: b, Key: k}}", "not from S3"),
    ],
)
def test_code_that_is_not_here_is_refused_with_its_line(tmp_path: Path, properties: str, message: str) -> None:
    text = f"{SAM}Resources:\n  Take:\n    Type: AWS::Serverless::Function\n    Properties: {properties}\n"

    with pytest.raises(ProjectError) as caught:
        a_project(tmp_path, text)

    assert message in caught.value.message
    assert caught.value.place.line in (3, 5)


def test_destinations_that_are_not_served_are_listed_and_the_others_stay(tmp_path: Path) -> None:
    stream = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
    project = a_function(
        tmp_path,
        "DeadLetterQueue: {Type: SNS, TargetArn: 'arn:aws:sns:us-east-1:1:t'}\n"
        "EventInvokeConfig:\n"
        "  DestinationConfig:\n"
        "    OnSuccess: {Type: EventBridge, Destination: 'arn:aws:events:us-east-1:1:event-bus/b'}\n"
        "    OnFailure: {Type: SQS, Destination: 'arn:aws:sqs:us-east-1:000000000000:q'}",
        f"In: {{Type: Kinesis, Properties: {{Stream: '{stream}', StartingPosition: LATEST, "
        "DestinationConfig: {OnFailure: {Type: S3, Destination: 'arn:aws:s3:::b'}}}}",
    )

    assert reasons(project) == {
        "DeadLetterConfig of Take": "SNS is not served as a destination",
        "OnSuccess of DestinationConfig of Take": "EventBridge is not served as a destination",
        "OnFailure of the event In of Take": "S3 is not served as a destination",
    }
    (function,), (mapping,) = project.functions, project.mappings
    assert "DeadLetterConfig" not in function.members
    assert function.event_invoke == {
        "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:000000000000:q"}}
    }
    assert "DestinationConfig" not in mapping.members


def test_a_topic_that_sam_would_make_for_a_destination_is_listed(tmp_path: Path) -> None:
    project = a_function(tmp_path, "EventInvokeConfig: {DestinationConfig: {OnFailure: {Type: SNS}}}")

    assert reasons(project) == {"OnFailure of DestinationConfig of Take": "SNS is not served as a destination"}
    assert project.functions[0].event_invoke is None


@pytest.mark.parametrize("expression", ["!Ref Take.Alias", "!Ref Take.Version", "!Sub '${Take.Alias}'"])
def test_the_alias_and_version_that_sam_makes_are_the_function_itself(tmp_path: Path, expression: str) -> None:
    project = a_function(tmp_path, f"AutoPublishAlias: live\nEnvironment: {{Variables: {{ME: {expression}}}}}")

    variables = project.functions[0].members["Environment"]["Variables"]
    assert variables == {"ME": "arn:aws:lambda:us-east-1:000000000000:function:take"}


def test_connectors_and_tags_of_apis_are_listed(tmp_path: Path) -> None:
    project = a_project(
        tmp_path,
        f"""\
        {SAM}
        Resources:
          Table:
            Type: AWS::Serverless::SimpleTable
            Connectors: {{ToTable: {{Properties: {{Permissions: [Read]}}}}}}
          Api:
            Type: AWS::Serverless::HttpApi
            Properties: {{Tags: {{a: b}}, PropagateTags: true}}
        """,
    )

    assert reasons(project) == {
        "Connectors of Table": "there is no IAM here: nobody is kept out",
        "Table (AWS::Serverless::SimpleTable)": (
            "tables are not kept here: functions reach DynamoDB where their endpoint points"
        ),
        "Tags of Api": "routes have no tags here",
        "PropagateTags of Api": "routes have no tags here",
    }


def test_a_lone_variable_whose_name_begins_like_ref_is_no_expression(tmp_path: Path) -> None:
    project = a_project(
        tmp_path,
        f"""\
        {SAM}
        Globals: {{Function: {{CodeUri: src, Environment: {{Variables: {{STAGE: dev}}}}}}}}
        Resources:
          Take: {{Type: "AWS::Serverless::Function", Properties: {{Environment: {{Variables: {{RefreshToken: x}}}}}}}}
        """,
    )

    assert project.functions[0].members["Environment"]["Variables"] == {"STAGE": "dev", "RefreshToken": "x"}
