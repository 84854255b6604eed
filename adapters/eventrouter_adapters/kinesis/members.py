"""What becomes of every input member of every operation of Kinesis that is served."""

from __future__ import annotations

from eventrouter.api.registry import Applied, Entry, NotApplicable, Refused

_STREAMS = "tests/adapters/test_kinesis_streams.py::"
_RECORDS = "tests/adapters/test_kinesis_records.py::"
_READING = "tests/adapters/test_kinesis_reading.py::"
_SHARDS = "tests/adapters/test_kinesis_shards.py::"
_CONSUMERS = "tests/adapters/test_kinesis_consumers.py::"

_NAMED: dict[str, Entry] = {
    "StreamName": Applied(_STREAMS + "test_a_stream_is_named_by_name_by_arn_or_by_both"),
    "StreamARN": Applied(_STREAMS + "test_a_stream_is_named_by_name_by_arn_or_by_both"),
    "StreamId": NotApplicable("reserved: AWS does nothing with it either"),
}
_BY_ARN = {name: entry for name, entry in _NAMED.items() if name != "StreamName"}
_BY_RESOURCE: dict[str, Entry] = {
    "ResourceARN": Applied(_STREAMS + "test_a_stream_is_tagged_by_its_arn"),
    "StreamId": _NAMED["StreamId"],
}
_BY_CONSUMER: dict[str, Entry] = {
    **_BY_ARN,
    "ConsumerName": Applied(_CONSUMERS + "test_a_consumer_is_named_by_its_arn_or_by_its_stream_and_name"),
    "ConsumerARN": Applied(_CONSUMERS + "test_a_consumer_is_named_by_its_arn_or_by_its_stream_and_name"),
}
_DRY_RUN = Applied(_READING + "test_a_dry_run_checks_the_request_and_does_nothing")
_TAGS = Applied(_STREAMS + "test_a_stream_is_tagged_by_its_name")
_THROUGHPUT = Refused("capacity is not reserved", "WarmThroughputMiBps is not supported.")
_RETENTION = Applied(_STREAMS + "test_retention_is_changed_in_the_direction_that_the_operation_says")
_STREAM_PAGES = Applied(_STREAMS + "test_streams_are_listed_by_name_in_pages")
_SHARD_PAGES = Applied(_SHARDS + "test_shards_are_listed_in_pages")
_FILTER = Applied(_SHARDS + "test_shards_are_listed_as_they_were_at_a_time")
_CREATION = Applied(_SHARDS + "test_a_stream_created_at_another_time_is_not_found")
_CONSUMER_PAGES = Applied(_CONSUMERS + "test_consumers_are_listed_by_name_in_pages")
_MODE = Applied(_STREAMS + "test_the_mode_of_a_stream_is_changed")
_RECORD_SIZE = Applied(_RECORDS + "test_a_record_is_as_large_as_its_stream_allows")
_PUT = Applied(_RECORDS + "test_a_record_is_stored_in_the_shard_of_its_partition_key")
_HASH_KEY = Applied(_RECORDS + "test_an_explicit_hash_key_replaces_the_hash")
_START = Applied(_READING + "test_every_iterator_type_begins_where_it_says")
_SUBSCRIBE = Applied(_CONSUMERS + "test_a_subscription_pushes_records_from_where_it_is_told_to")
_SPLIT = Applied(_SHARDS + "test_a_split_shard_goes_on_in_two_children")
_MERGE = Applied(_SHARDS + "test_merged_shards_go_on_in_one_child")
_COUNT = Applied(_SHARDS + "test_a_stream_is_given_another_number_of_even_shards")

