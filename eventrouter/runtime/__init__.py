"""Execution environments: start, invoke, freeze, kill, capture. Knows nothing of why it is invoked."""
