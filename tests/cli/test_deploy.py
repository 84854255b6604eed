"""`eventrouter deploy` against a node that runs as a process of its own."""

import itertools
import json
import os
import pty
import subprocess
import sys

import pytest

from eventrouter.cli import main
from tests.cli.dev_node import DevNode

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

APP = """
from eventrouter import App
app = App("shop", account="{account}")
@app.queue("orders")
@app.function(timeout={timeout})
def take(event, context): ...
{more}
"""
MORE = "@app.function()\ndef other(event, context): ...\n"
_accounts = itertools.count(os.getpid() * 1_000 + 200_000_000_000)


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    started = DevNode(tmp_path_factory.mktemp("deploy") / "data")
    try:
        yield started
    finally:
        assert started.stop() == 0, started.log.read_text()[-4000:]


@pytest.fixture
def shop(node, capfd, monkeypatch, tmp_path):
    """Write an app and deploy it; return the exit code, what was printed, and what was complained about."""
    monkeypatch.chdir(tmp_path)
    account = next(_accounts)

    def deploy(*arguments, timeout=10, more=""):
        (tmp_path / "app.py").write_text(APP.format(account=account, timeout=timeout, more=more))
        code = main(["deploy", "app.py", "--to", node.url, *arguments])
        told = capfd.readouterr()
        return code, told.out, told.err

    return deploy


def test_the_plan_is_printed_and_carried_out(shop):
    code, out, _ = shop()

    assert code == 0
    assert "+ create  queue          orders   (app.py:4)" in out
    assert "+ create  mapping        sqs orders -> take   (app.py:4)" in out
    assert "shop: 3 to create, 0 to update, 0 to replace, 0 to delete, 0 unchanged" in out
    assert out.endswith("done: 3 steps\n")


def test_deploying_twice_changes_nothing(shop):
    shop()

    code, out, _ = shop()

    assert code == 0
    assert "0 to create, 0 to update, 0 to replace, 0 to delete, 3 unchanged" in out
    assert "done" not in out


def test_a_dry_run_changes_nothing(shop):
    first = shop("--dry-run")
    second = shop("--dry-run")

    assert first == second
    assert "3 to create" in first[1]


def test_the_plan_comes_as_json(shop):
    code, out, _ = shop("--json")

    document = json.loads(out)
    assert code == 0
    assert document["applied"] is True
    assert document["summary"]["create"] == 3
    assert json.loads(shop("--json", "--dry-run", timeout=20)[1])["steps"][1]["changes"][1:] == [
        {"member": "Timeout", "before": 10, "after": 20}
    ]


def test_what_is_gone_is_deleted_and_prune_deletes_data_too(shop, tmp_path):
    shop(more=MORE)

    assert "- delete  function       other" in shop()[1]
    left = (tmp_path / "app.py").read_text().replace('@app.queue("orders")\n', "")
    (tmp_path / "app.py").write_text(left)


def test_a_queue_that_is_declared_no_longer_stays_unless_pruned(node, shop, tmp_path, capfd):
    shop()
    account = (tmp_path / "app.py").read_text().partition('account="')[2][:12]
    (tmp_path / "app.py").write_text(f'from eventrouter import App\napp = App("shop", account="{account}")\n')

    main(["deploy", "app.py", "--to", node.url])
    kept = capfd.readouterr().out
    main(["deploy", "app.py", "--to", node.url, "--prune"])
    pruned = capfd.readouterr().out

    assert "! leave   queue          orders   holds messages; deleted with --prune only" in kept
    assert "- delete  function       take" in kept
    assert "- delete  queue          orders" in pruned


@pytest.mark.parametrize(("typed", "code", "is_done"), [(b"n\n", 130, False), (b"y\n", 0, True)])
def test_a_terminal_is_asked_before_something_is_deleted(node, shop, tmp_path, typed, code, is_done):
    shop(more=MORE)
    account = (tmp_path / "app.py").read_text().partition('account="')[2][:12]
    (tmp_path / "app.py").write_text(APP.format(account=account, timeout=10, more=""))
    terminal, its_end = pty.openpty()
    try:
        os.write(terminal, typed)
        done = subprocess.run(
            [sys.executable, "-m", "eventrouter", "deploy", "app.py", "--to", node.url],
            stdin=its_end,
            capture_output=True,
            cwd=tmp_path,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(terminal)
        os.close(its_end)

    assert "1 of these are deleted or replaced. Go ahead?" in done.stdout + done.stderr
    assert done.returncode == code
    assert ("done: " in done.stdout) is is_done


def test_no_node_is_an_error(shop, capfd):
    shop("--dry-run")

    assert main(["deploy", "app.py", "--to", "http://127.0.0.1:9"]) == 1
    assert "no answer from http://127.0.0.1:9" in capfd.readouterr().err


def test_what_is_no_url_is_an_error(shop, capfd):
    shop("--dry-run")

    assert main(["deploy", "app.py", "--to", "localhost:4566"]) == 1
    assert "'localhost:4566' is no node's URL: it must look like http://localhost:4566" in capfd.readouterr().err
