"""What must hold of the repository itself: arrows between layers, documents that match the code, safe images."""

import importlib.metadata
import os
import re
import shlex
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest
import yaml

from eventrouter import __version__, emulator_variables
from eventrouter.cli.app import COMMANDS, root
from eventrouter.cli.reference import commands, rewritten, settings_table
from eventrouter.settings import Settings

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CLOCK_READERS = re.compile(
    r"\btime\.(time|time_ns|monotonic|monotonic_ns|perf_counter|sleep)\(|\basyncio\.sleep\(|\brandom\.(random|randint|choice|uniform)\("
)
VIRTUAL = ("testing/life.py", "testing/mishaps.py")
"""What runs on loops in virtual time only, where `asyncio.sleep` is the clock."""
OUTSIDE_THE_CLOCK = ("clock.py", "runtime/bootstrap", "runtime/zygote", "testing/virtual.py", *VIRTUAL)


def documents():
    return [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


def locked(name):
    """Return the packages of a lock file with their versions."""
    lines = (ROOT / name).read_text().splitlines()
    return dict(match.groups() for line in lines if (match := re.match(r"([a-z0-9._-]+)==([^ ;\\]+)", line)))


def test_imports_point_down_only():
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'adapters'}"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-4000:]


def test_nothing_reads_a_clock_sleeps_or_rolls_dice_but_the_clock():
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in (ROOT / "eventrouter").rglob("*.py")
        if not str(path.relative_to(ROOT / "eventrouter")).startswith(OUTSIDE_THE_CLOCK)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if CLOCK_READERS.search(line)
    ]

    assert found == []


def test_modules_stay_small_enough_to_read():
    sizes = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for folder in ("eventrouter", "adapters")
        for path in (ROOT / folder).rglob("*.py")
    }

    assert {path: size for path, size in sizes.items() if size > 500} == {}


def test_every_package_of_the_sources_is_marked_as_one():
    folders = {
        path.parent
        for source in ("eventrouter", "adapters/eventrouter_adapters")
        for path in (ROOT / source).rglob("*.py")
    }

    assert [str(folder.relative_to(ROOT)) for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_the_settings_table_is_the_code():
    text = (ROOT / "docs/configuration.md").read_text()

    assert text == rewritten(text, "settings", settings_table()), "run `make docs`"


def test_the_command_reference_is_the_code():
    text = (ROOT / "docs/cli.md").read_text()

    assert text == rewritten(text, "commands", commands(root)), "run `make docs`"


def test_every_command_can_be_had_as_json():
    lacking = []
    for name in COMMANDS:
        command = root.get_command(None, name)
        for leaf in getattr(command, "commands", {name: command}).values():
            if not any("--json" in parameter.opts for parameter in leaf.params):
                lacking.append(f"{name} {leaf.name}")

    assert lacking == []


def test_every_setting_says_what_it_is():
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_table_of_the_emulators_variables_is_the_code():
    table = (ROOT / "docs/configuration.md").read_text().partition("## Variables of the local emulators")[2]
    told = set(re.findall(r"^\| `([A-Z_]+)` \|", table, re.MULTILINE))
    rows = re.findall(r"^\| ([A-Z_, ]+) \|", emulator_variables.__doc__, re.MULTILINE)

    assert told == {name for row in rows for name in row.split(", ")}
    for name in told:
        found, _ = emulator_variables.read_emulator_variables({name: "debug" if name == "LS_LOG" else "1"})
        assert found, name


def test_every_command_line_of_the_documents_can_be_given():
    """Parsed, not run: the names of commands, the number of arguments, options and their values."""
    lines = [(path, line) for path in documents() for line in console_lines(path.read_text())]
    assert lines
    for path, line in lines:
        name, *arguments = shlex.split(re.split(r" [|<>&] | && ", line)[0], comments=True)[1:]
        command = root.get_command(None, name)
        assert command is not None, (path, line)
        if (subcommands := getattr(command, "commands", None)) is not None:
            command = subcommands[arguments.pop(0)]
        command.make_context(name, arguments)


def console_lines(text):
    """Return the command lines of ours in the console blocks of a document."""
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", "").splitlines()
    lines = [re.split(r" && ", line.removeprefix("$ "))[-1] for line in lines if line.startswith("$ ")]
    lines = [re.sub(r"^([A-Z_]+=\S+ )+", "", line) for line in lines]
    return [line for line in lines if line.startswith("eventrouter ")]


def test_links_between_documents_lead_somewhere():
    broken = []
    for path in documents():
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)", path.read_text()):
            if not (path.parent / target).exists():
                broken.append(f"{path.relative_to(ROOT)}: {target}")

    assert broken == []


def test_links_into_documents_name_a_heading_that_is_there():
    broken = []
    for path in documents():
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", path.read_text()):
            text = ((path.parent / target) if target else path).read_text()
            headings = {
                re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
                for line in text.splitlines()
                if line.startswith("#")
            }
            if anchor not in headings:
                broken.append(f"{path.relative_to(ROOT)}: {target}#{anchor}")

    assert broken == []


