"""What environments see of the file system, with namespaces and without."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runtime.support import a_function, a_runtime, answer, failure_of, invoke, invoke_one, tmp_of

pytestmark = pytest.mark.integration

LOOK = """
    import os

    def handler(event, context):
        if event == "raise":
            raise ValueError("here")
        return eval(event) if event else None
"""


def _looked(tmp_path, *events, wants_sandbox=True, needs_namespaces=True):
    async def scenario():
        async with a_runtime(tmp_path, wants_sandbox=wants_sandbox) as runtime:
            if needs_namespaces and runtime.not_applied:
                pytest.skip(runtime.not_applied[0])
            lease = await runtime.lease(a_function(tmp_path, LOOK), patience_s=5)
            return runtime.not_applied, await invoke(lease, *events)

    return asyncio.run(scenario())


def _kept_below_tmp():
    """Return what stays visible below /tmp because this checkout or its virtual environment lies there."""
    homes = (Path(sys.prefix), Path(__file__).resolve().parents[2])
    return {home.relative_to("/tmp").parts[0] for home in homes if home.is_relative_to("/tmp")}


def test_each_environment_has_a_tmp_of_its_own(tmp_path):
    async def scenario():
        async with a_runtime(tmp_path) as runtime:
            if runtime.not_applied:
                pytest.skip(runtime.not_applied[0])
            function = a_function(tmp_path, LOOK)
            one, other = [await runtime.lease(function, patience_s=5) for _ in range(2)]
            await invoke_one(one, "open('/tmp/mine', 'w').close()")
            listed = [answer(await invoke_one(lease, "os.listdir('/tmp')")) for lease in (one, other)]
            return [set(names) - _kept_below_tmp() for names in listed], (tmp_of(one) / "mine").exists()

    assert asyncio.run(scenario()) == ([{"mine"}, set()], True)


def test_code_is_at_var_task_and_read_only(tmp_path):
    _, runs = _looked(tmp_path, "[os.getcwd(), __file__, os.listdir('/var/task')]", "open('/var/task/new', 'w')")

    assert answer(runs[0])[:2] == ["/var/task", "/var/task/index.py"]
    assert "index.py" in answer(runs[0])[2]
    assert failure_of(runs[1])["errorType"] == "OSError"
    assert "Read-only file system" in failure_of(runs[1])["errorMessage"]


def test_the_rest_of_var_stays_as_it_is_and_the_host_is_untouched(tmp_path):
    before = sorted(os.listdir("/var"))

    _, [run] = _looked(
        tmp_path, "[sorted(os.listdir('/var')), os.path.islink('/var/run'), os.listdir('/var/lib') != []]"
    )

    shown, is_link, has_lib = answer(run)
    assert set(before) | {"task"} == set(shown) | {"task"}
    assert is_link == Path("/var/run").is_symlink()
    assert has_lib == bool(os.listdir("/var/lib"))
    assert sorted(os.listdir("/var")) == before


def test_limits_of_the_process_are_those_of_lambda(tmp_path):
    limits = "[__import__('resource').getrlimit(each) for each in (7, 4)]"  # NOFILE, CORE

    _, [run] = _looked(tmp_path, limits, needs_namespaces=False)

    assert answer(run) == [[1024, 1024], [0, 0]]


def test_only_log_and_channels_are_open_in_an_environment(tmp_path):
    _, [run] = _looked(tmp_path, "sorted(int(fd) for fd in os.listdir('/proc/self/fd'))", needs_namespaces=False)

    assert answer(run)[:6] == [0, 1, 2, 3, 4, 5]
    assert len(answer(run)) == 7, "and the descriptor that lists them"


def test_without_namespaces_the_code_runs_where_it_lies(tmp_path):
    look = "[os.getcwd(), os.environ['LAMBDA_TASK_ROOT'], __file__, __import__('tempfile').gettempdir()]"

    not_applied, runs = _looked(tmp_path, look, "raise", wants_sandbox=False, needs_namespaces=False)

    assert not_applied == ["private /tmp and read-only /var/task: namespaces are switched off"]
    where, root, file, temp = answer(runs[0])
    assert where == root == str(Path(file).parent)
    assert where.startswith(str(tmp_path))
    assert temp.startswith(str(tmp_path / "data" / "environments"))
    assert failure_of(runs[1])["stackTrace"][0].startswith('  File "/var/task/index.py", line 6, in handler')


def test_libraries_below_tmp_stay_visible_when_tmp_is_covered(tmp_path):
    if not str(tmp_path).startswith("/tmp/"):
        pytest.skip("this system's temporary files are not below /tmp")
    library, code, own = tmp_path / "library", tmp_path / "code", tmp_path / "own"
    for folder in (library, code, own):
        folder.mkdir()
    (library / "found_below_tmp.py").write_text("answer = 42")
    script = f"""
import sys
sys.path[:0] = [{str(Path(__file__).parents[2])!r}, {str(library)!r}]
from eventrouter.runtime import sandbox
reason = sandbox.prepare()
if reason is not None:
    sys.exit("skip: " + reason)
sandbox.enter({str(code)!r}, {str(own)!r})
import os, found_below_tmp
print(found_below_tmp.answer, *sorted(os.listdir("/tmp")))
try:
    os.unlink(found_below_tmp.__file__)
except OSError as error:
    print(os.strerror(error.errno))
"""

    ended = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, timeout=20)

    if ended.stderr.startswith("skip: "):
        pytest.skip(ended.stderr)
    seen = sorted({tmp_path.relative_to("/tmp").parts[0]} | _kept_below_tmp())
    expected = f"42 {' '.join(seen)}\nRead-only file system\n"
    assert ended.stdout == expected, "a function that empties its /tmp must not reach them"
