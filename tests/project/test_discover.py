"""Which file of a folder declares its project."""

import pytest

from eventrouter.project.discover import discover, read_project
from eventrouter.project.model import ProjectError
from tests.project.apps import write

pytestmark = pytest.mark.unit

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Name:
    Type: String
    Default: from-template
Resources:
  Orders:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: !Ref Name
"""
TOML = "[queues.from-toml]\n"
SERVERLESS = """
service: shop
provider:
  name: aws
resources:
  Resources:
    Orders:
      Type: AWS::SQS::Queue
      Properties:
        QueueName: from-${opt:stage, 'serverless'}
"""


def queues(project):
    return [queue.name for queue in project.queues]


def test_a_folder_that_declares_nothing_has_no_project(tmp_path):
    (tmp_path / "app.py").write_text("from flask import Flask\n")
    (tmp_path / "eventrouter.toml").write_text("port = 4567\n[redis]\nurl = 'redis://localhost'\n")
    (tmp_path / "readme.md").write_text("")

    assert discover(tmp_path) is None
    with pytest.raises(ProjectError, match=r"declares no project: none of template\.yaml, serverless\.yml"):
        read_project(tmp_path)


def test_the_first_file_wins_and_the_others_are_told(tmp_path):
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    (tmp_path / "serverless.yml").write_text(SERVERLESS)
    (tmp_path / "eventrouter.toml").write_text(TOML)
    write(tmp_path, "app.queue('from-app')\n")
    found = []
    for name in ("template.yaml", "serverless.yml", "eventrouter.toml", "app.py"):
        project = discover(tmp_path)
        found += queues(project)
        others = [item.what for item in project.not_applied]
        (tmp_path / name).unlink()
        assert others == [
            left for left in ("serverless.yml", "eventrouter.toml", "app.py") if (tmp_path / left).exists()
        ]

    assert found == ["from-template", "from-serverless", "from-toml", "from-app"]


def test_a_file_that_is_named_is_the_one(tmp_path):
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    path = write(tmp_path, "app.queue('from-app')\n")

    project = read_project(path)

    assert queues(project) == ["from-app"]
    assert project.not_applied == ()


def test_parameters_reach_templates_and_serverless_files_only(tmp_path):
    (tmp_path / "stack.yaml").write_text(TEMPLATE)
    (tmp_path / "serverless.yml").write_text(SERVERLESS)
    (tmp_path / "eventrouter.toml").write_text(TOML)

    assert queues(read_project(tmp_path / "stack.yaml", parameters={"Name": "given"})) == ["given"]
    assert queues(read_project(tmp_path / "serverless.yml", parameters={"stage": "given"})) == ["from-given"]
    for path in (tmp_path / "eventrouter.toml", write(tmp_path, "")):
        with pytest.raises(ProjectError, match=r"takes no parameters \(stage\)"):
            read_project(path, parameters={"stage": "given"})


def test_an_app_is_named_by_module_and_variable(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "other = App('other')\n@other.function()\ndef handler(event, context): ...\n")

    project = read_project(tmp_path.relative_to(tmp_path) / "app:other")

    assert project.name == "other"
    assert project.functions[0].code == tmp_path


def test_what_is_no_project_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("")

    with pytest.raises(ProjectError, match="is no project"):
        read_project(tmp_path / "notes.txt")


def test_a_broken_settings_file_is_read_so_that_its_line_is_told(tmp_path):
    (tmp_path / "eventrouter.toml").write_text("port = \n")

    with pytest.raises(ProjectError, match=r"eventrouter\.toml:1"):
        discover(tmp_path)
