from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import pytest

from eventrouter.project.cfn_names import Stack
from eventrouter.project.cfn_parameters import Unknown
from eventrouter.project.cfn_scope import Scope
from eventrouter.project.model import ProjectError
from eventrouter.project.yaml_lines import Node, parse

pytestmark = pytest.mark.unit

TEMPLATE = """\
Parameters:
  Stage: {Type: String, Default: dev}
  Count: {Type: Number, Default: 3}
  Zones: {Type: CommaDelimitedList, Default: "a, b,c"}
  Stored: {Type: "AWS::SSM::Parameter::Value<String>", Default: /shop/key}
Mappings:
  Sizes:
    dev: {memory: 128, names: [x, y]}
    prod: {memory: 1024, names: [z]}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
  IsDev: !Not [!Condition IsProd]
  HasMany: !Equals [!Ref Count, "3"]
  Both: !And [!Condition IsDev, Condition: HasMany]
  Either: !Or [!Condition IsProd, !Condition HasMany]
  Circle: !Not [!Condition Square]
  Square: !Not [!Condition Circle]
Resources:
  Incoming: {Type: "AWS::SQS::Queue"}
  Ordered: {Type: "AWS::SQS::Queue", Properties: {FifoQueue: true}}
  Named: {Type: "AWS::SQS::Queue", Properties: {QueueName: !Sub "${Stage}-named"}}
  Clicks: {Type: "AWS::Kinesis::Stream"}
  Handle: {Type: "AWS::Lambda::Function"}
  Table: {Type: "AWS::DynamoDB::Table", Properties: {TableName: accounts}}
  Topic: {Type: "AWS::SNS::Topic"}
  Bucket: {Type: "AWS::S3::Bucket"}
  Role: {Type: "AWS::IAM::Role"}
  Bus: {Type: "AWS::Events::EventBus"}
  Rule: {Type: "AWS::Events::Rule"}
  Logs: {Type: "AWS::Logs::LogGroup"}
  Pool: {Type: "AWS::Cognito::UserPool"}
  OnlyProd: {Type: "AWS::SQS::Queue", Condition: IsProd}
  Self: {Type: "AWS::SQS::Queue", Properties: {QueueName: !GetAtt Other.QueueName}}
  Other: {Type: "AWS::SQS::Queue", Properties: {QueueName: !GetAtt Self.QueueName}}
"""


def a_scope(given: Mapping[str, str] | None = None) -> Scope:
    stack = Stack(account="123456789012", region="eu-west-1", name="shop")
    return Scope(parse(TEMPLATE, "t.yaml"), stack, given or {})


def an_expression(text: str) -> Node:
    return parse(f"value: {textwrap.dedent(text)}", "x.yaml").mapping["value"]


