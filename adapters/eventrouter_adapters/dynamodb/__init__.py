"""DynamoDB Streams as a source by endpoint: AWS's own, DynamoDB Local, ScyllaDB Alternator, moto."""

from __future__ import annotations

from eventrouter.ports import Adapter, AdapterContext

__all__ = ["build"]


def build(context: AdapterContext) -> Adapter:
    """Build the adapter; without an endpoint it brings no source, so mappings of DynamoDB streams are refused."""
    endpoint = context.settings.dynamodb_streams_endpoint
    if endpoint is None:
        return Adapter(name="dynamodb")
    # Here, because a client of AWS is slow to import and most nodes need none.
    from eventrouter_adapters.dynamodb.api import StreamsApi
    from eventrouter_adapters.dynamodb.source import DynamoDBStreamSource

    source = DynamoDBStreamSource(
        StreamsApi(endpoint), clock=context.clock, poll_interval_s=context.settings.mapping_poll_interval_s
    )
    return Adapter(name="dynamodb", streams=(source,))
