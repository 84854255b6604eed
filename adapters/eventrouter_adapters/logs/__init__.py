"""CloudWatch Logs: reading what functions logged, with boto3 and the AWS command line."""

from __future__ import annotations

from eventrouter.ports import Adapter, AdapterContext, ServiceApi
from eventrouter_adapters.logs.api import LogService
from eventrouter_adapters.logs.members import MEMBERS

__all__ = ["MEMBERS", "build"]


def build(context: AdapterContext) -> Adapter:
    """Build the adapter over the node's logs."""
    api = ServiceApi(service="logs", operations=LogService(context.store.logs).operations(), members=MEMBERS)
    return Adapter(name="logs", apis=(api,))
