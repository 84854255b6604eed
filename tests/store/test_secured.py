"""Sentinels and a cluster that ask for a certificate's authority, a user and a password."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from eventrouter.clock import SystemClock
from eventrouter.errors import Unavailable
from eventrouter.store.servers import Servers
from tests.store.groups import Security, cluster, sentinels
from tests.store.load import Load

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        not (shutil.which("redis-server") and shutil.which("openssl")),
        reason="redis-server speaks TLS, which the embedded server does not; openssl makes the certificate",
    ),
]

PASSWORD = "s3cret-of-the-node"
ADMIN = "s3cret-of-the-servers"
RIGHTS = (
    "~{er:* &er:* +@read +@write +@connection +@pubsub +@scripting +@stream -@admin -@dangerous "
    "+info +time +wait +role +config|get +cluster|slots +cluster|shards -function -script|kill -script|flush"
)
"""As docs/operations.md has it, less what Redis 7.0 does not know."""


@pytest.fixture(scope="module")
def security(tmp_path_factory: pytest.TempPathFactory) -> Security:
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "certificate.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    tls = {
        "tls-cert-file": str(certificate),
        "tls-key-file": str(key),
        "tls-ca-cert-file": str(certificate),
        "tls-auth-clients": "no",
        "tls-replication": "yes",
    }
    return Security(
        binary=str(shutil.which("redis-server")),
        options={
            **tls,
            "requirepass": ADMIN,
            "masterauth": ADMIN,
            "user eventrouter": f"on >{PASSWORD} {RIGHTS}",
        },
        sentinel_options={
            **tls,
            "requirepass": ADMIN,
            "sentinel auth-pass mymaster": ADMIN,
            "sentinel sentinel-pass": ADMIN,
        },
        client={"password": ADMIN, "ssl": True, "ssl_ca_certs": str(certificate)},
    )


def secured(url: str, security: Security, password: str = PASSWORD) -> str:
    """Return the URL of a group with what a node needs to use it."""
    authority = security.client["ssl_ca_certs"]
    named = url.replace("redis+", "rediss+").replace("://", f"://eventrouter:{password}@")
    return f"{named}?ssl_ca_certs={authority}&sentinel_password={ADMIN}"


async def use(url: str) -> None:
    async with Load(url, "replicated") as load:
        await asyncio.gather(*(load.put(f"e{n}", name) for n, name in enumerate(load.names)))
        assert len(load.acknowledged) == len(load.names)
        assert await load.lost() == set()
        async with Servers(url, clock=SystemClock(), durability="replicated") as servers:
            assert [found.what for found in (await servers.survey()).findings if found.fatal] == []


async def be_refused(url: str) -> None:
    async with Servers(url, clock=SystemClock()) as servers:
        with pytest.raises(Unavailable) as refused:
            await servers.survey()
    assert "wrong" not in str(refused.value).replace("WRONGPASS", "")


def test_sentinels_and_their_servers_are_reached_over_tls_with_a_user_and_two_passwords(
    security: Security, tmp_path: Path
) -> None:
    with sentinels(tmp_path, security=security) as group:
        asyncio.run(use(secured(group.url, security)))
        asyncio.run(be_refused(secured(group.url, security, password="wrong")))
        asyncio.run(be_refused(group.url))


def test_a_cluster_is_reached_over_tls_with_a_user(security: Security, tmp_path: Path) -> None:
    clustered = Security(
        binary=security.binary,
        options={**security.options, "tls-cluster": "yes"},
        sentinel_options={},
        client=security.client,
    )
    with cluster(tmp_path, replicas=1, security=clustered) as group:
        asyncio.run(use(secured(group.url, security)))
        asyncio.run(be_refused(secured(group.url, security, password="wrong")))
