"""The first validation layer: lambda-semantics §0."""

from __future__ import annotations

from typing import Any

import pytest

from eventrouter.api.protocol.models import Shape, service_model
from eventrouter.api.protocol.validate import check, render
from eventrouter.api.protocol.values import from_json
from eventrouter.errors import RequestError

ROLE = "arn:aws:iam::123456789012:role/r"


def shape(operation: str) -> Shape:
    found = service_model("lambda").operation(operation).input
    assert found is not None
    return found


def problems(operation: str, **values: Any) -> str:
    with pytest.raises(RequestError) as caught:
        check(shape(operation), values)
    assert (caught.value.code, caught.value.status, caught.value.fault) == ("ValidationException", 400, None)
    return caught.value.message


def test_valid_input_passes() -> None:
    check(shape("CreateFunction"), {"FunctionName": "f", "Role": ROLE, "Code": {}})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        ("x", "'x'"),
        (3, "'3'"),
        (2.0, "'2.0'"),
        (True, "'true'"),
        (["x86_64", "arm64"], "'[x86_64, arm64]'"),
        ({"2": 2.0}, "'{2=2.0}'"),
        ({"a": ["b", {"c": "d"}]}, "'{a=[b, {c=d}]}'"),
    ],
)
def test_values_are_rendered_as_java_renders_them(value: object, text: str) -> None:
    assert render(value) == text


def test_paths_are_camel_case_and_lead_into_lists_and_maps() -> None:
    mounts = [{"Arn": "x", "LocalMountPath": "/mnt/x"}]

    text = problems("CreateFunction", FunctionName="f", Role=ROLE, Code={"S3Key": ""}, FileSystemConfigs=mounts)

    assert text.startswith("2 validation errors detected: ")
    assert (
        "Value '' at 'code.s3Key' failed to satisfy constraint: Member must have length greater than or equal" in text
    )
    assert "Value 'x' at 'fileSystemConfigs.1.member.arn' failed to satisfy constraint: " in text


def test_one_member_may_break_several_constraints() -> None:
    text = problems("GetFunction", FunctionName="f", Qualifier="!" * 129)

    assert text.startswith(
        f"2 validation errors detected: Value '{'!' * 129}' at 'qualifier' failed to satisfy constraint: Member must "
        f"have length less than or equal to 128; Value '{'!' * 129}' at 'qualifier' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: "
    )


def test_elements_are_reported_with_all_their_constraints_and_the_whole_list() -> None:
    subnets = {"SubnetIds": ["subnet-1", "net"]}

    assert problems("UpdateFunctionConfiguration", FunctionName="f", VpcConfig=subnets) == (
        "1 validation error detected: Value '[subnet-1, net]' at 'vpcConfig.subnetIds' failed to satisfy constraint: "
        "Member must satisfy constraint: [Member must have length less than or equal to 1024, Member must have length "
        "greater than or equal to 0, Member must satisfy regular expression pattern: subnet-[0-9a-z]*, Member must not "
        "be null]"
    )


def test_null_elements_are_refused() -> None:
    assert "Value '[null]'" in problems("UpdateFunctionConfiguration", FunctionName="f", Layers=[None])
    assert problems("UpdateFunctionConfiguration", FunctionName="f", FileSystemConfigs=[None]) == (
        "1 validation error detected: Value null at 'fileSystemConfigs.1.member' failed to satisfy constraint: "
        "Member must not be null"
    )


def test_map_values_are_reported_with_the_whole_map() -> None:
    text = problems("TagResource", Resource="arn:aws:lambda:us-east-1:123456789012:function:f", Tags={"a": "#"})

    assert "Value '{a=#}' at 'tags' failed to satisfy constraint: Map value must satisfy constraint: [" in text


def test_the_second_layer_s_constraints_can_be_left_to_it() -> None:
    values = {"FunctionName": "f", "Role": ROLE, "Code": {}, "Runtime": "cobol"}

    check(shape("CreateFunction"), values, ignore=frozenset({("runtime", "enum")}))
    with pytest.raises(RequestError):
        check(shape("CreateFunction"), values)


def test_a_refusal_is_short_however_large_the_request() -> None:
    put = service_model("kinesis").operation("PutRecords").input
    assert put is not None
    body = {"Records": [{}] * 500_000, "StreamName": "x" * 1_000_000}
    values = from_json(put, body)
    with pytest.raises(RequestError) as caught:
        check(put, values)

    assert len(values["Records"]) == 501  # enough to know that they are too many
    assert len(caught.value.message) < 100_000
    assert caught.value.message.startswith(
        "100 validation errors detected: Value at 'records' failed to satisfy constraint: "
        "Member must have length less than or equal to 500; Value null at 'records.1.member.data'"
    )


def test_a_long_value_is_shown_in_part() -> None:
    assert render("x" * 20_000) == "'" + "x" * 16_384 + "...'"
    assert render(["ab"] * 10_000).startswith("'[ab, ab, ")
    assert len(render([{"k": "v" * 9}] * 10_000)) == 16_384 + 5
