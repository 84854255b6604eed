"""The testing guide is true: every file in it is written out and run, and the failure that it shows is the real one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from eventrouter.testing.server import NodeProcess
from tests.test_repository import console_lines

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs/testing.md"
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
NAME = re.compile(r"# (\S+\.(?:py|yaml))\n")
FAILING = "failing.py"

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def blocks():
    """The blocks of the guide, as (language, text)."""
    return BLOCK.findall(GUIDE.read_text())


@pytest.fixture
def folder(blocks, tmp_path):
    """A project made of the files in the guide."""
    for language, text in blocks:
        if language in {"python", "yaml"}:
            (tmp_path / NAME.match(text)[1]).write_text(text)
    return tmp_path


def test_every_block_of_code_is_a_file(blocks):
    named = [NAME.match(text) for language, text in blocks if language in {"python", "yaml"}]
    assert all(named)
    assert len({match[1] for match in named}) == len(named)
    assert {language for language, _ in blocks} == {"python", "yaml", "text", "console"}


def test_every_test_of_the_guide_passes(folder):
    tests = sum(
        len(re.findall(r"^(?:async )?def test_", path.read_text(), re.MULTILINE)) for path in folder.glob("test_*")
    )
    answer = run_pytest(folder, "-q")
    assert answer.returncode == 0, answer.stdout
    assert f"{tests} passed" in answer.stdout


def test_the_failure_that_is_shown_is_the_real_one(folder, blocks):
    answer = run_pytest(folder, "--tb=short", "--no-header", FAILING)
    assert answer.returncode == 1
    (shown,) = [text for language, text in blocks if language == "text"]
    assert lines_of(shown) in lines_of(answer.stdout)


def test_time_is_advanced_by_the_command_lines_that_are_shown():
    shown = [line for line in console_lines(GUIDE.read_text()) if line.startswith("eventrouter clock")]
    assert len(shown) == 3
    with NodeProcess(clock="virtual") as node:
        for line in shown:
            command = line.replace("http://127.0.0.1:4577", node.url).split()[1:]
            answer = subprocess.run((sys.executable, "-m", "eventrouter", *command), capture_output=True, text=True)
            assert answer.returncode == 0, (line, answer.stdout, answer.stderr)
            assert answer.stdout.startswith("20")


def run_pytest(folder, *arguments):
    """Run pytest on the files of the guide, as in a project of its own."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", *arguments)
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)


def lines_of(text):
    """Leave out blanks at the ends of lines."""
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())
