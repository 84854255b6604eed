"""One seed, one history: `python -m bench.determinism [RUNS] [--workers N]` runs one scenario so often and compares.

Every history, with everything else that a test can see, must be the same to the byte: in this process and in others,
whose hashing of strings differs.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from eventrouter.testing import Router

if TYPE_CHECKING:
    from collections.abc import Sequence

SEED = 5
PLAN = {
    "functions": {"work": {"throttle": 0.2, "latency": [0, 1], "crash_every": 7}},
    "mishaps": [
        {"at": 2, "do": "drop_reply", "n": 2},
        {"at": 3, "do": "kill_node", "seconds": 2},
        {"at": 8, "do": "redis_outage", "seconds": 4},
        {"at": 20, "do": "late_reply", "n": 1, "seconds": 1},
    ],
}


def scenario(seed: int) -> str:
    """Run events, queues, a stream and a schedule through faults; return all that can be seen of them."""
    seen: list[object] = []

    def work(event: Any, context: Any) -> dict[str, Any]:
        records = event.get("Records", [])
        names = [each.get("messageId", each.get("eventID")) for each in records]
        seen.append((router.elapsed, context.aws_request_id, names))
        if any("poison" in str(each.get("body", "")) for each in records):
            raise ValueError("poison")
        return {}

    with Router(seed=seed) as router:
        router.queue("dead")
        function = router.function(work, dlq="dead", fail=[TimeoutError, "timeout", "exit"])
        jobs = router.queue("jobs", to=function, batch_size=3, dlq="dead", max_receives=2)
        groups = router.queue("groups.fifo", to=function, visibility=20, content_based_deduplication=True)
        stream = router.stream("clicks", to=function, shards=2, retries=3, bisect=True, on_failure="dead", window=5)
        router.schedule("rate(1 minute)", to=function)
        router.apply(PLAN)
        for number in range(2):
            seen.append(function.send({"n": number}))
            seen.extend(jobs.send(number, "poison" if number == 1 else "fine"))
            seen.extend(groups.send(number, MessageGroupId=f"g{number % 2}"))
            seen.extend(stream.put({"n": number}, key=str(number)))
            router.advance(1)
        router.advance(30)
        router.run_until_idle()
        router.assert_no_overlap()
        return f"{router.history().text}\n{seen}\n{router.dlq('dead').letters()}"


def digests(runs: int) -> dict[str, int]:
    """Run the scenario so often; return how often each history came, by its digest."""
    found: dict[str, int] = {}
    with contextlib.redirect_stderr(io.StringIO()):  # what nodes log of outages
        for _ in range(runs):
            digest = hashlib.sha256(scenario(SEED).encode()).hexdigest()
            found[digest] = found.get(digest, 0) + 1
    return found


def in_workers(runs: int, workers: int) -> dict[str, int]:
    """Share the runs among processes, each of which hashes strings in its own way; return what `digests` does."""
    shares = [runs // workers + (number < runs % workers) for number in range(workers)]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "bench.determinism", str(share), "--worker"],
            env={**os.environ, "PYTHONHASHSEED": str(number + 1)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for number, share in enumerate(shares)
    ]
    found: dict[str, int] = {}
    for worker in started:
        told, _ = worker.communicate()
        if worker.returncode:
            raise RuntimeError(f"a worker ended with {worker.returncode}")
        for line in told.splitlines():
            digest, _, count = line.partition(" ")
            found[digest] = found.get(digest, 0) + int(count)
    return found


def main(arguments: Sequence[str]) -> int:
    """Compare, and say how many histories there were."""
    parser = argparse.ArgumentParser(prog="python -m bench.determinism", description=__doc__)
    parser.add_argument("runs", nargs="?", type=int, default=1_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        for digest, count in digests(options.runs).items():
            print(digest, count)
        return 0
    began = time.monotonic()
    found = in_workers(options.runs, options.workers)
    lasted_s = time.monotonic() - began
    print(
        f"{options.runs} runs of seed {SEED} in {options.workers} processes, {lasted_s:.0f} s: {len(found)} histories"
    )
    for digest, count in found.items():
        print(f"  {digest}  {count}")
    return 0 if len(found) == 1 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
