"""The variables of a serverless.yml: what `${self:}`, `${opt:}`, `${env:}`, `${file()}` and others hold.

Values are looked up when they are needed, so that the order of the file does not matter; who needs himself is told the
way round. A variable that is a whole value may stand for a mapping or a list, one inside a text for a scalar.
Source: the Serverless Framework's reference of variables, versions 3 and 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eventrouter.project.model import NotApplied, Place, ProjectError
from eventrouter.project.serverless_expression import BadExpression, Literal, Source, Variable, split_text
from eventrouter.project.yaml_lines import MAX_FILE_BYTES, MAX_NODES, Node, load, read_text

_ELSEWHERE = {
    "ssm": "the parameter store",
    "cf": "stacks of CloudFormation",
    "s3": "S3",
    "git": "the repository",
    "output": "other services",
    "secrets": "a vault",
    "vault": "a vault",
    "doppler": "Doppler",
    "terraform": "Terraform's state",
}
"""Sources that would have to be asked for over the network, or by running something."""
MAX_MADE = 16 * MAX_FILE_BYTES
"""The most characters of all texts that variables are part of: references can multiply them."""
_PROGRAMS = frozenset({".js", ".cjs", ".mjs", ".ts", ".cts", ".mts"})
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What is known from outside of the file: the environment, where it runs, and what the command was given.

    `options` are asked by `${opt:}` and `${param:}`; one of the name `resolve:ssm:/path` answers `${ssm:/path}`.
    """

    folder: Path
    stage: str = "dev"
    region: str = "us-east-1"
    account: str = "000000000000"
    options: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)