MEMBERS: dict[str, dict[str, Entry]] = {
    "AddTagsToStream": {**_NAMED, "Tags": _TAGS},
    "CreateStream": {
        "StreamName": Applied(_STREAMS + "test_a_new_stream_is_active_with_even_shards"),
        "ShardCount": Applied(_STREAMS + "test_a_new_stream_is_active_with_even_shards"),
        "StreamModeDetails.StreamMode": Applied(_STREAMS + "test_a_stream_without_a_shard_count_is_on_demand"),
        "Tags": _TAGS,
        "WarmThroughputMiBps": _THROUGHPUT,
        "MaxRecordSizeInKiB": _RECORD_SIZE,
        "RecordDistributionStrategy": Applied(_STREAMS + "test_records_are_distributed_by_partition_key_only"),
    },
    "DecreaseStreamRetentionPeriod": {**_NAMED, "RetentionPeriodHours": _RETENTION},
    "DeleteStream": {
        **_NAMED,
        "EnforceConsumerDeletion": Applied(_CONSUMERS + "test_a_stream_with_consumers_is_deleted_only_by_force"),
    },
    "DeregisterStreamConsumer": _BY_CONSUMER,
    "DescribeStream": {
        **_NAMED,
        "Limit": Applied(_STREAMS + "test_the_shards_of_a_stream_are_described_in_pages"),
        "ExclusiveStartShardId": Applied(_STREAMS + "test_the_shards_of_a_stream_are_described_in_pages"),
    },
    "DescribeStreamConsumer": _BY_CONSUMER,
    "DescribeStreamSummary": _NAMED,
    "GetRecords": {
        **_BY_ARN,
        "ShardIterator": _START,
        "Limit": Applied(_READING + "test_records_come_in_order_and_no_more_than_asked_for"),
        "DryRun": _DRY_RUN,
    },
    "GetShardIterator": {
        **_NAMED,
        "ShardId": _START,
        "ShardIteratorType": _START,
        "StartingSequenceNumber": _START,
        "Timestamp": _START,
        "DryRun": _DRY_RUN,
    },
    "IncreaseStreamRetentionPeriod": {**_NAMED, "RetentionPeriodHours": _RETENTION},
    "ListShards": {
        **_NAMED,
        "NextToken": _SHARD_PAGES,
        "ExclusiveStartShardId": _SHARD_PAGES,
        "MaxResults": _SHARD_PAGES,
        "StreamCreationTimestamp": _CREATION,
        "ShardFilter.Type": _FILTER,
        "ShardFilter.ShardId": _FILTER,
        "ShardFilter.Timestamp": _FILTER,
    },
    "ListStreamConsumers": {
        **_BY_ARN,
        "NextToken": _CONSUMER_PAGES,
        "MaxResults": _CONSUMER_PAGES,
        "StreamCreationTimestamp": _CREATION,
    },
    "ListStreams": {
        "Limit": _STREAM_PAGES,
        "ExclusiveStartStreamName": _STREAM_PAGES,
        "NextToken": _STREAM_PAGES,
    },
    "ListTagsForResource": _BY_RESOURCE,
    "ListTagsForStream": {**_NAMED, "ExclusiveStartTagKey": _TAGS, "Limit": _TAGS},
    "MergeShards": {**_NAMED, "ShardToMerge": _MERGE, "AdjacentShardToMerge": _MERGE},
    "PutRecord": {
        **_NAMED,
        "Data": _PUT,
        "PartitionKey": _PUT,
        "ExplicitHashKey": _HASH_KEY,
        "SequenceNumberForOrdering": NotApplicable("sequence numbers always grow in the order of the puts"),
        "DryRun": _DRY_RUN,
    },
    "PutRecords": {
        **_NAMED,
        "Records[].Data": _PUT,
        "Records[].ExplicitHashKey": _HASH_KEY,
        "Records[].PartitionKey": _PUT,
        "DryRun": _DRY_RUN,
    },
    "RegisterStreamConsumer": {
        **_BY_ARN,
        "ConsumerName": Applied(_CONSUMERS + "test_a_registered_consumer_is_described"),
        "Tags": Applied(_CONSUMERS + "test_a_consumer_has_tags"),
    },
    "RemoveTagsFromStream": {**_NAMED, "TagKeys": _TAGS},
    "SplitShard": {**_NAMED, "ShardToSplit": _SPLIT, "NewStartingHashKey": _SPLIT},
    "SubscribeToShard": {
        "ConsumerARN": _SUBSCRIBE,
        "StreamId": _NAMED["StreamId"],
        "ShardId": _SUBSCRIBE,
        "StartingPosition.Type": _SUBSCRIBE,
        "StartingPosition.SequenceNumber": _SUBSCRIBE,
        "StartingPosition.Timestamp": _SUBSCRIBE,
        "DryRun": _DRY_RUN,
    },
    "TagResource": {**_BY_RESOURCE, "Tags": Applied(_STREAMS + "test_a_stream_is_tagged_by_its_arn")},
    "UntagResource": {**_BY_RESOURCE, "TagKeys": Applied(_STREAMS + "test_a_stream_is_tagged_by_its_arn")},
    "UpdateMaxRecordSize": {**_BY_ARN, "MaxRecordSizeInKiB": _RECORD_SIZE},
    "UpdateShardCount": {**_NAMED, "TargetShardCount": _COUNT, "ScalingType": _COUNT},
    "UpdateStreamMode": {**_BY_ARN, "StreamModeDetails.StreamMode": _MODE, "WarmThroughputMiBps": _THROUGHPUT},
}
