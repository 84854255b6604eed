"""The HTTP door: wire protocols, routing, and the Lambda service's operations."""
