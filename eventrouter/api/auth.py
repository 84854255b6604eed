"""Who calls: account, region and service, as the request's signature names them.

Any credentials are accepted, signatures are not verified. Source: conventions part 1 (credentials).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

DEFAULT_ACCOUNT = "000000000000"
_CACHE_LIMIT = 4_096

_ACCOUNT = re.compile(r"[0-9]{12}")
_REGION = re.compile(r"[a-z]{2,8}(?:-[a-z]+)*-[0-9]{1,2}")
_SERVICE = re.compile(r"[a-z0-9-]{1,64}")
_HOST = re.compile(
    rb"(?:kinesis|lambda|logs|queue|sqs)\.([a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2})\..+"
    rb"|([a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2})\.queue\..+"
)
"""The host of a service, which names its region: behind the service, or in front of it as queue URLs once did."""
_HEADER_CREDENTIAL = re.compile(rb"Credential=([^,\s]+)")
_QUERY_CREDENTIAL = re.compile(rb"(?:^|&)X-Amz-Credential=([^&]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a signature's scope says. `service` is the signing name, None where there is no readable signature."""

    account: str
    region: str
    service: str | None = None


class Callers:
    """Reads signatures, remembering the scopes it has read."""

    def __init__(self, *, default_region: str) -> None:
        self._anonymous = Signature(account=DEFAULT_ACCOUNT, region=default_region)
        self._seen: dict[bytes, Signature] = {}

    def read(self, headers: Mapping[bytes, bytes], query: bytes) -> Signature:
        """Return who signed: from the Authorization header, or from a presigned URL's query.

        Who signs nothing calls the region that the host names, if it names one.
        """
        authorization = headers.get(b"authorization")
        if authorization is not None:
            start = authorization.find(b"Credential=")
            credential = authorization[start + 11 : authorization.find(b",", start)] if start >= 0 else b""
            known = self._seen.get(credential)
            if known is not None:
                return known
            match = _HEADER_CREDENTIAL.search(authorization)
        elif b"X-Amz-Credential" in query:
            match = _QUERY_CREDENTIAL.search(query)
        else:
            host = _HOST.fullmatch(headers.get(b"host", b""))
            if host is None:
                return self._anonymous
            return Signature(account=DEFAULT_ACCOUNT, region=(host[1] or host[2]).decode())
        return self._anonymous if match is None else self._remember(match[1])

    def _remember(self, credential: bytes) -> Signature:
        signature = self._parse(unquote_plus(credential.decode("latin-1")))
        if len(self._seen) >= _CACHE_LIMIT:
            self._seen.clear()
        self._seen[credential] = signature
        return signature

    def _parse(self, credential: str) -> Signature:
        """Read `AKID/date/region/service/aws4_request`; an unreadable part falls back to its default."""
        parts = credential.split("/")
        key = parts[0] if len(parts) >= 5 else credential
        account = key if _ACCOUNT.fullmatch(key) else DEFAULT_ACCOUNT
        region = parts[-3] if len(parts) >= 5 and _REGION.fullmatch(parts[-3]) else self._anonymous.region
        service = parts[-2] if len(parts) >= 5 and _SERVICE.fullmatch(parts[-2]) else None
        return Signature(account=account, region=region, service=service)
