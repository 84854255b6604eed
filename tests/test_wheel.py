"""The wheel: built, installed into an environment of its own, and used from there."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from eventrouter import __version__
from tests.cli.dev_node import DevNode

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parent.parent
SOURCE = """
import eventrouter_adapters

def handler(event, context):
    return {"got": event, "adapters": eventrouter_adapters.__file__}
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel with the tools that are installed."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT],
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Install the wheel, and nothing else, into an empty environment, and return its folder of commands.

    What it depends on is added from this environment, by path: but neither the sources nor the editable install,
    whose .pth files an added path does not read.
    """
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False, symlinks=True)
    paths = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", "venv", vars=paths))
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "--python",
            folder / "bin/python",
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            wheel,
        ],
        check=True,
        capture_output=True,
        env={**os.environ, "PIP_CONFIG_FILE": os.devnull},
    )
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def names_in(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_the_wheel_installs_two_packages_and_nothing_else(wheel):
    tops = {name.split("/")[0] for name in names_in(wheel)}

    assert tops == {"eventrouter", "eventrouter_adapters", f"eventrouter-{__version__}.dist-info"}


def test_the_wheel_carries_what_is_not_python_too(wheel):
    names = set(names_in(wheel))
    scripts = {str(path.relative_to(ROOT)) for path in (ROOT / "eventrouter/store/scripts").glob("*.lua")}

    assert scripts
    assert scripts <= names
    assert {"eventrouter/py.typed", "eventrouter_adapters/py.typed"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_installed_command_tells_its_version(installed, tmp_path):
    told = subprocess.run(
        [installed / "eventrouter", "--version"], check=True, capture_output=True, text=True, cwd=tmp_path
    )

    assert told.stdout == f"eventrouter {__version__}\n"


def test_a_function_runs_on_the_installed_node(installed, tmp_path):
    node = DevNode(tmp_path / "data", command=[installed / "eventrouter"])
    try:
        node.create("one", SOURCE, tmp_path)
        answer = subprocess.run(
            [installed / "eventrouter", "invoke", "one", "-p", '{"n": 1}', "--url", node.url],
            check=True,
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
    finally:
        code = node.stop()

    result = json.loads(answer.stdout)
    assert result["got"] == {"n": 1}
    assert Path(result["adapters"]).is_relative_to(installed.parent)
    assert code == 0
