"""Looks into the store beside the nodes: lanes and memory while the run goes on, queues and slots at its end."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections import Counter
from random import Random
from typing import Any

import redis

from eventrouter.clock import SystemClock
from eventrouter.errors import StoreError
from eventrouter.rules.names import FunctionName
from eventrouter.settings import Settings
from eventrouter.store import Store, open_store
from eventrouter.store.servers import Servers
from tests.chaos.proof.recorder import Recorder
from tests.chaos.proof.setting import Setting
from tests.e2e.accounts import REGION

EVERY_S = 3.0


class Auditor:
    """A thread that probes the store every few seconds, and answers questions at the end."""

    def __init__(self, url: str, setting: Setting, recorder: Recorder) -> None:
        self._url = url
        self._setting = setting
        self._recorder = recorder
        self._is_over = threading.Event()
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join(30)
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            asyncio.run(self._probe_on())
        except Exception as error:
            self.failure = error

    async def _probe_on(self) -> None:
        store = await self._open()
        while not self._is_over.is_set():
            try:
                t = time.monotonic_ns()
                lanes = {feed: await self._lanes(store, feed) for feed in self._setting.streams}
                self._recorder.note("probe", t=time.monotonic_ns(), took=time.monotonic_ns() - t, lanes=lanes)
            except StoreError:
                pass
            await asyncio.sleep(EVERY_S)
        await store.close()

    async def _open(self) -> Store:
        defaults = Settings()
        servers = Servers(self._url, clock=SystemClock())
        return await open_store(
            servers.make_lane,
            prefix=defaults.key_prefix,
            partitions=defaults.partitions,
            clock=SystemClock(),
            random=Random(1),
        )

    async def _lanes(self, store: Store, feed: str) -> list[list[Any]]:
        uuid, found = self._setting.mappings[feed], []
        for unit in await store.lanes.units(uuid):
            lane = await store.lanes.read(uuid, unit)
            if lane is not None:
                found.append([unit.partition("@")[0], lane.epoch, str(int(lane.checkpoint or 0))])
        return found

    # At the end.

    def left(self) -> dict[str, int]:
        """Return what the store still holds, by name: events of each function, slots in use, shards behind."""
        return asyncio.run(self._left())

    async def _left(self) -> dict[str, int]:
        store = await self._open()
        try:
            found = {}
            for name, function in self._setting.functions.items():
                key = FunctionName(account=self._setting.account.id, region=REGION, name=function).key
                found[f"events of {name}"] = await store.events.depth(key)
                found[f"slots of {name}"] = await store.slots.in_use(key)
            return {name: count for name, count in found.items() if count}
        finally:
            await store.close()

    def checkpoints(self) -> dict[str, dict[str, int]]:
        """Return each stream's checkpoints, by shard."""

        async def ask() -> dict[str, dict[str, int]]:
            store = await self._open()
            try:
                return {
                    feed: {shard: int(checkpoint) for shard, _, checkpoint in await self._lanes(store, feed)}
                    for feed in self._setting.streams
                }
            finally:
                await store.close()

        return asyncio.run(ask())


def keys_by_kind(client: redis.Redis) -> Counter[str]:
    """Count all keys, by their names without what is counted in them."""
    kinds: Counter[str] = Counter()
    for key in client.scan_iter(count=1000):
        name = key.decode(errors="replace")
        kinds[re.sub(r"[0-9a-f]{12,}(-[0-9a-f]+)*|\d+", "*", name)] += 1
    return kinds
