"""How the command line starts, and what it says when it is used wrongly."""

import json
import os
import pty
import subprocess
import sys

import pytest

from eventrouter import __version__
from eventrouter.cli import main

pytestmark = pytest.mark.unit

HEAVY = ("botocore", "boto3", "redis", "uvicorn", "pydantic", "pydantic_settings", "structlog", "rich")


def modules_after(*arguments: str) -> set[str]:
    """Return what is imported once a command has run in an interpreter of its own."""
    code = (
        "import sys; from eventrouter.cli import main; main(sys.argv[1:]); "
        "print(' '.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_the_version_is_told_without_importing_anything_heavy():
    loaded = modules_after("--version")

    assert not loaded & {*HEAVY, "asyncio", "click", "http.client", "importlib.metadata"}
    assert "eventrouter.cli.app" not in loaded


@pytest.mark.parametrize("arguments", [("env",), ("--help",), ("invoke", "--help")])
def test_commands_that_need_no_library_load_none(arguments):
    assert not modules_after(*arguments) & set(HEAVY)


def test_the_version_is_the_packages(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"eventrouter {__version__}\n"


def test_versions_of_the_parts_come_as_json_on_request(capsys):
    assert main(["version", "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert found["eventrouter"] == __version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.parametrize(
    "arguments",
    [
        ["bogus"],
        ["invoke"],
        ["invoke", "f", "--async", "--dry-run"],
        ["invoke", "f", "-n", "0"],
        ["invoke", "f", "-n", "2", "--tail"],
        ["invoke", "f", "-p", "@/no/such/file"],
        ["logs", "f", "--since", "yesterday"],
        ["functions", "rm"],
        ["dev", "/no/such/folder"],
    ],
)
def test_wrong_usage_exits_with_2_and_says_so_on_stderr(arguments, capsys):
    assert main(arguments) == 2

    told = capsys.readouterr()
    assert told.out == ""
    assert "Error:" in told.err


def test_no_node_is_an_error_that_says_what_to_do(capsys, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    assert main(["functions", "ls"]) == 1
    assert "no answer from http://127.0.0.1:9" in (told := capsys.readouterr().err)
    assert "eventrouter dev" in told


def test_a_url_that_is_none_is_told(capsys):
    assert main(["functions", "ls", "--url", "localhost:4566"]) == 1
    assert "must look like http://" in capsys.readouterr().err


def test_serve_without_a_server_says_what_is_missing(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    assert main(["serve"]) == 1
    assert "--redis-url or EVENTROUTER_REDIS_URL" in capsys.readouterr().err


def test_a_wrong_setting_is_an_error_on_stderr(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVENTROUTER_PROT", "1")

    assert main(["config", "show"]) == 1
    assert capsys.readouterr().err == "error: EVENTROUTER_PROT: unknown variable; the nearest is EVENTROUTER_PORT\n"


def test_the_settings_are_shown_with_their_origins_and_without_passwords(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVENTROUTER_REDIS_URL", "redis://:secret@host:6379")
    (tmp_path / "eventrouter.toml").write_text("port = 1234\n")

    assert main(["config", "show", "--origin", "--json"]) == 0

    shown = capsys.readouterr().out
    assert json.loads(shown)["port"] == {"value": 1234, "layer": "file", "origin": "eventrouter.toml"}
    assert json.loads(shown)["redis_url"]["value"] == "redis://:***@host:6379"
    assert "secret" not in shown


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colours_appear_on_a_terminal_unless_no_color_is_set(tmp_path, no_color, coloured):
    terminal, its_end = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-m", "eventrouter", "config", "show"],
            env={**os.environ, "NO_COLOR": no_color},
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=its_end,
            check=True,
        )
        told = os.read(terminal, 1_000)
    finally:
        os.close(terminal)
        os.close(its_end)

    assert b"setting" in told
    assert (b"\x1b[" in told) == coloured


def test_the_settings_are_shown_in_columns(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAMBDA_MAGIC", "1")

    assert main(["config", "show", "--origin"]) == 0

    told = capsys.readouterr()
    assert ["port", "4566", "default"] in [line.split() for line in told.out.splitlines()]
    assert told.err == "warning: not applied: LAMBDA_MAGIC (no meaning here)\n"


def test_the_exports_point_every_aws_tool_at_the_node(capsys):
    assert main(["env", "--url", "http://host:1"]) == 0
    assert "export AWS_ENDPOINT_URL=http://host:1\n" in capsys.readouterr().out


def test_the_usual_port_may_be_set_for_clients_too(capsys, monkeypatch):
    monkeypatch.setenv("EVENTROUTER_PORT", "4577")

    assert main(["env", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4577"


def test_doctor_names_what_is_wrong_and_its_fix(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVENTROUTER_REDIS_URL", "redis://:secret@127.0.0.1:9")

    assert main(["doctor", "--json"]) == 1

    shown = capsys.readouterr().out
    checks = {check["name"]: check for check in json.loads(shown)}
    assert checks["python"]["state"] == "ok"
    assert checks["server"]["state"] == "failed"
    assert checks["server"]["fix"]
    assert {"namespaces", "port", "data_dir", "open files"} <= set(checks)
    assert "secret" not in shown


def test_doctor_finds_the_embedded_server(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVENTROUTER_PORT", "0")

    assert main(["doctor"]) == 0
    assert "embedded Valkey" in capsys.readouterr().out
