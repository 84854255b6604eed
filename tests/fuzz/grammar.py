"""Model values at random: right, nearly right and hostile, from the shapes of AWS's own models.

Everything is drawn from one `Random`, so that a seed is a whole run, and a `Random` of hypothesis makes it shrink.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from eventrouter.api.protocol.models import Kind, Location, Member, Shape
from tests.fuzz.zips import HOSTILE_PACKAGES, PACKAGES

MAX_DEPTH = 6

HOSTILE_TEXTS = (
    "", " ", "\0", "a\0b", "\r\nX-Evil: 1", "../../etc/passwd", "%00", "%s%n", "{0.__class__}", "${jndi:x}", "$LATEST",
    "ä", "\u202e", "\U0001f4a9", "\ud800", "x\udfff", "\ufeff", "\x7f", "\x1b[31m", "null", "NaN", "-0", "1e400",
    "9" * 400, "-9223372036854775809", "٣", "a" * 65, "a" * 257, "a" * 70_000, "é" * 1_025, ":" * 12, "/" * 20,
    "arn:aws:lambda", "arn:aws:lambda:us-east-1:000000000000:function:", "arn:aws:sqs:::", "arn:" + ":" * 40,
    "http://", "http://[", "http://[::1", "//", "?", "#", "http://h/000000000000/q", "'; DROP TABLE x", "<!DOCTYPE a>",
    "0000-00-00T00:00:00Z", "9999-12-31T23:59:60Z", "1e308", "true", "[]", "{}", "er:i:meta", "*", "^(a+)+$", "\n",
)  # fmt: skip
ODD_NUMBERS = (0, -1, 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 10**30, 1.5, -0.0, 1e308, 5e-324, 253402300800)
ODD_VALUES: tuple[Any, ...] = (None, True, False, [], {}, [None], [[]], {"": ""}, {"a": None}, "", "x", 7, 1.5, [{}])

ACCOUNT = "111122223333"
FUNCTION_ARN = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"
QUEUE_ARN = f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"
STREAM_ARN = f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/s"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/r"
_USEFUL = frozenset(
    ("Actions", "AWSAccountIds", "ConsumerARN", "EventSourceArn", "Handler", "IntegrationUri", "MaximumRetryAttempts",
     "IntegrationType", "PartitionKey", "PayloadFormatVersion", "ProtocolType", "Runtime", "ScheduleExpression",
     "StartingPosition", "StreamName", "VisibilityTimeout", "ZipFile", "logGroupName", "logStreamName")
)  # fmt: skip
"""Members that the models call optional, without which little happens."""

_NUMBERS = {
    "RetentionPeriodHours": (24, 25, 48, 8_760, 8_761),
    "MaximumRecordAgeInSeconds": (-1, 60, 604_800),
    "MaximumEventAgeInSeconds": (60, 21_600),
    "MaximumRetryAttempts": (0, 1, 2, -1),
    "VisibilityTimeout": (0, 1, 30),
    "ShardCount": (1, 2, 3),
    "TargetShardCount": (1, 2, 3),
}

_NAMES = ("f", "g", "q", "q.fifo", "s", "r", "a", "b", "n-1", "x" * 64)


class Known:
    """What exists on the node, by the member that may name it; answers teach it more."""

    MOST = 200

    def __init__(self) -> None:
        self._values: dict[str, list[str]] = {
            "FunctionName": ["f", "g", "f:$LATEST", FUNCTION_ARN, f"{ACCOUNT}:function:f", "h"],
            "QueueUrl": [f"http://127.0.0.1/{ACCOUNT}/{name}" for name in ("q", "q.fifo", "p")],
            "QueueName": ["q", "q.fifo", "p", "p.fifo"],
            "StreamName": ["s", "t"],
            "StreamARN": [STREAM_ARN, STREAM_ARN[:-1] + "t"],
            "EventSourceArn": [STREAM_ARN, QUEUE_ARN, f"{QUEUE_ARN}.fifo"],
            "SourceArn": [QUEUE_ARN, f"{QUEUE_ARN}.fifo"],
            "Role": [ROLE],
            "Runtime": ["python3.11", "python3.12", "nodejs20.x"],
            "Handler": ["app.handler", "app.nothing"],
            "Qualifier": ["$LATEST", "1"],
            "ShardId": ["shardId-000000000000", "shardId-000000000001"],
            "ResourceARN": [STREAM_ARN, f"arn:aws:events:us-east-1:{ACCOUNT}:rule/r"],
            "Resource": [FUNCTION_ARN],
            "ScheduleExpression": ["rate(1 day)", "cron(0 12 ? * MON *)", "rate(0 minutes)", "cron(* * * * * *)"],
            "StartingHashKey": ["1", str(2**126), str(2**127 + 1), "0"],
            "NewStartingHashKey": [str(2**126), str(2**127 + 5), "1"],
            "StreamMode": ["PROVISIONED"],
            "ResourceArn": ["arn:aws:apigateway:us-east-1::/apis/a"],
            "StartingPosition": ["LATEST", "TRIM_HORIZON"],
            "Actions": ["SendMessage", "*"],
            "AWSAccountIds": [ACCOUNT],
            "Label": ["l"],
            "Target": ["integrations/x"],
            "State": ["DISABLED", "ENABLED"],
            "Rule": ["r"],
            "Name": ["r", "api"],
            "Arn": [FUNCTION_ARN, QUEUE_ARN],
            "Destination": [QUEUE_ARN, FUNCTION_ARN],
            "logGroupName": ["/aws/lambda/f"],
            "filterPattern": ["ERROR", "{ $.a = 1 }", '"x" -"y"', "?a ?b", "[a, b=1, ...]", "%[0-9]+%"],
            "Pattern": ['{"body":{"a":[1]}}', '{"a":[{"numeric":[">",1]}]}', '{"a":[{"wildcard":"*a*"}]}', "{"],
            "RouteKey": ["GET /x", "ANY /{proxy+}", "POST /a/{b}"],
            "ProtocolType": ["HTTP"],
            "IntegrationType": ["AWS_PROXY"],
            "IntegrationUri": [FUNCTION_ARN],
            "PayloadFormatVersion": ["2.0", "1.0"],
            "Input": ['{"a":1}'],
            "PartitionKey": ["k", "key"],
            "ExplicitHashKey": ["0", str(2**128 - 1), str(2**128)],
        }

    def learn(self, member: str, value: str) -> None:
        """Remember something that an answer named."""
        values = self._values.setdefault(member, [])
        if value not in values:
            values.append(value)
            if len(values) > self.MOST:
                del values[self.MOST // 2]

    def of(self, member: str) -> Sequence[str]:
        """Return likely values of a member."""
        return self._values.get(member) or self._values.get(member[:1].upper() + member[1:], ())


class Grammar:
    """Draws inputs. `spite` is the chance of something odd at each place."""

    def __init__(self, random: Random, known: Known, *, spite: float) -> None:
        self.random = random
        self._known = known
        self._spite = spite

    def is_odd(self) -> bool:
        """Say whether something odd comes next."""
        return self.random.random() < self._spite

    def members(self, shape: Shape, depth: int = 0) -> dict[str, Any]:
        """Draw a structure, by the names of its members in the model."""
        drawn: dict[str, Any] = {}
        share = self.random.choice((0.02, 0.1, 0.3, 0.3)) / (1 + depth)
        for member in shape.members.values():
            is_wanted = member.required or member.name in _USEFUL or shape.name.endswith("Entry")
            wanted = 0.97 if is_wanted else share
            if self.random.random() < wanted:
                drawn[member.name] = self.value(member.shape, member, depth + 1)
        return drawn

    def value(self, shape: Shape, member: Member | None, depth: int) -> Any:
        """Draw a value, in the form that JSON carries; blobs are bytes."""
        random = self.random
        if self.is_odd() and shape.kind is not Kind.STRUCTURE:
            return random.choice(HOSTILE_TEXTS) if random.random() < 0.6 else random.choice(ODD_VALUES)
        match shape.kind:
            case Kind.STRUCTURE:
                return self.members(shape, depth) if depth < MAX_DEPTH else {}
            case Kind.LIST:
                assert shape.item is not None
                most = 60 if random.random() < 0.01 else 3
                least = int(shape.minimum or 0)
                count = random.randint(min(least, most), most) if depth < MAX_DEPTH else 0
                return [self.value(shape.item, member, depth + 1) for _ in range(count)]
            case Kind.MAP:
                assert shape.key is not None
                assert shape.value is not None
                keys = [self.value(shape.key, None, depth + 1) for _ in range(random.randint(0, 3))]
                return {key: self.value(shape.value, None, depth + 1) for key in keys if isinstance(key, str)}
            case Kind.BLOB:
                return self._blob(member)
            case Kind.BOOLEAN:
                return random.random() < 0.5
            case Kind.INTEGER | Kind.FLOAT | Kind.TIMESTAMP:
                return self._number(shape, member)
        return self._text(shape, member)

    def _number(self, shape: Shape, member: Member | None) -> float:
        random = self.random
        if member is not None and member.name == "WaitTimeSeconds":
            return random.choice((0, 0, 0, 1, -1, 21))  # a long poll is no hang, and there is little time
        if self.is_odd():
            return random.choice(ODD_NUMBERS)
        if member is not None and member.name in _NUMBERS and random.random() < 0.9:
            return random.choice(_NUMBERS[member.name])
        if shape.kind is Kind.TIMESTAMP:
            return random.choice((0, 1_767_225_600, 1_767_225_600_000, 1.5))
        least = int(shape.minimum if shape.minimum is not None else 0)
        most = int(shape.maximum if shape.maximum is not None else least + 10)
        if random.random() < 0.3:
            return random.choice((least, most, least - 1, most + 1) if self._spite else (least, most))
        return random.randint(least, min(most, least + 20))

    def _text(self, shape: Shape, member: Member | None) -> str:
        random = self.random
        likely = self._known.of(member.name if member is not None else shape.name) or self._known.of(shape.name)
        if likely and random.random() < 0.85:
            return random.choice(likely[-20:] if random.random() < 0.5 else likely)  # half the time, something new
        if shape.enum and random.random() < 0.9:
            return random.choice(shape.enum)
        if random.random() < 0.7:
            return random.choice(_NAMES)
        length = int(shape.minimum or 0) + random.randint(0, 12)
        return "".join(random.choices(string.ascii_letters + string.digits + "-_.", k=min(length, 200)))

    def _blob(self, member: Member | None) -> bytes:
        random = self.random
        if member is not None and member.name == "ZipFile":
            return random.choice(PACKAGES) if random.random() < 0.9 else random.choice(HOSTILE_PACKAGES)
        size = random.choice((0, 1, 10, 100)) if random.random() < 0.99 else 50_000
        return random.randbytes(size)


def in_body(shape: Shape, drawn: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a drawn structure that travel in a body, under their names on the wire."""
    return {
        member.wire_name: drawn[name]
        for name, member in shape.members.items()
        if name in drawn and member.location is Location.BODY
    }