def test_every_decision_is_in_the_list_and_says_what_was_rejected():
    folder = ROOT / "docs/decisions"
    pages = sorted(path.name for path in folder.glob("0*.md"))

    assert re.findall(r"^\d+\. \[.+\]\((\S+)\)$", (folder / "README.md").read_text(), re.MULTILINE) == pages
    for page in pages:
        text = (folder / page).read_text()
        assert text.startswith(f"# {int(page[:4])}. "), page
        for part in ("**Decision.**", "**Why.**", "**Rejected.**", "**Consequences.**"):
            assert part in text, (page, part)


def test_every_target_that_the_documents_name_is_in_the_makefile():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for path in documents() for name in re.findall(r"(?:`|\$ )make ([a-z]+)", path.read_text())}

    assert named
    assert named <= targets


def test_the_lock_names_no_index_and_a_hash_for_every_package():
    for name in ("requirements.lock", "requirements-image.lock"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        assert "--index" not in text
        assert "--find-links" not in text
        for entry in re.split(r"\n(?=[a-z])", text.strip()):
            assert "--hash=sha256:" in entry, entry


def test_the_image_gets_the_versions_that_were_tested():
    tested = locked("requirements.lock")

    assert locked("requirements-image.lock").items() <= tested.items()


def test_the_lock_holds_every_dependency_of_the_project():
    extras = PROJECT["project"]["optional-dependencies"].values()
    wanted = [*PROJECT["project"]["dependencies"], *chain.from_iterable(extras)]
    names = {re.match(r"[A-Za-z0-9_-]+", requirement)[0] for requirement in wanted} - {"eventrouter"}

    assert names <= locked("requirements.lock").keys()


def test_the_version_is_told_once():
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert yaml.safe_load((ROOT / "docker-compose.yml").read_text())["x-node"]["image"] == f"eventrouter:{__version__}"


def test_adapters_are_found_by_entry_point():
    found = importlib.metadata.entry_points(group="eventrouter.adapters")

    assert {entry.name for entry in found} >= {"logs", "sqs"}
    assert all(callable(entry.load()) for entry in found)


class TestImage:
    text = (ROOT / "Dockerfile").read_text()
    final = text[text.rindex("\nFROM ") :]

    def test_the_process_has_no_rights(self):
        user = re.search(r"^USER (\S+)$", self.final, re.MULTILINE)[1]
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)

    def test_every_base_is_pinned_to_a_release(self):
        bases = re.findall(r"^FROM (\S+)", self.text, re.MULTILINE)
        assert all(re.search(r":\d+\.\d+", base) for base in bases)

    def test_packages_are_installed_by_hash(self):
        assert "--require-hashes -r /src/requirements-image.lock" in self.text

    def test_it_tells_its_health_and_takes_arguments(self):
        assert "HEALTHCHECK" in self.final
        assert 'ENTRYPOINT ["eventrouter"]' in self.final
        assert 'CMD ["dev"]' in self.final

    def test_what_it_copies_is_let_through_by_the_ignore_file(self):
        kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
        copies = re.findall(r"^COPY (?!--from)(.+) \S+$", self.text, re.MULTILINE)
        assert {source for line in copies for source in line.split()} <= kept

    def test_the_health_check_is_valid_python(self):
        code = re.search(r'CMD \["python", "-c", "(.+)"\]', self.final)[1]
        compile(code, "healthcheck", "exec")


class TestCompose:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    services = compose["services"]

    def test_two_nodes_share_one_server(self):
        assert set(self.services) == {"valkey", "node-a", "node-b"}
        urls = {self.services[name]["environment"]["EVENTROUTER_REDIS_URL"] for name in ("node-a", "node-b")}
        assert len(urls) == 1

    def test_the_server_is_one_that_a_node_accepts(self):
        command = " ".join(self.services["valkey"]["command"])
        for setting in (
            "--appendonly yes",
            "--maxmemory-policy noeviction",
            "--maxmemory ",
            "--timeout 0",
            "--requirepass",
        ):
            assert setting in command

    def test_every_service_is_watched_and_cannot_write_its_root(self):
        for name, service in self.services.items():
            assert service["healthcheck"]["test"], name
            assert service["read_only"] is True, name
            assert service["tmpfs"] == ["/tmp"], name

    def test_no_service_can_gain_rights(self):
        for name, service in self.services.items():
            assert service["cap_drop"] == ["ALL"], name
            assert service["security_opt"] == ["no-new-privileges:true"], name

    def test_no_image_floats_and_no_password_is_written_down(self):
        text = (ROOT / "docker-compose.yml").read_text()
        assert all(re.search(r":\d+\.\d+", service["image"]) for service in self.services.values())
        assert "${VALKEY_PASSWORD:?" in text

    def test_a_node_has_time_to_drain(self):
        grace = float(self.services["node-a"]["environment"]["EVENTROUTER_GRACE_S"])
        assert float(self.services["node-a"]["stop_grace_period"].removesuffix("s")) > grace

    def test_the_variables_are_settings(self):
        known = {f"EVENTROUTER_{name.upper()}" for name in Settings.model_fields}
        for name in ("node-a", "node-b"):
            assert set(self.services[name]["environment"]) <= known

    def test_ports_are_for_this_machine_only_and_do_not_collide(self):
        ports = [port for service in self.services.values() for port in service.get("ports", [])]
        assert all(port.startswith("127.0.0.1:") for port in ports)
        assert len(set(ports)) == 2
