"""Zips that lie, lead outside, or become more than anything should: refused, and nothing else."""

from __future__ import annotations

import io
import os
import time
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.accounts import RUNTIME, Account
from tests.e2e.nodes import wait_until
from tests.fuzz.grammar import ACCOUNT, ROLE
from tests.fuzz.under_fire import NodeUnderFire
from tests.fuzz.zips import HOSTILE_PACKAGES, PACKAGES, a_bomb, a_zip

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(200)]

PATIENCE_S = 30.0
MOST_MB = 350
"""What the node may grow by while it looks at a package of 50 MB: the request, the zip, and its pieces."""


def _many_files() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for at in range(110_000):
            archive.writestr(f"{at:x}", b"")
    return buffer.getvalue()


LARGE: dict[str, Callable[[], bytes]] = {
    "300 MB of zeros": lambda: a_bomb(300),
    "1.2 GB of zeros in four files": lambda: a_zip(*((name, bytes(300 << 20)) for name in "abcd")),
    "110,000 files": _many_files,
    "noise of 49 MB": lambda: os.urandom(49 << 20),
    "a directory of 40 MB": lambda: b"PK\x01\x02" * (10 << 20) + a_zip(("a", b"")),
}


@pytest.fixture(scope="module")
def account(node: NodeUnderFire) -> Iterator[Account]:
    account = Account(node.url, account_id=ACCOUNT)
    yield account
    account.close()


def verdict_on(account: Account, name: str, package: bytes) -> str:
    """Create a function of a package; return how that ended."""
    settings: dict[str, Any] = {"Role": ROLE, "Runtime": RUNTIME, "Handler": "app.handler"}
    try:
        account.lambda_.create_function(FunctionName=name, Code={"ZipFile": package}, **settings)
    except ClientError as refusal:
        status = refusal.response["ResponseMetadata"]["HTTPStatusCode"]
        code = str(refusal.response["Error"]["Code"])
        return code if status < 500 or code == "InvalidZipFileException" else f"{status} {code}"

    def ended() -> str:
        state = str(account.lambda_.get_function_configuration(FunctionName=name)["State"])
        return "" if state == "Pending" else state

    return wait_until(f"{name} to be judged", ended, seconds=PATIENCE_S)


def test_sound_packages_are_taken(account: Account) -> None:
    assert {verdict_on(account, f"sound-{at}", package) for at, package in enumerate(PACKAGES)} == {"Active"}


@pytest.mark.parametrize("at", range(len(HOSTILE_PACKAGES)))
def test_hostile_packages_are_judged(node: NodeUnderFire, account: Account, at: int) -> None:
    verdict = verdict_on(account, f"hostile-{at}", HOSTILE_PACKAGES[at])

    assert not verdict.startswith("5"), verdict
    assert node.complaints() == []
    assert not list(node.data_dir.rglob("*outside*"))


@pytest.mark.parametrize("what", LARGE)
def test_large_packages_are_judged_while_others_are_served(node: NodeUnderFire, account: Account, what: str) -> None:
    package = LARGE[what]()
    with node.probed() as probed:
        before = node.held()
        began = time.monotonic()
        verdict = verdict_on(account, f"large-{list(LARGE).index(what)}", package)
        took = time.monotonic() - began
        grown = node.held().rss_mb - before.rss_mb

    print(f"{what}, {len(package)} bytes: {verdict} after {took:.2f} s, {grown:.0f} MB more, "
          f"probe p99 {probed.percentile(0.99) * 1_000:.0f} ms")  # fmt: skip
    assert verdict in ("InvalidParameterValueException", "Failed")
    assert took < PATIENCE_S
    assert grown < MOST_MB
    assert not probed.failed
    assert node.complaints() == []
