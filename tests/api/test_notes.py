"""What is reported as not applied."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from eventrouter.api.lambda_.notes import not_applied
from eventrouter.rules.function import Code, Function, LoggingConfig
from eventrouter.rules.names import FunctionName

HERE = f"python3.{sys.version_info.minor}"


def a_function(runtime: str = HERE, **echoed: Any) -> Function:
    return Function(
        name=FunctionName(account="0" * 12, region="us-east-1", name="f"),
        runtime=runtime,
        handler="h.h",
        role="r",
        code=Code(sha256="0" * 64, size_bytes=1),
        logging=LoggingConfig(group="g"),
        echoed=echoed,
        last_modified_ms=0,
        revision_id="r",
    )


def test_a_plain_function_has_no_notes() -> None:
    assert not_applied(a_function()) == []


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("TracingConfig", {"Mode": "PassThrough"}),
        ("SnapStart", {"ApplyOn": "None", "OptimizationStatus": "Off"}),
        ("EphemeralStorage", {"Size": 512}),
        ("VpcConfig", {"SubnetIds": [], "SecurityGroupIds": [], "VpcId": "", "Ipv6AllowedForDualStack": False}),
    ],
)
def test_values_that_ask_for_nothing_are_not_noted(member: str, value: object) -> None:
    assert not_applied(a_function(**{member: value})) == []


@pytest.mark.parametrize(
    ("member", "value", "text"),
    [
        ("TracingConfig", {"Mode": "Active"}, "TracingConfig Active"),
        ("SnapStart", {"ApplyOn": "PublishedVersions"}, "SnapStart PublishedVersions"),
        ("EphemeralStorage", {"Size": 1024}, "EphemeralStorage 1024"),
        ("KMSKeyArn", "arn:aws:kms:x", "KMSKeyArn arn:aws:kms:x"),
        ("SourceKMSKeyArn", "arn:aws:kms:x", "SourceKMSKeyArn arn:aws:kms:x"),
        ("VpcConfig", {"SubnetIds": ["subnet-1"], "SecurityGroupIds": []}, "VpcConfig subnet-1"),
        ("VpcConfig", {"SubnetIds": [], "SecurityGroupIds": ["sg-1", "sg-2"]}, "VpcConfig sg-1, sg-2"),
    ],
)
def test_values_without_effect_are_noted_with_their_reason(member: str, value: object, text: str) -> None:
    (note,) = not_applied(a_function(**{member: value}))

    assert str(note) == text
    assert note.why


def test_a_runtime_of_another_minor_version_is_noted() -> None:
    (note,) = not_applied(a_function("python3.8"))

    assert str(note) == "Runtime python3.8"
    assert note.why == f"runs on this node's Python 3.{sys.version_info.minor}"


def test_only_one_of_the_two_architectures_is_the_node_s() -> None:
    notes = [not_applied(a_function(Architectures=[name])) for name in ("x86_64", "arm64")]

    assert sorted(len(found) for found in notes) == [0, 1]