def resolved(text: str, given: Mapping[str, str] | None = None) -> Any:
    return a_scope(given).resolve(an_expression(text)).plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("!Ref Stage", "dev"),
        ("!Ref Zones", ["a", "b", "c"]),
        ("{Ref: Count}", "3"),
        ("!Ref AWS::Region", "eu-west-1"),
        ("!Ref AWS::AccountId", "123456789012"),
        ("!Ref AWS::Partition", "aws"),
        ("!Ref AWS::StackName", "shop"),
        ("!Ref AWS::URLSuffix", "amazonaws.com"),
        ("!Ref AWS::NotificationARNs", []),
        ("!Ref AWS::NoValue", None),
        ("[1, !Ref AWS::NoValue, 2]", [1, 2]),
        ("{a: 1, b: !Ref AWS::NoValue}", {"a": 1}),
        ("!Ref Incoming", "http://sqs.eu-west-1.localhost.localstack.cloud:4566/123456789012/shop-Incoming"),
        ("!GetAtt Incoming.Arn", "arn:aws:sqs:eu-west-1:123456789012:shop-Incoming"),
        ("!GetAtt Incoming.QueueName", "shop-Incoming"),
        ("!GetAtt Ordered.QueueName", "shop-Ordered.fifo"),
        ("!GetAtt Named.QueueName", "dev-named"),
        ("{'Fn::GetAtt': [Named, Arn]}", "arn:aws:sqs:eu-west-1:123456789012:dev-named"),
        ("{'Fn::GetAtt': Named.Arn}", "arn:aws:sqs:eu-west-1:123456789012:dev-named"),
        ("!Ref Clicks", "shop-Clicks"),
        ("!GetAtt Clicks.Arn", "arn:aws:kinesis:eu-west-1:123456789012:stream/shop-Clicks"),
        ("!Ref Handle", "shop-Handle"),
        ("!GetAtt Handle.Arn", "arn:aws:lambda:eu-west-1:123456789012:function:shop-Handle"),
        ("!Ref Table", "accounts"),
        ("!GetAtt Table.Arn", "arn:aws:dynamodb:eu-west-1:123456789012:table/accounts"),
        ("!Ref Topic", "arn:aws:sns:eu-west-1:123456789012:shop-Topic"),
        ("!Ref Bucket", "shop-bucket"),
        ("!GetAtt Bucket.Arn", "arn:aws:s3:::shop-bucket"),
        ("!GetAtt Role.Arn", "arn:aws:iam::123456789012:role/shop-Role"),
        ("!GetAtt Bus.Arn", "arn:aws:events:eu-west-1:123456789012:event-bus/shop-Bus"),
        ("!GetAtt Rule.Arn", "arn:aws:events:eu-west-1:123456789012:rule/shop-Rule"),
        ("!GetAtt Logs.Arn", "arn:aws:logs:eu-west-1:123456789012:log-group:shop-Logs:*"),
        ('!Sub "${Stage}-${AWS::Region}-${Incoming.QueueName}"', "dev-eu-west-1-shop-Incoming"),
        ('!Sub ["${Stage}/${key}", {key: !Ref Count}]', "dev/3"),
        ('!Sub ["${Stage}", {Stage: own}]', "own"),
        ('!Sub "${!Stage} ${ Stage }"', "${Stage} dev"),
        ("!Join ['-', [a, !Ref Stage, 1]]", "a-dev-1"),
        ("!Join [',', !Ref Zones]", "a,b,c"),
        ("!Select [1, !Ref Zones]", "b"),
        ('!Select ["0", [x, y]]', "x"),
        ("!Split ['/', a/b/c]", ["a", "b", "c"]),
        ("!Select [2, !Split [':', !GetAtt Incoming.Arn]]", "sqs"),
        ("!FindInMap [Sizes, !Ref Stage, memory]", 128),
        ("!FindInMap [Sizes, dev, names]", ["x", "y"]),
        ("!FindInMap [Sizes, test, memory, {DefaultValue: 64}]", 64),
        ("!Base64 text", "dGV4dA=="),
        ("!GetAZs ''", ["eu-west-1a", "eu-west-1b", "eu-west-1c"]),
        ("!Length [a, b]", 2),
        ("!ToJsonString {a: [1, !Ref Stage]}", '{"a":[1,"dev"]}'),
        ("!If [IsProd, yes, no]", "no"),
        ("!If [IsDev, !Ref Stage, !Ref Nothing]", "dev"),
        ("!If [Both, 1, 2]", 1),
        ("!If [Either, 1, 2]", 1),
        ("{a: !If [IsProd, 1, !Ref AWS::NoValue]}", {}),
        (
            "{Condition: {Bool: {'aws:SecureTransport': false}}}",
            {"Condition": {"Bool": {"aws:SecureTransport": False}}},
        ),
    ],
)
def test_an_expression_stands_for_its_value(text: str, value: object) -> None:
    assert resolved(text) == value


def test_the_stack_s_id_is_an_arn() -> None:
    assert resolved("!Ref AWS::StackId").startswith("arn:aws:cloudformation:eu-west-1:123456789012:stack/shop/")


def test_what_is_given_stands_for_what_is_not_known_here() -> None:
    given = {
        "Table.StreamArn": "arn:stream",
        "shared-Bus": "the bus",
        "Stored": "the key",
        "resolve:ssm:/a/b": "the secret",
        "Stage": "prod",
    }

    assert resolved("!GetAtt Table.StreamArn", given) == "arn:stream"
    assert resolved('!Sub "${Table.StreamArn}!"', given) == "arn:stream!"
    assert resolved("!ImportValue shared-Bus", given) == "the bus"
    assert resolved("!Ref Stored", given) == "the key"
    assert resolved('"a {{resolve:ssm:/a/b}} z"', given) == "a the secret z"
    assert resolved('!Sub "{{resolve:ssm:/a/b}} of ${Stage}"', given) == "the secret of prod"
    assert resolved("!GetAtt OnlyProd.QueueName", given) == "shop-OnlyProd"


