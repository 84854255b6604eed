"""What a test holds in its hands: the functions, queues and streams of a router."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventrouter.testing.runs import TestRun

if TYPE_CHECKING:
    from eventrouter.testing.router import Router


@dataclass(frozen=True, slots=True)
class FunctionError:
    """What a synchronous call got instead of a result: the function failed. The error object as Lambda answers it."""

    type: str
    message: str
    stack_trace: tuple[str, ...] = ()


class InvocationFailed(AssertionError):
    """A synchronous call found a function error. `error` says which."""

    def __init__(self, name: str, error: FunctionError) -> None:
        super().__init__(f"{name} failed with {error.type}: {error.message}\n{''.join(error.stack_trace)}")
        self.error = error


@dataclass(frozen=True, slots=True)
class TestFunction:
    """A function of a router."""

    __test__ = False
    name: str
    arn: str
    router: Router

    def invoke(self, payload: Any = None) -> Any:
        """Call it and return its result. Raises InvocationFailed if it fails, and botocore's ClientError if refused."""
        return self.router.invoke(self.name, payload)

    def send(self, payload: Any = None) -> str:
        """Send it an asynchronous event; return the request id."""
        return self.router.send(self.name, payload)

    @property
    def runs(self) -> list[TestRun]:
        """Its runs, in the order in which they began."""
        return self.router.runs.of(self.name)

    @property
    def attempts(self) -> int:
        """How often it has run: failed runs and repeated ones count, throttled tries do not."""
        return len(self.runs)

    @property
    def duplicates(self) -> int:
        """How many of its runs were of an event that had succeeded before, or whose run had been cut short."""
        return sum(run.is_duplicate for run in self.runs)

    @property
    def attempt_times(self) -> list[float]:
        """When its runs began, in virtual seconds after the first one: `[0, 60, 180]` of two retries."""
        return [round(run.began_s - self.runs[0].began_s, 6) for run in self.runs]

    @property
    def payloads(self) -> list[Any]:
        """The events of its runs."""
        return [run.event for run in self.runs]

    @property
    def results(self) -> list[Any]:
        """What the runs that succeeded returned."""
        return [run.result for run in self.runs if run.outcome == "succeeded"]

    @property
    def errors(self) -> list[str]:
        """The error types of the runs that failed, such as `"TimeoutError"` or `"Sandbox.Timedout"`."""
        return [run.error_type for run in self.runs if run.outcome in {"failed", "timed_out"}]


@dataclass(frozen=True, slots=True)
class TestQueue:
    """A queue of a router."""

    __test__ = False
    name: str
    arn: str
    url: str
    router: Router

    def send(self, *bodies: Any, **options: Any) -> list[str]:
        """Send messages; return their ids. A body that is no text is sent as JSON. `options` are SendMessage's."""
        client = self.router.client("sqs")
        return [
            client.send_message(QueueUrl=self.url, MessageBody=_text(body), **options)["MessageId"] for body in bodies
        ]

    def messages(self) -> list[Any]:
        """Return the bodies of all messages, hidden ones included, without receiving them; JSON is read."""
        return [_read(message["Body"]) for message in self.router.peek(self)]

    def empty(self) -> bool:
        """Say whether there is no message, visible or hidden."""
        return not self.router.peek(self)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that tells of an end without success.

    `attributes` are the message's own (RequestID, ErrorCode and ErrorMessage of Lambda's dead letters), `body` is the
    event or the record of the end; JSON is read.
    """

    id: str
    body: Any
    attributes: Mapping[str, str]

    @property
    def error_code(self) -> str | None:
        """The ErrorCode of a dead letter of Lambda's, such as `"200"`."""
        return self.attributes.get("ErrorCode")

    @property
    def error_message(self) -> str | None:
        """The ErrorMessage of a dead letter of Lambda's."""
        return self.attributes.get("ErrorMessage")

    @property
    def request_id(self) -> str | None:
        """The id of the event that ended: of a dead letter's attributes, or of the record that its body is."""
        context = self.body.get("requestContext") if isinstance(self.body, dict) else None
        told = context.get("requestId") if isinstance(context, dict) else None
        return self.attributes.get("RequestID") or told


@dataclass(frozen=True, slots=True)
class DeadLetterQueue(TestQueue):
    """A queue in which ends without success are told of."""

    __test__ = False

    def letters(self) -> list[DeadLetter]:
        """Return all messages, with their attributes, without receiving them."""
        return [
            DeadLetter(
                message["MessageId"],
                _read(message["Body"]),
                {name: each.get("StringValue", "") for name, each in message.get("MessageAttributes", {}).items()},
            )
            for message in self.router.peek(self)
        ]

    @property
    def error_codes(self) -> list[str | None]:
        """The ErrorCode of each message; None for one that has none."""
        return [letter.error_code for letter in self.letters()]


@dataclass(frozen=True, slots=True)
class TestStream:
    """A stream of a router."""

    __test__ = False
    name: str
    arn: str
    router: Router

    def put(self, *data: Any, key: str | None = None) -> list[str]:
        """Put records; return their sequence numbers. Data that is neither bytes nor text is put as JSON.

        Without a `key` each record has its own, so they spread over the shards.
        """
        return self.put_many((key or f"key-{self.router.next_number()}", each) for each in data)

    def put_many(
        self,
        records: Iterable[tuple[str, Any]] = (),
        *,
        keys: Iterable[object] | None = None,
        n: int | None = None,
    ) -> list[str]:
        """Put (partition key, data) records, in order; return their sequence numbers.

        With `keys`, put `n` records made up of `{"key": …, "n": …}`, their keys taken in turn; by default one each.
        """
        client, numbers = self.router.client("kinesis"), []
        if keys is not None:
            names = [str(key) for key in keys]
            made = range(len(names) if n is None else n)
            records = [(names[at % len(names)], {"key": names[at % len(names)], "n": at}) for at in made]
        entries = [{"PartitionKey": key, "Data": _bytes(data)} for key, data in records]
        for start in range(0, len(entries), 500):
            answer = client.put_records(StreamName=self.name, Records=entries[start : start + 500])
            if answer["FailedRecordCount"]:
                failed = next(record for record in answer["Records"] if "ErrorCode" in record)
                raise AssertionError(f"{self.name} refused a record: {failed['ErrorCode']}: {failed['ErrorMessage']}")
            numbers += [record["SequenceNumber"] for record in answer["Records"]]
        return numbers


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An HTTP response, read to its end. Header names are in lower case; of repeated ones the last."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode()

    def json(self) -> Any:
        """Return the body, read as JSON."""
        return json.loads(self.body)


def result_of(name: str, answer: Mapping[str, Any]) -> Any:
    """Return the result in an answer of Invoke. Raises InvocationFailed."""
    text = answer["Payload"].read()
    value = json.loads(text) if text else None
    if "FunctionError" in answer:
        fields = value if isinstance(value, dict) else {}
        error = FunctionError(
            fields.get("errorType", ""), fields.get("errorMessage", ""), tuple(fields.get("stackTrace", ()))
        )
        raise InvocationFailed(name, error)
    return value


def payload_of(value: Any) -> bytes:
    """Return a payload as JSON; bytes and None (`{}`) as they are meant."""
    if isinstance(value, bytes):
        return value
    return json.dumps({} if value is None else value).encode()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else _text(value).encode()


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
