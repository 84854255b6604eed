"""The names of every key in Redis.

A key is `{<prefix>:<tag>}:<name>`; the part in braces decides the cluster slot, so all keys of one script share a
tag. Tags: `a` for the installation (hosts, slots, functions, streams, mappings, schedules), `e<k>` for one partition of
asynchronous events, `h:…` for one incarnation's inbox, `q:…` for one queue, `l:…` for one log group, `s:…` for one
shard of a stream, `m:…` for one mapping's reading of a shard, `w:…` for what wakes one node's watch.
"""

from __future__ import annotations

from binascii import crc_hqx

INSTALLATION = "a"


class Keys:
    """Builds key names for one installation. `partitions` is fixed when the installation is made."""

    INBOX = ("clk", "in", "open", "tomb:0", "tomb:1", "tomb:2")
    """Every key that an inbox consists of."""

    QUEUE = (
        *("clk", "q", "gone", "v", "m", "b", "x", "s", "d", "dd", "rn", "rt"),
        *("fo", "ga", "gw", "fd", "fx", "ow", "ob", "oz", "mv"),
    )
    """Every key that a queue consists of, in the order in which its scripts take them."""

    def __init__(self, prefix: str, partitions: int) -> None:
        self.prefix = prefix
        self.partitions = partitions
        self._events = tuple(f"{{{prefix}:e{k}}}:" for k in range(partitions))
        self._installation = f"{{{prefix}:{INSTALLATION}}}:"

    def of(self, tag: str, name: str) -> str:
        """Name a key of any tag."""
        return f"{{{self.prefix}:{tag}}}:{name}"

    def installation(self, name: str) -> str:
        """Name a key of the installation's own tag."""
        return self._installation + name

    def events(self, partition: int, name: str) -> str:
        """Name a key of one partition of asynchronous events."""
        return self._events[partition] + name

    def inbox(self, inc: str, name: str) -> str:
        """Name a key of one incarnation's inbox: one of `INBOX`."""
        return f"{{{self.prefix}:h:{inc}}}:{name}"

    def queue(self, queue: str) -> list[str]:
        """Name all keys of one queue, in the order of `QUEUE`."""
        tag = f"{{{self.prefix}:q:{queue}}}:"
        return [tag + name for name in self.QUEUE]

    def partition_of(self, function_key: str) -> int:
        """Return the partition that holds a function's events: CRC16 (Redis's own) modulo the partitions."""
        return crc_hqx(function_key.encode(), 0) % self.partitions

    @property
    def pattern(self) -> str:
        """Return the SCAN pattern that matches every key of this installation and no other's."""
        return f"{{{self.prefix}:*"
