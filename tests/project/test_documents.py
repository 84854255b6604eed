"""What the documents say about apps is so."""

import inspect
import re
from pathlib import Path

import pytest

from eventrouter import App
from eventrouter.project.app_reader import read_app
from eventrouter.project.check import check

pytestmark = pytest.mark.unit

APPS = (Path(__file__).resolve().parents[2] / "docs/apps.md").read_text()


def test_the_app_of_the_documents_is_one(tmp_path):
    (source,) = re.findall(r"```python\n(.*?)```", APPS, re.DOTALL)
    (tmp_path / "app.py").write_text(source)

    project = read_app(tmp_path / "app.py")

    assert check(project) == []
    assert [function.name for function in project.functions] == ["take_orders", "count", "clean_up", "show"]
    assert [queue.name for queue in project.queues] == ["orders-failed", "orders"]
    assert len(project.mappings) == 2
    assert len(project.schedules) == len(project.routes) == 1


@pytest.mark.parametrize("decorator", ["function", "queue", "stream", "schedule", "route"])
def test_every_parameter_is_told_in_the_documents(decorator):
    method = getattr(App, decorator)
    told = set(re.findall(r"`(\w+)`", APPS[APPS.index("## What can be declared") :]))
    parameters = set(inspect.signature(method).parameters) - {"self", "name", "expression", "key"}

    assert parameters <= told
