"""Parsing, checking and answering AWS requests, driven by botocore's service models."""
