"""A partial batch response, by Powertools: what failed comes back alone, and what was sent is not sent again."""

from __future__ import annotations

import json

import pytest


@pytest.mark.eventrouter(template="serverless.yml")
def test_only_what_bounced_comes_back(eventrouter):
    sqs = eventrouter.client("sqs")
    url = sqs.get_queue_url(QueueName="reminders")["QueueUrl"]
    to = [f"{name}@{'nowhere' if name == 'cleo' else 'home'}.test" for name in ("ann", "bob", "cleo", "dan", "eve")]
    sqs.send_message_batch(
        QueueUrl=url,
        Entries=[{"Id": str(at), "MessageBody": json.dumps({"to": address})} for at, address in enumerate(to)],
    )
    eventrouter.run_until_idle()

    runs = list(eventrouter.runs)
    handed = sorted(json.loads(record["body"])["to"] for run in runs for record in run.records)
    assert handed == sorted([*to, "cleo@nowhere.test", "cleo@nowhere.test"])
    assert {run.outcome for run in runs} == {"succeeded", "failed"}
    again = [round(run.began_s - runs[0].began_s) for run in runs if "cleo" in run.payload.decode()]
    assert again == [0, 60, 120], "each time when the visibility timeout has passed"
    assert [letter.body for letter in eventrouter.dlq("undeliverable").letters()] == [{"to": "cleo@nowhere.test"}]
    eventrouter.assert_no_loss()