def test_what_was_given_and_nobody_asked_for_is_told() -> None:
    scope = a_scope({"Stage": "prod", "shared-Bus": "b", "Stag": "x"})
    scope.resolve(an_expression("!ImportValue shared-Bus"))

    assert scope.unused == ["Stag"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("!Ref Incomin", "there is no resource or parameter Incomin (did you mean Incoming?)"),
        ("!Ref AWS::Regio", "there is no pseudo parameter AWS::Regio (did you mean AWS::Region?)"),
        ("!Ref OnlyProd", "OnlyProd is not created: its condition does not hold"),
        ("!Ref Stored", "the stored value of Stored is not known here: give it as the parameter Stored"),
        ("!GetAtt Table.StreamArn", "Table.StreamArn is not known here: give it as the parameter Table.StreamArn"),
        ("!ImportValue shared-Bus", "the export shared-Bus is not known here: give it as the parameter shared-Bus"),
        ('"{{resolve:ssm:/a}}"', "{{resolve:ssm:/a}} is not known here: give it as the parameter resolve:ssm:/a"),
        ("!GetAtt [Incoming]", "Fn::GetAtt takes 2 arguments, not 1"),
        ("!Join [a]", "Fn::Join takes 2 arguments, not 1"),
        ("!Join [',', a]", "expected a list, found 'a'"),
        ("!Join [',', [{a: 1}]]", "expected text, found a mapping"),
        ("!Select [3, [a]]", "Fn::Select takes item 3 of 1; the first is item 0"),
        ("!Select [-1, [a]]", "Fn::Select takes item -1 of 1; the first is item 0"),
        ("!Split ['', a]", "Fn::Split needs a separator"),
        ("!FindInMap [Sizes, test, memory]", "Fn::FindInMap finds no test"),
        ("!FindInMap [Size, dev, memory]", "Fn::FindInMap finds no Size (did you mean Sizes?)"),
        ("!If [IsPro, 1, 2]", "there is no condition IsPro (did you mean IsProd?)"),
        ("!Sub '${AWS::NoValue}'", "${AWS::NoValue} stands for no text"),
        ("!Sub '${Zones}'", "expected text, found a list"),
        ("{'Fn::Nope': 1}", "Fn::Nope is not served"),
        ("{Ref: Stage, b: 1}", "Ref stands beside other members: Ref, b"),
        ("{a: null}", "a has no value"),
    ],
)
def test_an_expression_that_stands_for_nothing_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ProjectError) as caught:
        resolved(text)

    assert message in caught.value.message
    assert caught.value.place.line == 1


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (
            "!If [Circle, 1, 2]",
            "t.yaml:17: goes round in a circle: the condition Circle needs the condition Square needs ",
        ),
        (
            "!GetAtt Self.QueueName",
            "t.yaml:34: goes round in a circle: the name of Self needs the name of Other needs ",
        ),
    ],
)
def test_what_needs_itself_is_refused_with_the_whole_circle(text: str, path: str) -> None:
    with pytest.raises(ProjectError) as caught:
        resolved(text)

    assert str(caught.value).startswith(path)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("{a: 1, b: 2}", "a condition is one of"),
        ("!Ref Stage", "Ref is no function of conditions"),
        ("!Not [!Condition A, !Condition A]", "Fn::Not takes 1 arguments, not 2"),
    ],
)
def test_a_condition_that_is_none_is_refused(condition: str, message: str) -> None:
    stack = Stack(account="0", region="r", name="shop")
    root = parse(f"Parameters: {{Stage: {{Type: String, Default: x}}}}\nConditions:\n  A: {condition}\n", "t.yaml")
    scope = Scope(root, stack, {})

    with pytest.raises(ProjectError, match="t.yaml:3") as caught:
        scope.holds("A", root.place)

    assert message in caught.value.message


