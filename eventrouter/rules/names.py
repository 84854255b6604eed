"""How functions are named: names, partial and full ARNs, qualifiers.

Source: lambda-semantics §1.4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from eventrouter.errors import RequestError

LATEST = "$LATEST"

_REFERENCE = re.compile(
    r"(?:arn:(?P<partition>aws[a-zA-Z-]*)?:lambda:)?"
    r"(?:(?P<region>(?:eusc-)?[a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-\d):)?"
    r"(?:(?P<account>\d{12}):)?"
    r"(?:function:)?"
    r"(?P<name>[a-zA-Z0-9-_.]+)"
    r"(?::(?P<qualifier>\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9-_$]+))?"
)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class FunctionName:
    """One function of one account in one region."""

    account: str
    region: str
    name: str

    @property
    def key(self) -> str:
        """Return the text that names the function in the store: `account:region:name`."""
        return f"{self.account}:{self.region}:{self.name}"

    def arn(self, qualifier: str | None = None) -> str:
        """Return the function's ARN, with `:qualifier` when one is given."""
        arn = f"arn:aws:lambda:{self.region}:{self.account}:function:{self.name}"
        return f"{arn}:{qualifier}" if qualifier else arn

    @classmethod
    def from_key(cls, key: str) -> FunctionName:
        account, region, name = key.split(":")
        return cls(account=account, region=region, name=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionReference:
    """What a caller named: a function and, perhaps, a qualifier. None means that none was given."""

    function: FunctionName
    qualifier: str | None = None

    @property
    def arn(self) -> str:
        """Return the ARN exactly as named: what the handler sees as `invoked_function_arn`."""
        return self.function.arn(self.qualifier)

    @property
    def version(self) -> str:
        """Return the qualifier that applies: `$LATEST` where none was given."""
        return self.qualifier or LATEST


def parse_reference(text: str, qualifier: str | None, *, account: str, region: str) -> FunctionReference:
    """Read a function reference as AWS does: a name, `name:qualifier`, a partial or a full ARN.

    `qualifier` is the separate Qualifier parameter; `account` and `region` are the caller's.
    Raises RequestError: InvalidParameterValueException if both carry a qualifier and they differ,
    ResourceNotFoundException (404) for another region, AccessDeniedException (403) for another account.
    """
    # An ARN cut after "function" names a function called "function" (§1.4).
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise RequestError("ResourceNotFoundException", f"Function not found: {text}", status=404)
    inline = match["qualifier"]
    if inline and qualifier and inline != qualifier:
        raise RequestError(
            "InvalidParameterValueException",
            "The derived qualifier from the function name does not match the specified qualifier.",
        )
    if match["region"] and match["region"] != region:
        raise RequestError(
            "ResourceNotFoundException",
            f"Functions from '{match['region']}' are not reachable in this region ('{region}')",
            status=404,
        )
    if match["account"] and match["account"] != account:
        raise RequestError(
            "AccessDeniedException",
            f"User: arn:aws:iam::{account}:root is not authorized to perform this operation on resource: {text}",
            status=403,
            fault=None,
        )
    name = FunctionName(account=account, region=region, name=match["name"])
    return FunctionReference(function=name, qualifier=inline or qualifier)
