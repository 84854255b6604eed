"""Environments never outlive their node, nor a node's standing with the others."""

from __future__ import annotations

import asyncio
import fcntl
import json
import subprocess
import sys
from pathlib import Path

import pytest

from eventrouter.errors import RuntimeFault
from eventrouter.rules.outcome import SystemFault
from eventrouter.runtime.keeper import Keeper
from tests.runtime.support import (
    Results,
    a_function,
    a_runtime,
    answer,
    invoke_one,
    is_running,
    tmp_of,
    until,
)

SLEEPER = """
    import subprocess, time
    def handler(event, context):
        if event == "sleep":
            child = subprocess.Popen(["sleep", "600"], start_new_session=True)
            print(child.pid, file=open("/tmp/pid", "w"))
            time.sleep(600)
        return "ran"
"""


@pytest.mark.unit
def test_the_keeper_is_armed_by_the_first_beat_and_fences_until_the_next():
    keeper = Keeper(8.0)

    assert not keeper.expires(1_000.0)
    keeper.beat(10.0)
    assert not keeper.expires(17.9)
    keeper.beat(12.0)
    keeper.beat(11.0)
    assert keeper.remaining(19.0) == 1.0
    assert keeper.expires(20.0)
    assert keeper.is_fenced
    assert not keeper.expires(99.0), "told once"
    keeper.beat(12.0)
    assert keeper.is_fenced
    keeper.beat(100.0)
    assert not keeper.is_fenced
    assert keeper.expires(108.0)


@pytest.mark.integration
def test_environments_end_when_heartbeats_are_no_longer_acknowledged(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path, keeper_s=0.3) as runtime:
            function = a_function(tmp_path, SLEEPER)
            idle = await runtime.lease(function, patience_s=5)
            lease = await runtime.lease(function, patience_s=5)
            idle.release()
            results = Results(lease)
            sent = results.submit("sleep")
            await until(lambda: (tmp_of(lease) / "pid").exists(), "it runs")
            pids = [idle.pid, lease.pid]

            runtime.beat()
            [run] = await results.of(sent)
            await until(lambda: not runtime.stats(), "every environment is gone")
            assert not any(pid is not None and is_running(pid) for pid in pids)

            with pytest.raises(RuntimeFault, match="heartbeats"):
                await runtime.lease(function, patience_s=5)
            runtime.beat()
            again = await invoke_one(await runtime.lease(function, patience_s=5))
            return run, again

    run, again = asyncio.run(scenario())

    assert isinstance(run.outcome, SystemFault)
    assert "heartbeats" in run.outcome.message
    assert answer(again) == "ran"


NODE = """
import asyncio, fcntl, json, sys
from pathlib import Path
from tests.runtime.support import a_function, a_runtime, Results, tmp_of, until

async def main():
    folder = Path(sys.argv[1])
    lock = open(folder / "lock", "w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    async with a_runtime(folder, inherit_fds=(lock.fileno(),)) as runtime:
        lease = await runtime.lease(a_function(folder, json.loads(sys.argv[2])), patience_s=5)
        Results(lease).submit("sleep")
        pid = tmp_of(lease) / "pid"
        await until(lambda: pid.exists() and pid.read_text(), "it runs")
        print(json.dumps([lease.pid, int(pid.read_text())]), flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.integration
def test_environments_die_with_a_killed_node_before_its_lock_is_free(tmp_path):
    arguments = [sys.executable, "-c", NODE, str(tmp_path), json.dumps(SLEEPER)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], text=True) as node:
        assert node.stdout is not None
        environment, child = json.loads(node.stdout.readline())
        assert is_running(environment)
        assert is_running(child)
        node.kill()
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # waits for the zygote, which goes last

        assert not is_running(environment)
        assert not is_running(child)

    async def successor():
        async with a_runtime(tmp_path):
            return list((tmp_path / "data" / "environments").iterdir())

    assert asyncio.run(successor()) == [], "and their files are removed by the next node"
