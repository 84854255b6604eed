"""What environment variables may be: lambda-semantics §2.6."""

from __future__ import annotations

import json

import pytest

from eventrouter.errors import RequestError
from eventrouter.rules.environment import RESERVED, check_environment

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("key", sorted(RESERVED))
def test_a_reserved_key_is_refused_by_name(key: str) -> None:
    with pytest.raises(RequestError) as caught:
        check_environment({"FINE": "1", key: "x"})

    assert caught.value.message == (
        "Lambda was unable to configure your environment variables because the environment variables you have "
        "provided contains reserved keys that are currently not supported for modification. Reserved keys used in "
        f"this request: {key}"
    )


@pytest.mark.parametrize("key", ["LANG", "PATH", "PYTHONPATH", "TZ", "AWS_LAMBDA_EXEC_WRAPPER", "LD_LIBRARY_PATH"])
def test_keys_that_lambda_also_sets_may_be_given(key: str) -> None:
    check_environment({key: "x"})


def test_4096_bytes_of_json_pass_and_one_more_is_refused() -> None:
    room = 4_096 - len('{"KEY":""}')
    check_environment({"KEY": "x" * room})
    variables = {"KEY": "x" * (room + 1)}

    with pytest.raises(RequestError) as caught:
        check_environment(variables)

    measured = json.dumps(variables, separators=(",", ":"))
    assert caught.value.message == (
        "Lambda was unable to configure your environment variables because the environment variables you have "
        f"provided exceeded the 4KB limit. String measured: {measured}"
    )
