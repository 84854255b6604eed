"""Apply or refuse: the registries of our adapters."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventrouter.api.registry import applied_tests, differences
from eventrouter.ports import ServiceApi
from eventrouter_adapters import eventbridge, kinesis, logs, sqs

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
APIS = [
    ServiceApi(service=name, operations={}, members=module.MEMBERS)
    for name, module in (("sqs", sqs), ("logs", logs), ("kinesis", kinesis), ("events", eventbridge))
]


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.service)
def test_every_input_member_is_applied_without_effect_or_refused(api: ServiceApi) -> None:
    assert differences(api) == []


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.service)
def test_every_test_that_the_registry_names_exists(api: ServiceApi) -> None:
    for test in applied_tests(api):
        path, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text(), test