def a_parameter(text: str, given: str | None = None) -> Any:
    root = parse(f"Parameters:\n  P: {text}\n", "t.yaml")
    scope = Scope(root, Stack(account="0", region="r", name="s"), {} if given is None else {"P": given})
    return scope.resolve(an_expression("!Ref P")).plain


@pytest.mark.parametrize(
    ("declaration", "given", "value"),
    [
        ("{Type: String, Default: a}", "b", "b"),
        ("{Type: String, Default: ''}", None, ""),
        ("{Type: Number, MinValue: 1, MaxValue: 5}", "5", "5"),
        ("{Type: 'List<Number>', Default: '1,2'}", None, ["1", "2"]),
        ("{Type: CommaDelimitedList, Default: ''}", None, []),
        ("{Type: 'List<AWS::EC2::Subnet::Id>', Default: 'a,b'}", None, ["a", "b"]),
        ("{Type: 'AWS::EC2::VPC::Id', Default: vpc-1}", None, "vpc-1"),
        ("{Type: String, AllowedValues: [1, true, x]}", "true", "true"),
        ("{Type: String, AllowedPattern: '[a-z]+', MinLength: 2, MaxLength: 3, NoEcho: true}", "abc", "abc"),
    ],
)
def test_a_parameter_has_the_value_that_is_given_or_its_default(
    declaration: str, given: str | None, value: object
) -> None:
    assert a_parameter(declaration, given) == value


@pytest.mark.parametrize(
    ("declaration", "given", "message"),
    [
        ("{Type: String}", None, "the parameter P has no default and was given no value"),
        ("{Default: x}", None, "the parameter P has no Type"),
        ("{Type: String, Defualt: x}", None, "Defualt is nothing that a parameter has"),
        ("{Type: Number}", "x", "the value 'x' of the parameter P is not a number"),
        ("{Type: 'List<Number>'}", "1,x", "the value 'x' of the parameter P is not a number"),
        ("{Type: Number, MinValue: 2}", "1", "the value '1' of the parameter P is beyond MinValue 2"),
        ("{Type: Number, MaxValue: 2}", "2.5", "the value '2.5' of the parameter P is beyond MaxValue 2"),
        ("{Type: String, MinLength: 2}", "a", "the value 'a' of the parameter P is beyond MinLength 2"),
        ("{Type: String, MaxLength: 2}", "abc", "the value 'abc' of the parameter P is beyond MaxLength 2"),
        ("{Type: String, AllowedValues: [a, b]}", "c", "the value 'c' of the parameter P is not one of a, b"),
        (
            "{Type: String, AllowedPattern: '[a-z]+', ConstraintDescription: small letters}",
            "A",
            "the value 'A' of the parameter P does not match [a-z]+: small letters",
        ),
        ("{Type: String, AllowedPattern: '['}", "A", "'[' is no regular expression"),
        ("{Type: String, MinLength: x}", "A", "'x' is not a number"),
    ],
)
def test_a_value_that_a_parameter_does_not_allow_is_refused(declaration: str, given: str | None, message: str) -> None:
    with pytest.raises(ProjectError, match="t.yaml:2") as caught:
        a_parameter(declaration, given)

    assert message in caught.value.message


def test_a_secret_parameter_is_not_shown() -> None:
    with pytest.raises(ProjectError, match="the value of the parameter P is beyond MinLength 30") as caught:
        a_parameter("{Type: String, NoEcho: true, MinLength: 30}", given="hunter2")

    assert "hunter2" not in str(caught.value)


def test_what_aws_makes_up_for_types_that_are_not_known_here_can_be_given() -> None:
    root = parse("Resources:\n  Machine: {Type: 'AWS::StepFunctions::StateMachine'}\n", "t.yaml")
    stack = Stack(account="0", region="r", name="shop")

    with pytest.raises(Unknown, match="what AWS calls Machine is not known here: give it as the parameter Machine"):
        Scope(root, stack, {}).resolve(an_expression("!Ref Machine"))
    assert Scope(root, stack, {"Machine": "arn:x"}).resolve(an_expression("!Sub '${Machine}!'")).plain == "arn:x!"
