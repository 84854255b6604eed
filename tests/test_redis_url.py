"""What a redis_url names."""

from __future__ import annotations

import pytest

from eventrouter.redis_url import read_redis_url
from eventrouter.settings import masked

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("url", "one"),
    [
        ("redis://:pa/ss@host:6380/2", "redis://:pa/ss@host:6380/2"),
        ("rediss://host?ssl_ca_certs=/ca.pem", "rediss://host?ssl_ca_certs=/ca.pem"),
        ("valkey://host/1", "redis://host/1"),
        ("valkeys://host", "rediss://host"),
        ("unix://user:word@/run/valkey.sock?db=3", "unix://user:word@/run/valkey.sock?db=3"),
    ],
)
def test_one_server_is_named_as_redis_py_wants_it(url: str, one: str) -> None:
    read = read_redis_url(url)
    assert (read.kind, read.one) == ("server", one)


def test_sentinels_have_ports_credentials_and_a_service_of_their_own() -> None:
    read = read_redis_url(
        "rediss+sentinel://me:p%40ss@s1,[::1]:3,s3:26380/my%20master/2?ssl_ca_certs=/ca.pem&sentinel_password=a+b"
    )

    assert (read.kind, read.service, read.database) == ("sentinel", "my master", 2)
    assert read.hosts == (("s1", 26379), ("::1", 3), ("s3", 26380))
    assert read.at(("10.0.0.1", 6379)) == "rediss://me:p%40ss@10.0.0.1:6379/2?ssl_ca_certs=%2Fca.pem"
    assert read.sentinel_at(("::1", 3)) == "rediss://:a%20b@[::1]:3?ssl_ca_certs=%2Fca.pem"


def test_a_cluster_is_named_by_some_of_its_nodes() -> None:
    read = read_redis_url("redis+cluster://me:word@h1:7000,h2/")

    assert (read.kind, read.hosts) == ("cluster", (("h1", 7000), ("h2", 6379)))
    assert read.at(("h2", 6379)) == "redis://me:word@h2:6379/0"


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://me:word@s1,s2/mymaster",
        "redis+cluster://:word@h1:1,h2:2",
        "redis+sentinel://s1/mymaster?sentinel_password=word",
    ],
)
def test_passwords_are_not_shown(url: str) -> None:
    assert "word" not in str(masked(url)).replace("password", "")


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("http://host", "must be redis://"),
        ("redis+proxy://host", "must be redis://"),
        ("unix+cluster:///run/s", "must be redis://"),
        ("redis+sentinel://s1,s2", "must end with the name of the primary"),
        ("redis+sentinel://s1/mymaster/first", "must name the database by a number"),
        ("redis+cluster://h1,h2/3", "must name no database but 0"),
        ("redis+cluster://h1,,h2", "must name hosts as host or host:port"),
        ("redis+cluster://h1:99999", "must name hosts as host or host:port"),
    ],
)
def test_a_url_that_names_nothing_is_refused_with_the_rule(url: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        read_redis_url(url)
