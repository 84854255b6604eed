"""Tags of functions: lambda-semantics §2.8."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import pytest
from botocore.exceptions import ClientError

from tests.api.conftest import REGION, Account, call


def refusal(account: Account, operation: str, **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        getattr(account.lambda_, operation)(**members)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_tags_are_added_listed_and_removed(account: Account) -> None:
    account.create(Tags={"team": "red"})
    path = f"/2017-03-31/tags/{quote(account.arn(), safe='')}"

    tagged = account.ask("POST", path, body=b'{"Tags": {"stage": "dev", "team": "blue"}}')
    assert (tagged.status, tagged.body) == (204, b"")
    assert account.lambda_.list_tags(Resource=account.arn())["Tags"] == {"team": "blue", "stage": "dev"}

    untagged = account.ask("DELETE", path, query=b"tagKeys=team&tagKeys=stage&tagKeys=unknown")
    assert untagged.status == 204
    assert json.loads(account.ask("GET", path).body) == {"Tags": {}}


def test_row_20_tagging_changes_the_revision(account: Account) -> None:
    account.create()
    before = account.stored().revision_id

    account.lambda_.tag_resource(Resource=account.arn(), Tags={"a": "b"})
    after = account.stored().revision_id

    assert before != after
    assert account.stored().generation == 1


def test_a_function_has_50_tags_at_most(account: Account) -> None:
    account.create(Tags={f"k{number}": "v" for number in range(49)})
    account.lambda_.tag_resource(Resource=account.arn(), Tags={"k48": "again", "k49": "v"})

    assert refusal(account, "tag_resource", Resource=account.arn(), Tags={"k50": "v"}) == (
        "InvalidParameterValueException",
        "Number of tags exceeds resource tag limit.",
    )


def test_no_tags_at_all_are_refused_oddly(account: Account) -> None:
    account.create()

    assert refusal(account, "tag_resource", Resource=account.arn(), Tags={}) == (
        "InvalidParameterValueException",
        "An error occurred and the request cannot be processed.",
    )
    assert refusal(account, "untag_resource", Resource=account.arn(), TagKeys=[]) == (
        "ValidationException",
        "1 validation error detected: Value null at 'tagKeys' failed to satisfy constraint: Member must not be null",
    )


@pytest.mark.parametrize("qualifier", ["1", "$LATEST", "live"])
def test_versions_have_no_tags(account: Account, qualifier: str) -> None:
    account.create()

    assert refusal(account, "list_tags", Resource=account.arn(f"f:{qualifier}")) == (
        "InvalidParameterValueException",
        "Tags on function aliases and versions are not supported. Please specify a function ARN.",
    )


@pytest.mark.parametrize(
    ("resource", "code", "message"),
    [
        ("function:nope", "ResourceNotFoundException", "Function not found: {}"),
        (
            "event-source-mapping:00000000-0000-0000-0000-000000000000",
            "ResourceNotFoundException",
            "Event source mapping not found: {}",
        ),
        ("capacity-provider:x", "ResourceNotFoundException", "Capacity provider not found: {}"),
        (
            f"code-signing-config:csc-{'0' * 17}",
            "CodeSigningConfigNotFoundException",
            "The Lambda code signing configuration {} can not be found.",
        ),
    ],
)
def test_a_missing_resource_is_named(account: Account, resource: str, code: str, message: str) -> None:
    arn = f"arn:aws:lambda:{REGION}:{account.id}:{resource}"

    assert refusal(account, "list_tags", Resource=arn) == (code, message.format(arn))


def test_an_arn_of_the_wrong_pattern_is_the_first_layer_s(account: Account) -> None:
    code, message = refusal(account, "list_tags", Resource="arn:aws:s3:::bucket")

    assert code == "ValidationException"
    assert "at 'resource' failed to satisfy constraint" in message


@pytest.mark.parametrize("key", ["", "x" * 129, "no#hash"])
def test_a_tag_key_breaks_the_map_s_constraint(account: Account, key: str) -> None:
    account.create()

    code, message = refusal(account, "tag_resource", Resource=account.arn(), Tags={key: "v"})

    assert code == "ValidationException"
    assert message == (
        f"1 validation error detected: Value '{{{key}=v}}' at 'tags' failed to satisfy constraint: Map keys must "
        "satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than "
        r"or equal to 1, Member must satisfy regular expression pattern: ([\p{L}\p{Z}\p{N}_.:/=+\-@]*), "
        "Member must not be null]"
    )


def test_tags_may_be_in_any_script(account: Account) -> None:
    account.create()
    tags = {"équipe rouge": "日本 ①", "a@b:c/d=e+f-g.h_": ""}

    account.lambda_.tag_resource(Resource=account.arn(), Tags=tags)

    assert account.lambda_.list_tags(Resource=account.arn())["Tags"] == tags


def test_simultaneous_changes_are_all_kept(account: Account) -> None:
    account.create()
    gateway, path = account.door.gateway, f"/2017-03-31/tags/{quote(account.arn(), safe='')}".encode()
    headers = [(b"authorization", account.signed()["Authorization"].encode())]

    async def tag(number: int) -> int:
        body = json.dumps({"Tags": {f"k{number}": "v"}}).encode()
        return (await call(gateway, "POST", path, headers, body, b"")).status

    async def tag_all() -> list[int]:
        return await asyncio.gather(*(tag(number) for number in range(8)))

    assert account.door.run(tag_all()) == [204] * 8
    assert set(account.stored().tags) == {f"k{number}" for number in range(8)}
