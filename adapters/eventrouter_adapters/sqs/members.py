"""What becomes of every input member of every operation of SQS that is served: applied, without effect, or refused."""

from __future__ import annotations

from eventrouter.api.registry import Applied, Entry, NotApplicable, Refused

_OPERATIONS = "tests/adapters/test_sqs_operations.py::"
_MESSAGES = "tests/adapters/test_sqs_messages.py::"
_ATTRIBUTES = "tests/adapters/test_sqs_attributes.py::"
_BATCHES = "tests/adapters/test_sqs_batches.py::"
_FIFO = "tests/adapters/test_sqs_fifo.py::"
_MOVES = "tests/adapters/test_sqs_moves.py::"
_PERMISSIONS = "tests/adapters/test_sqs_permissions.py::"
_REDRIVE = "tests/adapters/test_sqs_redrive.py::"
_TAGS = "tests/adapters/test_sqs_tags.py::"
_VISIBILITY = "tests/adapters/test_sqs_visibility.py::"

_QUEUE_URL = Applied(_OPERATIONS + "test_a_queue_is_reached_by_every_shape_of_its_url")
_USER_ATTRIBUTES = Applied(_OPERATIONS + "test_message_attributes_come_back_as_far_as_they_are_asked_for")
_TRACE_HEADER = Applied(_OPERATIONS + "test_the_trace_header_travels_as_a_system_attribute")
_SYSTEM_ATTRIBUTES = Applied(_OPERATIONS + "test_system_attributes_come_back_only_when_asked_for")
_LISTS = Refused(
    "AWS refuses values that are lists too",
    "Message attribute list values in SendMessage operation are not supported.",
)
_PAGES = Applied(_OPERATIONS + "test_queues_are_listed_by_prefix_and_in_pages")
_SOURCE_PAGES = Applied(_REDRIVE + "test_the_sources_of_a_dead_letter_queue_are_listed_in_pages")
_TAGGED = Applied(_TAGS + "test_tags_are_added_changed_and_removed")
_PERMISSION = Applied(_PERMISSIONS + "test_permissions_are_statements_of_the_policy")
_BATCH_ID = Applied(_BATCHES + "test_what_is_wrong_with_a_batch_as_a_whole_is_refused")
_MOVE_STARTED = Applied(_MOVES + "test_a_task_is_started_listed_and_cancelled")

_MESSAGE: dict[str, Entry] = {
    "MessageBody": Applied(_OPERATIONS + "test_a_sent_message_is_received_with_its_digests"),
    "DelaySeconds": Applied(_OPERATIONS + "test_a_delayed_message_is_received_when_its_delay_is_over"),
    "MessageAttributes{}.StringValue": _USER_ATTRIBUTES,
    "MessageAttributes{}.BinaryValue": _USER_ATTRIBUTES,
    "MessageAttributes{}.StringListValues": _LISTS,
    "MessageAttributes{}.BinaryListValues": _LISTS,
    "MessageAttributes{}.DataType": Applied(_MESSAGES + "test_a_wrong_attribute_is_refused_with_its_reason"),
    "MessageSystemAttributes{}.StringValue": _TRACE_HEADER,
    "MessageSystemAttributes{}.BinaryValue": NotApplicable("the one system attribute, AWSTraceHeader, is a String"),
    "MessageSystemAttributes{}.StringListValues": _LISTS,
    "MessageSystemAttributes{}.BinaryListValues": _LISTS,
    "MessageSystemAttributes{}.DataType": _TRACE_HEADER,
    "MessageDeduplicationId": Applied(_FIFO + "test_a_deduplication_id_stores_one_message"),
    "MessageGroupId": Applied(_FIFO + "test_groups_are_received_in_order_and_one_at_a_time"),
}

