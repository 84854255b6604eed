"""A FIFO queue in which one group fails: it blocks itself until its message is dead-lettered, and nobody else."""

from __future__ import annotations

import json
from pathlib import Path

APP = Path(__file__).parent / "app.py"


def test_a_failing_article_blocks_only_itself(eventrouter):
    eventrouter.template(APP)
    move(eventrouter, "pens", 10)
    move(eventrouter, "mugs", -1)  # cannot be
    move(eventrouter, "mugs", 5)
    move(eventrouter, "pens", -4)
    eventrouter.run_until_idle()

    assert done(eventrouter) == {"pens": [(0, 10), (0, -4)], "mugs": [(90, 5)]}
    assert [letter.body for letter in eventrouter.dlq("stuck.fifo").letters()] == [{"article": "mugs", "pieces": -1}]
    eventrouter.assert_order(by="messageGroupId")
    eventrouter.assert_no_overlap()
    eventrouter.assert_no_loss()


def move(router, article, pieces):
    sqs = router.client("sqs")
    sqs.send_message(
        QueueUrl=sqs.get_queue_url(QueueName="movements.fifo")["QueueUrl"],
        MessageBody=json.dumps({"article": article, "pieces": pieces}),
        MessageGroupId=article,
        MessageDeduplicationId=str(router.next_number()),
    )


def done(router):
    """Movements by article, with the second in which they were made."""
    made = {}
    for run in router.runs:
        for record in run.records if run.outcome == "succeeded" else ():
            movement = json.loads(record["body"])
            made.setdefault(movement["article"], []).append((int(run.began_s), movement["pieces"]))
    return made
