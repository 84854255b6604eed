"""One seed, one history: the same scenario gives the same decisions, at the same times, about the same ids."""

from __future__ import annotations

from typing import Any

import pytest

from eventrouter.testing import Router

pytestmark = pytest.mark.integration


def _scenario(seed: int) -> str:
    """Run all kinds of things with all kinds of faults; return all that can be seen of them."""
    seen: list[object] = []

    def work(event: Any, context: Any) -> int:
        records = event.get("Records", [])
        names = [record.get("receiptHandle") or record.get("eventID") for record in records]
        seen.append((router.elapsed, context.aws_request_id, names))
        return len(records)

    with Router(seed=seed) as router:
        router.queue("dead")
        function = router.function(work, dlq="dead", fail=[TimeoutError, "timeout", "exit"])
        standard, fifo = router.queue("jobs", to=function, batch_size=3), router.queue("jobs.fifo", to=function)
        stream = router.stream("clicks", to=function, shards=3)
        router.schedule("rate(5 minutes)", to=function)
        router.faults(function).throttle(0.3).latency((0, 2)).crash_mid_batch(every=5)
        router.apply(
            {
                "mishaps": [
                    {"at": 3, "do": "drop_reply", "n": 3},
                    {"at": 20, "do": "kill_node", "seconds": 4},
                    {"at": 50, "do": "redis_outage", "seconds": 20},
                    {"at": 90, "do": "late_reply", "n": 2, "seconds": 1},
                ]
            }
        )
        for number in range(8):
            seen.append(function.send({"n": number}))
            seen.extend(standard.send(number))
            seen.extend(fifo.send(number, MessageGroupId=f"g{number % 2}", MessageDeduplicationId=str(number)))
            seen.extend(stream.put({"n": number}))
            router.advance(1)
        router.advance(400)
        seen.append(router.client("apigatewayv2").create_api(Name="shop", ProtocolType="HTTP")["ApiId"])
        seen.append([each["UUID"] for each in _mappings(router)])
        router.run_until_idle()
        router.assert_no_overlap()
        router.assert_order("messageGroupId")
        return f"{router.history().text}\n{seen}"


def _mappings(router: Router) -> list[Any]:
    found: list[Any] = router.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    return found


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_same_seed_gives_the_same_history_to_the_byte(seed: int) -> None:
    assert _scenario(seed) == _scenario(seed)


def test_another_seed_gives_another_history() -> None:
    assert _scenario(3) != _scenario(4)
