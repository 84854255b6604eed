"""A client that speaks the query protocol to SQS: botocore's own, over the model of before SQS spoke JSON.

Today's model has dropped that protocol's names; they are put back here as the API reference of the time lists them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.loaders import Loader
from botocore.session import Session

VERSION = "2012-11-05"
_ITEMS = {
    "AWSAccountIdList": "AWSAccountId",
    "ActionNameList": "ActionName",
    "AttributeNameList": "AttributeName",
    "BatchResultErrorEntryList": "BatchResultErrorEntry",
    "BinaryList": "BinaryListValue",
    "ChangeMessageVisibilityBatchRequestEntryList": "ChangeMessageVisibilityBatchRequestEntry",
    "ChangeMessageVisibilityBatchResultEntryList": "ChangeMessageVisibilityBatchResultEntry",
    "DeleteMessageBatchRequestEntryList": "DeleteMessageBatchRequestEntry",
    "DeleteMessageBatchResultEntryList": "DeleteMessageBatchResultEntry",
    "ListMessageMoveTasksResultEntryList": "ListMessageMoveTasksResultEntry",
    "MessageAttributeNameList": "MessageAttributeName",
    "MessageList": "Message",
    "MessageSystemAttributeList": "MessageSystemAttributeName",
    "QueueUrlList": "QueueUrl",
    "SendMessageBatchRequestEntryList": "SendMessageBatchRequestEntry",
    "SendMessageBatchResultEntryList": "SendMessageBatchResultEntry",
    "StringList": "StringListValue",
    "TagKeyList": "TagKey",
}
_MAPS = {
    "MessageBodyAttributeMap": ("MessageAttribute", "Name"),
    "MessageBodySystemAttributeMap": ("MessageSystemAttribute", "Name"),
    "MessageSystemAttributeMap": ("Attribute", "Name"),
    "QueueAttributeMap": ("Attribute", "Name"),
    "TagMap": ("Tag", "Key"),
}


def query_client(url: str, account: str, directory: Path) -> Any:
    """Return a client of the query protocol. `directory` gets the old model."""
    models = directory / "sqs" / VERSION
    models.mkdir(parents=True)
    (models / "service-2.json").write_text(json.dumps(old_model()))
    session = Session()
    session.register_component("data_loader", Loader(extra_search_paths=[str(directory)]))
    return session.create_client(
        "sqs",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id=account,
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
    )


def old_model() -> dict[str, Any]:
    """Return the model of SQS as it was when SQS spoke the query protocol."""
    model: dict[str, Any] = json.loads(json.dumps(Loader().load_service_model("sqs", "service-2")))
    metadata = model["metadata"]
    metadata |= {
        "protocol": "query",
        "protocols": ["query"],
        "xmlNamespace": f"http://queue.amazonaws.com/doc/{VERSION}/",
    }
    for name in ("awsQueryCompatible", "jsonVersion", "targetPrefix"):
        del metadata[name]
    for name, operation in model["operations"].items():
        if "output" in operation:
            operation["output"]["resultWrapper"] = f"{name}Result"
    shapes = model["shapes"]
    for name, item in _ITEMS.items():
        shapes[name]["member"]["locationName"] = item
    for name, (_, key) in _MAPS.items():
        shapes[name]["key"]["locationName"] = key
        shapes[name]["value"]["locationName"] = "Value"
    for shape in shapes.values():
        for member in shape.get("members", {}).values():
            if member["shape"] in _MAPS:
                member["locationName"] = _MAPS[member["shape"]][0]
    return model
