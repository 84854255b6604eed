"""A poison record in a stream of orders: it is found by halving, told of, and the others keep their order."""

from __future__ import annotations

import base64
import json

import pytest

CHANGES = [
    ("A", "placed"),
    ("B", "placed"),
    ("A", "paid"),
    ("C", "placed"),
    ("B", "paid"),
    ("A", "sent"),
    ("C", "void"),
]


@pytest.mark.eventrouter(template="template.yaml")
def test_one_poison_record_is_told_of_and_the_others_keep_their_order(eventrouter):
    records = [{"order": order, "state": state} for order, state in CHANGES]
    records.insert(3, {"order": "B"})
    put(eventrouter, records)
    eventrouter.run_until_idle()

    batches = [len(run.records) for run in eventrouter.runs]
    assert batches == [8, 4, 2, 2, 1, 1, 1, 1, 4]
    assert seen(eventrouter) == CHANGES
    (told,) = eventrouter.dlq("unreadable").letters()
    assert told.body["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert told.body["KinesisBatchInfo"]["batchSize"] == 1
    eventrouter.assert_order(by="partitionKey")
    eventrouter.assert_no_overlap()
    eventrouter.assert_no_loss()


@pytest.mark.eventrouter(template="template.yaml")
def test_halving_costs_no_time_and_only_the_poison_record_waits(eventrouter):
    put(eventrouter, [{"order": "A", "state": "placed"}, {"order": "B"}])
    eventrouter.run_until_idle()

    began = [round(run.began_s - eventrouter.history().of("batch_formed")[0].at) for run in eventrouter.runs]
    assert began == [0, 0, 0, 1, 3]  # both, the first half, the second half and its two retries after 1 s and 2 s


def put(router, records):
    router.client("kinesis").put_records(
        StreamName="orders",
        Records=[{"Data": json.dumps(record).encode(), "PartitionKey": record["order"]} for record in records],
    )


def seen(router):
    """What the projection has taken in, in order: from the runs that succeeded."""
    done = [run for run in router.runs if run.outcome == "succeeded"]
    data = [json.loads(base64.b64decode(each["kinesis"]["data"])) for run in done for each in run.records]
    return [(each["order"], each["state"]) for each in data]
