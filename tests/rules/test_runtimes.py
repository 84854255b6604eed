"""Which runtimes a function may have: lambda-semantics §2.1, §2.2."""

from __future__ import annotations

import pytest

from eventrouter.errors import RequestError
from eventrouter.rules.runtimes import DEPRECATED, OTHERS, PYTHON, check_runtime, runs_elsewhere

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("runtime", PYTHON)
def test_every_python_runs(runtime: str) -> None:
    check_runtime(runtime, creating=True)


@pytest.mark.parametrize("runtime", DEPRECATED)
def test_a_retired_runtime_is_refused_at_creation_in_aws_s_words(runtime: str) -> None:
    with pytest.raises(RequestError) as caught:
        check_runtime(runtime, creating=True)

    assert caught.value.message == (
        f"The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda functions. "
        "We recommend you use a supported runtime while creating or updating functions."
    )


def test_a_retired_python_still_runs_on_update() -> None:
    check_runtime("python3.7", creating=False)


@pytest.mark.parametrize("runtime", OTHERS)
def test_a_runtime_of_another_language_is_refused_by_name(runtime: str) -> None:
    with pytest.raises(RequestError, match=f"The runtime {runtime} is not supported by eventrouter yet"):
        check_runtime(runtime, creating=True)


@pytest.mark.parametrize("runtime", ["python", "PYTHON3.11", "python3.111", "cobol"])
def test_an_unknown_or_misspelt_runtime_is_the_second_layer_s(runtime: str) -> None:
    with pytest.raises(RequestError) as caught:
        check_runtime(runtime, creating=True)

    assert caught.value.code == "InvalidParameterValueException"
    assert caught.value.message.startswith(
        f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: ["
    )
    assert caught.value.message.endswith("] or be a valid ARN")


def test_another_minor_version_runs_elsewhere() -> None:
    assert runs_elsewhere("python3.12", (3, 11))
    assert not runs_elsewhere("python3.11", (3, 11))
