"""The demo's chapter about queues: one parcel of a batch fails, is set aside, and is brought back."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from handlers.demo_stage import Narrator, client, wait_for

if TYPE_CHECKING:
    from pathlib import Path

QUEUE = "parcels"
DEAD = "parcels-dead"
PARCELS = 10
STUCK = 7
RECEIVES = 2
VISIBILITY_S = 1


@dataclass(frozen=True, slots=True)
class Batch:
    """One invocation, as the function noted it."""

    numbers: tuple[int, ...]
    failed: tuple[int, ...]
    received: int
    at: float

    @classmethod
    def of(cls, line: str) -> Batch:
        note = json.loads(line)
        return cls(tuple(note["numbers"]), tuple(note["failed"]), note["received"], note["at"])


class QueueChapter:
    """Tell the chapter: `tell_all` runs it on a node that template.yaml is deployed to."""

    def __init__(self, url: str, folder: Path, narrator: Narrator) -> None:
        self._tell = narrator
        self._url = url
        self._folder = folder
        self._lambda, self._sqs = (client(name, url) for name in ("lambda", "sqs"))

    def tell_all(self) -> None:
        self._tell.chapter(f"A queue: one parcel of {PARCELS} cannot be sent")
        self._serve("SE")
        address, arn = self._create_queues()
        message_id = self._send(address)
        self._create_mapping(arn)
        wait_for("the dead letter", lambda: self._depths() == {QUEUE: 0, DEAD: 1}, seconds=15)
        self._show_batches()
        self._show_dead_letter(message_id)
        self._redrive()

    def _serve(self, countries: str) -> None:
        (self._folder / "countries").write_text(countries)

    def _create_queues(self) -> tuple[str, str]:
        """Create the queue and its dead-letter queue; return the URL and the ARN of the former."""
        dead = self._arn(self._sqs.create_queue(QueueName=DEAD)["QueueUrl"])
        attributes = {
            "VisibilityTimeout": str(VISIBILITY_S),
            "RedrivePolicy": json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": RECEIVES}),
        }
        address = self._sqs.create_queue(QueueName=QUEUE, Attributes=attributes)["QueueUrl"]
        return address, self._arn(address)

    def _arn(self, address: str) -> str:
        asked = self._sqs.get_queue_attributes(QueueUrl=address, AttributeNames=["QueueArn"])
        return str(asked["Attributes"]["QueueArn"])

    def _send(self, address: str) -> str:
        """Send all parcels in one call; return the id of the message with the one that gets stuck."""
        entries = [
            {
                "Id": str(number),
                "MessageBody": json.dumps(
                    {"number": number, "country": "NO" if number == STUCK else "SE", "folder": str(self._folder)}
                ),
            }
            for number in range(1, PARCELS + 1)
        ]
        sent = self._sqs.send_message_batch(QueueUrl=address, Entries=entries)["Successful"]
        return next(str(each["MessageId"]) for each in sent if each["Id"] == str(STUCK))

    def _create_mapping(self, arn: str) -> None:
        settings: dict[str, Any] = {"BatchSize": PARCELS, "FunctionResponseTypes": ["ReportBatchItemFailures"]}
        self._lambda.create_event_source_mapping(EventSourceArn=arn, FunctionName=QUEUE, **settings)
        self._tell.say(
            f"{PARCELS} parcels wait; nobody sends to the country of parcel {STUCK}. The queue and its mapping have"
        )
        shown = {"VisibilityTimeout": f"{VISIBILITY_S} s", "maxReceiveCount": RECEIVES, **settings}
        for name, value in shown.items():
            self._tell.show(f"{name:22}  {', '.join(value) if isinstance(value, list) else value}")

    def _show_batches(self) -> None:
        tell = self._tell
        tell.say("the batches that the function noted:")
        batches = self._batches()
        for batch in batches:
            tell.show(self._line(batch, batches[0].at))
        first, *later = batches
        is_partial = sorted(first.numbers) == list(range(1, PARCELS + 1)) and first.failed == (STUCK,)
        only_it = all(batch.numbers == batch.failed == (STUCK,) for batch in later)
        tell.promise(f"the function named parcel {STUCK}; the others were done with that", holds=is_partial and only_it)
        times = [batch.at for batch in batches]
        waits = [after - before for before, after in pairwise(times)]
        in_time = len(batches) == RECEIVES and all(VISIBILITY_S - 0.1 <= wait < VISIBILITY_S + 1 for wait in waits)
        tell.promise(
            f"it was hidden for {VISIBILITY_S} s, came back alone, and was received {RECEIVES} times", holds=in_time
        )

    def _show_dead_letter(self, message_id: str) -> None:
        tell = self._tell
        tell.say(f"then it was moved; eventrouter queues peek {DEAD}")
        tell.show(self._cli("peek", DEAD))
        (letter,) = json.loads(self._cli("peek", DEAD, "--json"))
        is_same = letter["MessageId"] == message_id and json.loads(letter["Body"])["number"] == STUCK
        tell.promise("the dead-letter queue has the message, with its id and its body", holds=is_same)

    def _redrive(self) -> None:
        tell = self._tell
        self._serve("SE NO")
        tell.say(f"the country is served now; eventrouter queues redrive {DEAD}")
        before = len(self._batches())
        tell.show(self._cli("redrive", DEAD, "--quiet"))
        wait_for("the parcel", lambda: len(self._batches()) > before, seconds=10)
        last = self._batches()[-1]
        tell.show(self._line(last, self._batches()[0].at))
        wait_for("its deletion", lambda: not any(self._depths().values()), seconds=10)
        tell.promise(
            "it went back to where it came from and was sent; both queues are empty",
            holds=(last.numbers, last.failed) == ((STUCK,), ()),
        )

    def _line(self, batch: Batch, began: float) -> str:
        failed = f"failed {', '.join(map(str, batch.failed))}" if batch.failed else "well"
        numbers = ", ".join(map(str, sorted(batch.numbers)))
        return f"+{batch.at - began:.1f} s  received {batch.received}x  {numbers:29}  {failed}"

    def _cli(self, *arguments: str) -> str:
        """Run a command of `eventrouter queues` against the node, and return what it printed."""
        command = [sys.executable, "-m", "eventrouter", "queues", *arguments, "--url", self._url]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=15).stdout

    def _depths(self) -> dict[str, int]:
        """Return how many messages each queue holds, those in flight included."""
        return {queue: self._depth(queue) for queue in (QUEUE, DEAD)}

    def _depth(self, queue: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        address = self._sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        found = self._sqs.get_queue_attributes(QueueUrl=address, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def _batches(self) -> list[Batch]:
        """Return every complete note, in the order of time."""
        notes = self._folder / "parcels"
        text = notes.read_text() if notes.exists() else ""
        lines = text[: text.rfind("\n") + 1].splitlines()
        return sorted((Batch.of(line) for line in lines), key=lambda each: each.at)
