"""Tables of a DynamoDB that moto plays."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, Self

import boto3

from tests.e2e.accounts import REGION


@dataclass(frozen=True, slots=True)
class Table:
    """One table with the key `id`, and its stream."""

    client: Any
    name: str
    stream_arn: str

    def put(self, **item: str) -> None:
        self.client.put_item(TableName=self.name, Item={name: {"S": value} for name, value in item.items()})

    def delete(self, key: str) -> None:
        self.client.delete_item(TableName=self.name, Key={"id": {"S": key}})

    def items(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.scan(TableName=self.name)["Items"]
        return found


class Tables:
    """Makes tables. Use it as a context manager."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = boto3.client(
            "dynamodb",
            endpoint_url=url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def make(self) -> Table:
        """Create a table with a stream of both images."""
        name = f"t-{secrets.token_hex(4)}"
        answer = self._client.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        return Table(self._client, name, answer["TableDescription"]["LatestStreamArn"])
