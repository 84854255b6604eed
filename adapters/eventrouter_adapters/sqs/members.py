"""What becomes of every input member of every operation of SQS that is served: applied, without effect, or refused."""

from __future__ import annotations

from eventrouter.api.registry import Applied, Entry, NotApplicable, Refused

_OPERATIONS = "tests/adapters/test_sqs_operations.py::"
_MESSAGES = "tests/adapters/test_sqs_messages.py::"

_QUEUE_URL = Applied(_OPERATIONS + "test_a_queue_is_reached_by_every_shape_of_its_url")
_USER_ATTRIBUTES = Applied(_OPERATIONS + "test_message_attributes_come_back_as_far_as_they_are_asked_for")
_TRACE_HEADER = Applied(_OPERATIONS + "test_the_trace_header_travels_as_a_system_attribute")
_LISTS = Refused("AWS refuses values that are lists too")

MEMBERS: dict[str, dict[str, Entry]] = {
    "CreateQueue": {
        "QueueName": Applied(_OPERATIONS + "test_a_new_queue_gets_a_url_and_the_default_attributes"),
        "Attributes": Applied(_OPERATIONS + "test_given_attributes_are_applied_and_unserved_ones_are_refused_by_name"),
        "tags": Refused("queues have no tags yet"),
    },
    "DeleteMessage": {
        "QueueUrl": _QUEUE_URL,
        "ReceiptHandle": Applied(_OPERATIONS + "test_a_deleted_message_does_not_come_back"),
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
    "ListQueues": {
        "QueueNamePrefix": Applied(_OPERATIONS + "test_queues_are_listed_by_prefix_and_in_pages"),
        "NextToken": Applied(_OPERATIONS + "test_queues_are_listed_by_prefix_and_in_pages"),
        "MaxResults": Applied(_OPERATIONS + "test_queues_are_listed_by_prefix_and_in_pages"),
    },
    "PurgeQueue": {"QueueUrl": _QUEUE_URL},
    "ReceiveMessage": {
        "QueueUrl": _QUEUE_URL,
        "AttributeNames": Applied(_OPERATIONS + "test_system_attributes_come_back_only_when_asked_for"),
        "MessageSystemAttributeNames": Applied(_OPERATIONS + "test_system_attributes_come_back_only_when_asked_for"),
        "MessageAttributeNames": _USER_ATTRIBUTES,
        "MaxNumberOfMessages": Applied(_OPERATIONS + "test_a_receive_takes_no_more_than_it_asks_for"),
        "VisibilityTimeout": Applied(_OPERATIONS + "test_a_message_hides_for_the_visibility_timeout_of_its_receive"),
        "WaitTimeSeconds": Applied(_OPERATIONS + "test_a_long_poll_returns_as_soon_as_a_message_is_sent"),
        "ReceiveRequestAttemptId": Refused("AWS refuses it for standard queues too"),
    },
    "SendMessage": {
        "QueueUrl": _QUEUE_URL,
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
        "MessageDeduplicationId": Refused("AWS refuses it for standard queues too"),
        "MessageGroupId": Applied(_OPERATIONS + "test_a_message_group_id_comes_back_as_a_system_attribute"),
    },
}
