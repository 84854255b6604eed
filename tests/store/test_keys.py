"""Key names: one tag a partition, and a partition that never changes."""

from __future__ import annotations

import pytest
from redis.crc import key_slot

from eventrouter.store.keys import Keys


@pytest.mark.unit
def test_a_tag_holds_the_prefix_so_that_installations_spread() -> None:
    keys = Keys("er", 16)

    assert keys.events(7, "ev") == keys.of("e7", "ev") == "{er:e7}:ev"
    assert keys.installation("use") == "{er:a}:use"
    assert key_slot(b"{er:e7}:ev") == key_slot(b"{er:e7}:pl") != key_slot(b"{er2:e7}:ev")


@pytest.mark.unit
@pytest.mark.parametrize("name", ["000000000000:us-east-1:orders", "000000000000:us-east-1:ü", "x"])
def test_a_functions_partition_is_the_crc16_of_its_name_as_redis_counts_it(name: str) -> None:
    assert Keys("er", 16_384).partition_of(name) == key_slot(name.encode())
    assert Keys("er", 16).partition_of(name) == key_slot(name.encode()) % 16
