"""What a function writes, by whichever way, is told with the invocation that wrote it."""

from __future__ import annotations

import asyncio

import pytest

from eventrouter.runtime.process import KEPT_LOG_BYTES, LOG_FILE_BYTES
from tests.runtime.support import Results, a_function, a_runtime, answer, invoke, invoke_one, tmp_of, until

pytestmark = pytest.mark.integration

WRITER = """
    import os, subprocess, sys

    def handler(event, context):
        exec(event)
        return os.getpid()
"""


def _logs(tmp_path, *events, **fields):
    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            lease = await runtime.lease(a_function(tmp_path, WRITER, **fields), patience_s=5)
            return [run.log for run in await invoke(lease, *events)]

    return asyncio.run(scenario())


def test_output_belongs_to_the_invocation_that_wrote_it(tmp_path):
    logs = _logs(
        tmp_path,
        "print('one')",
        "os.write(1, b'two\\n'); os.write(2, b'and\\n')",
        "pass",
        "subprocess.run(['echo', 'three'])",
        "print('four', file=sys.stderr)",
    )

    assert logs == [b"one\n", b"two\nand\n", b"", b"three\n", b"four\n"]


def test_a_function_that_opens_its_output_as_a_file_goes_on_being_heard(tmp_path):
    logs = _logs(
        tmp_path,
        "print('a long line, which is in the file when it is emptied')",
        "subprocess.run('echo one > /dev/stderr', shell=True)",
        "print('two')",
        "print('three')",
    )

    assert logs[1:] == [b"one\n", b"two\n", b"three\n"]


def test_output_before_a_crash_or_timeout_is_kept(tmp_path):
    logs = _logs(
        tmp_path,
        "print('last words'); os._exit(1)",
        "print('still here', flush=True); __import__('time').sleep(60)",
        "print('after')",
        timeout_s=1,
    )

    assert logs == [b"last words\n", b"still here\n", b"after\n"]


def test_one_invocation_keeps_a_bounded_log(tmp_path):
    long, after = _logs(tmp_path, "print('x' * (3 << 20))", "print('after')")

    assert len(long) < KEPT_LOG_BYTES + 200
    assert long.endswith(b"more bytes of this invocation's log were not kept]\n")
    assert after == b"after\n"


def test_the_log_file_does_not_grow_for_ever(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            lease = await runtime.lease(a_function(tmp_path, WRITER), patience_s=5)
            results = Results(lease)
            chunk = "print('x' * (5 << 20))"
            runs = await results.of(results.submit(*[chunk] * 9, "print('end')"))
            size = "print(os.fstat(1).st_size)"
            return runs, await invoke_one(lease, size)

    runs, last = asyncio.run(scenario())

    assert len({answer(run) for run in runs}) == 1, "one process all along"
    assert runs[-1].log == b"end\n"
    assert int(last.log) <= LOG_FILE_BYTES + (6 << 20)


def test_output_of_a_process_that_died_idle_comes_with_the_next_invocation(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            lease = await runtime.lease(a_function(tmp_path, WRITER), patience_s=5)
            parting = (
                "def part():\n"
                "    import os, time\n"
                "    while not os.path.exists('/tmp/go'): time.sleep(0.001)\n"
                "    os.write(1, b'parting\\n'); os._exit(0)\n"
                "__import__('threading').Thread(target=part).start()"
            )
            first = await invoke_one(lease, parting)
            (tmp_of(lease) / "go").touch()
            await until(lambda: lease.pid is None, "the process has ended")
            return first.log, (await invoke_one(lease, "print('next')")).log

    assert asyncio.run(scenario()) == (b"", b"parting\nnext\n")