MEMBERS: dict[str, dict[str, Entry]] = {
    "AddPermission": {
        "QueueUrl": _QUEUE_URL,
        "Label": _PERMISSION,
        "AWSAccountIds": _PERMISSION,
        "Actions": _PERMISSION,
    },
    "CancelMessageMoveTask": {"TaskHandle": _MOVE_STARTED},
    "ChangeMessageVisibility": {
        "QueueUrl": _QUEUE_URL,
        "ReceiptHandle": Applied(_VISIBILITY + "test_a_changed_visibility_counts_from_now"),
        "VisibilityTimeout": Applied(_VISIBILITY + "test_a_changed_visibility_counts_from_now"),
    },
    "ChangeMessageVisibilityBatch": {
        "QueueUrl": _QUEUE_URL,
        "Entries[].Id": _BATCH_ID,
        "Entries[].ReceiptHandle": Applied(_BATCHES + "test_visibility_is_changed_entry_by_entry"),
        "Entries[].VisibilityTimeout": Applied(_BATCHES + "test_visibility_is_changed_entry_by_entry"),
    },
    "CreateQueue": {
        "QueueName": Applied(_OPERATIONS + "test_a_new_queue_gets_a_url_and_the_default_attributes"),
        "Attributes": Applied(_OPERATIONS + "test_given_attributes_are_applied_and_wrong_ones_are_refused_by_name"),
        "tags": Applied(_TAGS + "test_a_queue_is_created_with_tags"),
    },
    "DeleteMessage": {
        "QueueUrl": _QUEUE_URL,
        "ReceiptHandle": Applied(_OPERATIONS + "test_a_deleted_message_does_not_come_back"),
    },
    "DeleteMessageBatch": {
        "QueueUrl": _QUEUE_URL,
        "Entries[].Id": _BATCH_ID,
        "Entries[].ReceiptHandle": Applied(_BATCHES + "test_messages_are_deleted_entry_by_entry"),
    },
    "DeleteQueue": {"QueueUrl": _QUEUE_URL},
    "GetQueueAttributes": {
        "QueueUrl": _QUEUE_URL,
        "AttributeNames": Applied(_OPERATIONS + "test_only_the_attributes_asked_for_are_answered"),
    },
    "GetQueueUrl": {
        "QueueName": Applied(_OPERATIONS + "test_a_queue_url_is_found_by_name"),
        "QueueOwnerAWSAccountId": Applied(_OPERATIONS + "test_queues_of_another_account_or_region_do_not_exist"),
    },
    "ListDeadLetterSourceQueues": {
        "QueueUrl": _QUEUE_URL,
        "NextToken": _SOURCE_PAGES,
        "MaxResults": _SOURCE_PAGES,
    },
    "ListMessageMoveTasks": {"SourceArn": _MOVE_STARTED, "MaxResults": _MOVE_STARTED},
    "ListQueueTags": {"QueueUrl": _QUEUE_URL},
    "ListQueues": {"QueueNamePrefix": _PAGES, "NextToken": _PAGES, "MaxResults": _PAGES},
    "PurgeQueue": {"QueueUrl": _QUEUE_URL},
    "ReceiveMessage": {
        "QueueUrl": _QUEUE_URL,
        "AttributeNames": _SYSTEM_ATTRIBUTES,
        "MessageSystemAttributeNames": _SYSTEM_ATTRIBUTES,
        "MessageAttributeNames": _USER_ATTRIBUTES,
        "MaxNumberOfMessages": Applied(_OPERATIONS + "test_a_receive_takes_no_more_than_it_asks_for"),
        "VisibilityTimeout": Applied(_OPERATIONS + "test_a_message_hides_for_the_visibility_timeout_of_its_receive"),
        "WaitTimeSeconds": Applied(_OPERATIONS + "test_a_long_poll_returns_as_soon_as_a_message_is_sent"),
        "ReceiveRequestAttemptId": Applied(_FIFO + "test_a_receive_is_repeated_by_its_attempt_id"),
    },
    "RemovePermission": {"QueueUrl": _QUEUE_URL, "Label": _PERMISSION},
    "SendMessage": {"QueueUrl": _QUEUE_URL, **_MESSAGE},
    "SendMessageBatch": {
        "QueueUrl": _QUEUE_URL,
        "Entries[].Id": _BATCH_ID,
        **{f"Entries[].{path}": entry for path, entry in _MESSAGE.items()},
    },
    "SetQueueAttributes": {
        "QueueUrl": _QUEUE_URL,
        "Attributes": Applied(_ATTRIBUTES + "test_attributes_are_changed_and_the_others_stay"),
    },
    "StartMessageMoveTask": {
        "SourceArn": _MOVE_STARTED,
        "DestinationArn": _MOVE_STARTED,
        "MaxNumberOfMessagesPerSecond": _MOVE_STARTED,
    },
    "TagQueue": {"QueueUrl": _QUEUE_URL, "Tags": _TAGGED},
    "UntagQueue": {"QueueUrl": _QUEUE_URL, "TagKeys": _TAGGED},
}
