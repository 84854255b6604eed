"""How AWS's SDKs find a router, and no real account: clients of its own, and environment variables for all others."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.config import Config

CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
_SERVICE_IDS = {"events": "EVENTBRIDGE", "logs": "CLOUDWATCH_LOGS"}
"""What services are called in variables, where that is not botocore's name of them."""
_PROFILES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
"""They name credentials, and a file that there may not be."""


@contextmanager
def variables(wanted: Mapping[str, str | None]) -> Iterator[None]:
    """Set environment variables (None: take them away), and have them as they were afterwards."""
    before = {name: os.environ.get(name) for name in wanted}
    _set(wanted)
    try:
        yield
    finally:
        _set(before)


def _set(wanted: Mapping[str, str | None]) -> None:
    for name, value in wanted.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def aws_variables(url: str, services: Mapping[str, object], *, region: str) -> dict[str, str | None]:
    """Return the variables that lead clients of `services` to `url`; clients of others go where they went."""
    endpoints = {f"AWS_ENDPOINT_URL_{_SERVICE_IDS.get(name, name.upper())}": url for name in services}
    return {
        **endpoints,
        **{name.upper(): value for name, value in CREDENTIALS.items()},
        **dict.fromkeys(_PROFILES),
        "AWS_DEFAULT_REGION": region,
        "AWS_REGION": region,
    }


@contextmanager
def default_session() -> Iterator[Any]:
    """Give a boto3 session, and have it as boto3's default meanwhile: one made earlier knows other credentials."""
    import boto3

    core = _core_session()
    loader = _loader()
    core.register_component("data_loader", loader)
    session = boto3.session.Session(botocore_session=core)
    loader.search_paths[:] = dict.fromkeys(loader.search_paths)  # each session adds boto3's own
    before, boto3.DEFAULT_SESSION = boto3.DEFAULT_SESSION, session
    try:
        yield session
    finally:
        boto3.DEFAULT_SESSION = before


@cache
def _loader() -> Any:
    """Return what reads the services' models, once for all sessions."""
    return _core_session().get_component("data_loader")


def _core_session() -> Any:
    """Return a session of botocore's that does not look for the profile which the shell names."""
    from botocore.session import Session

    return Session(session_vars={"profile": (None, None, None, None)})


def make_client(session: Any, service: str, url: str, *, region: str, config: Config | None) -> Any:
    """Return a boto3 client; without a `config` it makes each request once."""
    client = session.client(service, endpoint_url=url, region_name=region, config=config, **CREDENTIALS)
    if config is None:
        name = client.meta.service_model.service_id.hyphenize()
        client.meta.events.unregister(f"needs-retry.{name}", unique_id=f"retry-config-{name}")
    return client