class Variables:
    """One file's variables. `not_applied` are the sources that could not be asked, where a default was taken."""

    def __init__(self, root: Node, given: Given) -> None:
        self._root = root
        self._given = given
        self._shallow_values: dict[int, Node] = {}
        self._deep_values: dict[int, tuple[Node, int]] = {}
        self._unfolding: set[int] = set()
        self._alive: list[Node] = []
        """Every node whose id is a key above, so that no other node can get that id."""
        self._open: dict[tuple[str, str], str] = {}
        self._made = 0
        self._files: dict[Path, Node | None] = {}
        self.asked: set[str] = set()
        """The names of the options that were asked for."""
        self.not_applied: list[NotApplied] = []

    @property
    def files(self) -> tuple[Path, ...]:
        """Return the files that variables have read, in the order of their first use."""
        return tuple(path for path, content in self._files.items() if content is not None)

    def resolve(self, node: Node) -> Node:
        """Return `node` with every variable in it replaced. Raises ProjectError, which names the line."""
        try:
            return self._deep(node)[0]
        except RecursionError:
            raise ProjectError(node.place, "the variables are nested too deeply") from None

    def look_up(self, address: str) -> Node | None:
        """Return what stands under an address such as `provider.stage`, resolved; None if nothing does."""
        try:
            found = self._within(self._root, address)
        except RecursionError:
            raise ProjectError(self._root.place, f"the variables of {address} are nested too deeply") from None
        if found is None or not isinstance(found.value, Mapping | list):
            return found  # a text is whole already: what still looks like a variable in it was meant
        return self.resolve(found)

    def _deep(self, node: Node) -> tuple[Node, int]:
        """Return `node` resolved, and how many values that makes: references can multiply them."""
        if id(node) in self._deep_values:
            return self._deep_values[id(node)]
        if id(node) in self._unfolding:
            raise ProjectError(node.place, "the variables go round in circles: this stands inside of what it names")
        self._unfolding.add(id(node))
        shallow = self._shallow(node)
        size = 1
        resolved = shallow
        if isinstance(shallow.value, Mapping):
            members = {}
            for key, child in shallow.value.items():
                members[key], inner = self._deep(child)
                size += inner
            resolved = Node(members, shallow.place)
        elif isinstance(shallow.value, Sequence) and not isinstance(shallow.value, str):
            items = []
            for child in shallow.value:
                item, inner = self._deep(child)
                items.append(item)
                size += inner
            resolved = Node(items, shallow.place)
        if size > MAX_NODES:
            raise ProjectError(node.place, f"the variables unfold to more than {MAX_NODES} values")
        self._unfolding.discard(id(node))
        self._alive.append(node)
        self._deep_values[id(node)] = resolved, size
        return resolved, size

    def _shallow(self, node: Node) -> Node:
        """Return `node` itself, or what it stands for if it is a text with variables; what is inside stays."""
        if not isinstance(node.value, str) or "${" not in node.value:
            return node
        if id(node) in self._shallow_values:
            return self._shallow_values[id(node)]
        key = (str(node.place), node.value)
        if key in self._open:
            way = " -> ".join([*list(self._open.values())[list(self._open).index(key) :], node.value])
            raise ProjectError(node.place, f"the variables go round in circles: {way}")
        self._open[key] = node.value
        try:
            found = self._text(node.value, node.place)
        except BadExpression as problem:
            raise ProjectError(node.place, str(problem)) from None
        finally:
            del self._open[key]
        self._alive.append(node)
        self._shallow_values[id(node)] = found
        return found

    def _text(self, text: str, place: Place) -> Node:
        parts = split_text(text)
        if len(parts) == 1 and isinstance(parts[0], Variable):
            return self._variable(parts[0], place)
        joined = "".join(part if isinstance(part, str) else self._scalar(part, place) for part in parts)
        self._made += len(joined)
        if self._made > MAX_MADE:
            raise ProjectError(place, f"the variables up to here unfold to more than {MAX_MADE} characters")
        return Node(joined, place)

    def _scalar(self, variable: Variable, place: Place) -> str:
        found = self._variable(variable, place)
        if found.value is None or isinstance(found.value, Mapping | list | tuple):
            raise ProjectError(place, f"{variable.text} is {found.kind} and cannot be part of a text")
        return found.text

    def _variable(self, variable: Variable, place: Place) -> Node:
        found = self._first(variable, place)
        if found is not None:
            return found
        raise ProjectError(place, f"{variable.text} has no value and no default")

    def _first(self, variable: Variable, place: Place) -> Node | None:
        """Return what the first candidate that has a value holds."""
        passed: list[Source] = []
        for candidate in variable.candidates:
            if isinstance(candidate, Literal):
                found: Node | None = Node(candidate.value, place)
            elif isinstance(candidate, Variable):
                found = self._first(candidate, place)
            else:
                found = self._source(candidate, place)
                if candidate.kind in _ELSEWHERE:
                    passed.append(candidate)
            if found is not None:
                for source in passed:
                    why = f"{_ELSEWHERE[source.kind]} cannot be asked; the default holds"
                    self.not_applied.append(NotApplied(what=f"${{{source.kind}:}}", place=place, why=why))
                return found
        return self._stand_in(passed[0], place) if passed else None

    def _stand_in(self, source: Source, place: Place) -> Node:
        """Return a dynamic reference of CloudFormation's: who needs its value tells how to give it."""
        return Node(f"{{{{{self._reference(source, place)}}}}}", place)

    def _reference(self, source: Source, place: Place) -> str:
        return f"resolve:{source.kind}:{self._plain(source.address, place)}"

    def _source(self, source: Source, place: Place) -> Node | None:
        """Return what a source holds under its address, or None if it holds nothing there."""
        address = self._plain(source.address, place)
        given = self._given
        match source.kind:
            case "self":
                return self._within(self._root, address) or self._implied(address, place)
            case "file":
                return self._file(self._plain(source.argument, place), address, place)
            case "opt":
                return self._option(address, place)
            case "env":
                return _text(given.environ.get(address), place)
            case "param":
                return self._param(address, place)
            case "sls" if address == "stage":
                return Node(given.stage, place)
            case "aws" if address in ("region", "accountId"):
                return Node(given.region if address == "region" else given.account, place)
            case "strToBool":
                return self._boolean(self._plain(source.argument, place), place)
            case kind if kind in _ELSEWHERE:
                return self._option(self._reference(source, place), place)
            case kind:
                told = f"{kind}:{address}" if address else kind
                raise ProjectError(place, f"${{{told}}}: there is no such source of variables here")

    def _plain(self, text: str | None, place: Place) -> str:
        """Return the text of an argument or address, with the variables in it replaced."""
        return self._text(text, place).text.strip() if text else ""

    def _within(self, node: Node, address: str) -> Node | None:
        """Return what stands under a dotted address below `node`; None if nothing does, or null."""
        found = self._shallow(node)
        for key in address.split(".") if address else ():
            inner: Node | None = None
            if isinstance(found.value, Mapping):
                inner = found.value.get(key)
            elif isinstance(found.value, list) and key.isdecimal() and int(key) < len(found.value):
                inner = found.value[int(key)]
            if inner is None:
                return None
            found = self._shallow(inner)
        return None if found.value is None else found

    def _implied(self, address: str, place: Place) -> Node | None:
        """Return what the framework puts into the file where it says nothing."""
        implied = {"provider.stage": self._given.stage, "provider.region": self._given.region}
        return _text(implied.get(address), place)

    def _option(self, name: str, place: Place) -> Node | None:
        self.asked.add(name)
        return _text(self._given.options.get(name), place)

    def _param(self, name: str, place: Place) -> Node | None:
        given = self._option(name, place)
        if given is not None:
            return given
        stage = self._given.stage
        for where in (f"stages.{stage}.params", f"params.{stage}", "stages.default.params", "params.default"):
            table = self._within(self._root, where)
            if table is not None and (found := self._within(table, name)) is not None:
                return found
        return None

    def _file(self, name: str, address: str, place: Place) -> Node | None:
        path = (self._given.folder / Path(name).expanduser()).resolve()
        if path.suffix in _PROGRAMS:
            raise ProjectError(place, f"file({name}) is a program; only YAML, JSON and text files are read")
        if path not in self._files:
            self._files[path] = self._content(path) if path.is_file() else None
        content = self._files[path]
        return None if content is None else self._within(content, address)

    def _content(self, path: Path) -> Node:
        if path.suffix in (".yml", ".yaml", ".json"):
            return load(path)
        return Node(read_text(path).strip(), Place(str(path), 1))

    def _boolean(self, text: str, place: Place) -> Node:
        if text.lower() not in _BOOLEANS:
            raise ProjectError(place, f"strToBool({text}): must be true, false, 1 or 0")
        return Node(_BOOLEANS[text.lower()], place)


def _text(value: str | None, place: Place) -> Node | None:
    return None if value is None else Node(value, place)
