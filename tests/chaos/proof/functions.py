"""The functions of a chaos run. Each notes the start and the end of each of its runs as its first and last statement.

`HISTORY` is the file that they append to, one write a line. `home` is the process that forked the environment: one per
node. `VERSION` is put in front of the source by who deploys it.
"""

from __future__ import annotations

_NOTING = """
import json, os, time

FILE = os.open(os.environ["HISTORY"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
WHO = {"pid": os.getpid(), "home": os.getppid(), "v": VERSION}

def note(what, fields):
    line = json.dumps({"what": what, "t": time.monotonic_ns(), **fields}, separators=(",", ":"))
    os.write(FILE, line.encode() + b"\\n")

def tries(name):
    \"\"\"Count this try of something that is told to fail so many times.\"\"\"
    file = os.open(os.path.join(os.environ["MARKS"], name), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(file, b".")
    count = os.fstat(file).st_size
    os.close(file)
    return count
"""

EVENTS = """
def handler(event, context):
    op, token = event["op"], os.urandom(6).hex()
    run = {"plane": event["plane"], "n": 1, "op": op, "id": context.aws_request_id, "token": token}
    note("start", {**run, **WHO})
    if event["seconds"]:
        time.sleep(event["seconds"])
    if event.get("errors", 0) and tries(op) <= event["errors"]:
        note("end", {"token": token, "outcome": "error"})
        raise RuntimeError("told to fail")
    note("end", {"token": token, "outcome": "ok"})
    return {"op": op}
"""
"""Runs events and synchronous calls: `seconds` long, failing the first `errors` times; answers the op that it was
sent."""

FIRINGS = """
def handler(event, context):
    run = {"plane": "schedule", "rule": event["resources"][0].rpartition("/")[2], "due": event["time"]}
    token = os.urandom(6).hex()
    note("start", {**run, "id": context.aws_request_id, "token": token, **WHO})
    note("end", {"token": token, "outcome": "ok"})
"""

RECORDS = """
import base64

def handler(event, context):
    records, seconds, errors = [], 0, 0
    for record in event["Records"]:
        kinesis = record["kinesis"]
        value = json.loads(base64.b64decode(kinesis["data"]))
        seconds = max(seconds, value.get("s", 0))
        if value.get("e", 0) and tries(value["id"]) <= value["e"]:
            errors += 1
        shard = record["eventID"].partition(":")[0]
        records.append([value["id"], shard, kinesis["sequenceNumber"], kinesis["partitionKey"]])
    token = os.urandom(6).hex()
    note("start", {"plane": "stream", "feed": FEED, "n": len(records), "token": token, "records": records, **WHO})
    if seconds:
        time.sleep(seconds)
    note("end", {"token": token, "outcome": "error" if errors else "ok"})
    if errors:
        raise RuntimeError("told to fail")
"""

MESSAGES = """
def handler(event, context):
    records, values = [], []
    for record in event["Records"]:
        attributes = record["attributes"]
        value = json.loads(record["body"])
        group, sequence = attributes.get("MessageGroupId", ""), int(attributes.get("SequenceNumber", 0))
        count = int(attributes["ApproximateReceiveCount"])
        values.append((value, group, count, record["messageId"]))
        records.append([value["id"], record["messageId"], group, sequence, count])
    token = os.urandom(6).hex()
    note("start", {"plane": "queue", "feed": FEED, "n": len(records), "token": token, "records": records, **WHO})
    seconds = max(value.get("s", 0) for value, *_ in values)
    if seconds:
        time.sleep(seconds)
    failed, broken = [], set()
    for value, group, count, identifier in values:
        if count <= value.get("e", 0) or group in broken:
            failed.append((value["id"], identifier))
            broken |= {group} - {""}
    note("end", {"token": token, "outcome": "ok", "failed": [identity for identity, _ in failed]})
    return {"batchItemFailures": [{"itemIdentifier": identifier} for _, identifier in failed]}
"""
"""Reports the messages that are told to fail; in a FIFO queue also what stands behind them in their groups."""


def source(body: str, *, version: int = 1, feed: str = "") -> str:
    """Return a function's code; `feed` is the name under which it notes what it reads."""
    return f"VERSION, FEED = {version}, {feed!r}\n{_NOTING}{body}"
