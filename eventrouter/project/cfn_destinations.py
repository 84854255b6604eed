"""Where records and dead letters go: to queues and functions. Other destinations are noted as not applied."""

from __future__ import annotations

from eventrouter.project.cfn_parts import Parts, Properties
from eventrouter.project.yaml_lines import Node

_NOT_SERVED = {"events": "EventBridge", "s3": "S3", "sns": "SNS"}


def is_served(parts: Parts, what: str, arn: Node) -> bool:
    """Say whether what is sent to `arn` can arrive; if its service is not served, that is noted."""
    service = _NOT_SERVED.get("".join(arn.text.split(":")[2:3]))
    if service is not None:
        parts.skip(what, arn.place, f"{service} is not served as a destination")
    return service is None


def put_served(properties: Properties) -> None:
    """Leave in `DestinationConfig` what can be delivered to."""
    config = properties.take("DestinationConfig")
    if config is not None:
        kept = {
            side: node
            for side, node in config.mapping.items()
            if (arn := node.get("Destination")) is None
            or is_served(properties.parts, f"{side} of {properties.owner}", arn)
        }
        properties.put("DestinationConfig", Node(kept or None, config.place))
