"""How functions are named: lambda-semantics §1.4."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.errors import RequestError
from eventrouter.rules.names import FunctionName, FunctionReference, parse_reference

ACCOUNT, REGION = "123456789012", "us-east-1"
FULL = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"


def parse(text: str, qualifier: str | None = None) -> FunctionReference:
    return parse_reference(text, qualifier, account=ACCOUNT, region=REGION)


@pytest.mark.unit
@pytest.mark.parametrize(
    ("text", "name", "qualifier"),
    [
        ("f", "f", None),
        ("f:1", "f", "1"),
        ("f:v1", "f", "v1"),
        ("f:$LATEST", "f", "$LATEST"),
        ("with.dot", "with.dot", None),
        ("function:f", "f", None),
        (f"{ACCOUNT}:function:f", "f", None),
        (f"{ACCOUNT}:function:f:live", "f", "live"),
        (f"{REGION}:{ACCOUNT}:function:f", "f", None),
        (FULL, "f", None),
        (f"{FULL}:$LATEST", "f", "$LATEST"),
        (f"arn:aws:lambda:{REGION}:{ACCOUNT}:function", "function", None),
    ],
)
def test_every_form_names_the_same_function(text: str, name: str, qualifier: str | None) -> None:
    reference = parse(text)

    assert reference.function == FunctionName(account=ACCOUNT, region=REGION, name=name)
    assert reference.qualifier == qualifier


@pytest.mark.unit
def test_the_arn_is_qualified_exactly_as_the_caller_named_it() -> None:
    assert parse("f").arn == FULL
    assert parse("f:$LATEST").arn == f"{FULL}:$LATEST"
    assert parse("f", "live").arn == f"{FULL}:live"


@pytest.mark.unit
def test_two_qualifiers_must_agree() -> None:
    assert parse("f:1", "1").qualifier == "1"

    with pytest.raises(RequestError) as caught:
        parse("f:1", "2")

    assert caught.value.code == "InvalidParameterValueException"
    assert caught.value.message == (
        "The derived qualifier from the function name does not match the specified qualifier."
    )


@pytest.mark.unit
def test_another_region_is_not_reachable() -> None:
    with pytest.raises(RequestError) as caught:
        parse(f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f")

    assert (caught.value.code, caught.value.status) == ("ResourceNotFoundException", 404)
    assert caught.value.message == "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')"


@pytest.mark.unit
def test_another_account_is_denied() -> None:
    with pytest.raises(RequestError) as caught:
        parse(f"arn:aws:lambda:{REGION}:999999999999:function:f")

    assert (caught.value.code, caught.value.status) == ("AccessDeniedException", 403)


names = st.from_regex(r"[a-zA-Z0-9-_]{1,64}", fullmatch=True)
qualifiers = st.none() | st.from_regex(r"\$LATEST|[a-zA-Z0-9-_]{1,20}", fullmatch=True)


@pytest.mark.property
@given(name=names, qualifier=qualifiers)
def test_an_arn_is_read_back_as_what_it_names(name: str, qualifier: str | None) -> None:
    reference = FunctionReference(function=FunctionName(account=ACCOUNT, region=REGION, name=name), qualifier=qualifier)

    assert parse(reference.arn) == reference
    assert FunctionName.from_key(reference.function.key) == reference.function


@pytest.mark.property
@given(text=st.text(max_size=80), qualifier=st.none() | st.text(max_size=20))
def test_any_text_is_a_reference_or_refused(text: str, qualifier: str | None) -> None:
    allowed = {"ResourceNotFoundException", "AccessDeniedException", "InvalidParameterValueException"}

    with contextlib.suppress(RequestError):
        assert parse(text, qualifier).function.account == ACCOUNT
        return
    with pytest.raises(RequestError) as caught:
        parse(text, qualifier)
    assert caught.value.code in allowed
