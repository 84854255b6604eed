"""Reads serverless.yml, as the Serverless Framework (versions 3 and 4) reads it: variables first, then what they make.

Functions and events become what the framework makes of them, with its defaults (6 seconds, 1024 MB, batches of 10);
`resources` are read as the CloudFormation that they are. What has no meaning here is listed as not applied.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import dotenv

from eventrouter.project import serverless_keys as keys
from eventrouter.project.cfn_members import checked
from eventrouter.project.cfn_names import Identity, Stack, function_identity, role_identity
from eventrouter.project.cfn_parameters import Unknown
from eventrouter.project.cfn_parts import Parts
from eventrouter.project.cfn_routes import AUTHORIZERS, DEFAULT_API, NO_CORS
from eventrouter.project.cfn_scope import Scope
from eventrouter.project.model import Place, Project, ProjectError
from eventrouter.project.serverless_functions import Service, function_name, logical_id, read_functions
from eventrouter.project.serverless_variables import Given, Variables
from eventrouter.project.template import read_parts
from eventrouter.project.yaml_lines import Node, load

_SERVICE = frozenset({"functions", "provider", "resources", "service", *keys.SERVICE, *keys.SERVICE_OWN})
_PROVIDER = frozenset(
    {
        *("environment", "httpApi", "logs", "memorySize", "name", "region", "runtime", "stackName", "stage", "tags"),
        *("timeout", *keys.PROVIDER, *keys.PROVIDER_OWN),
    }
)
_LOGS = dict.fromkeys(("frameworkLambda", "httpApi", "restApi", "websocket"), "only functions have logs here")
_HTTP_API = {
    "authorizers": AUTHORIZERS,
    "cors": NO_CORS,
    "disableDefaultEndpoint": "APIs have no domains of their own here",
    "id": "routes are those of this service",
    "metrics": "routes have no metrics of their own",
    "name": "APIs are named after the service",
    "shouldStartNameWithService": "APIs are named after the service",
    "timeout": "the timeout of integrations is the service's own",
    "useProviderTags": "routes have no tags here",
}
_PARTS = (
    "Resources", "Parameters", "Conditions", "Mappings", "Outputs", "Description", "Transform", "Metadata", "Rules",
)  # fmt: skip


def read_serverless(
    path: Path,
    options: Mapping[str, str] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    account: str = "000000000000",
    region: str = "us-east-1",
) -> Project:
    """Read a service into a project.

    `options` are what `${opt:}` and `${param:}` ask for, among them `stage` and `region`, and what is not known here:
    `resolve:ssm:/path`, exports by name. `environ` is the process's unless it is given; `region` holds where neither
    an option nor the provider names one. Raises ProjectError, with the line.
    """
    return _Reader(path, dict(options or {}), os.environ if environ is None else environ, account, region).project()


class _Reader:
    def __init__(
        self, path: Path, options: dict[str, str], environ: Mapping[str, str], account: str, region: str
    ) -> None:
        self._path = path
        self._root = load(path)
        if self._root.value is None:
            raise ProjectError(self._root.place, "the file is empty")
        folder = path.absolute().parent
        given = Given(folder=folder, region=region, account=account, options=options, environ=environ)
        self._given = self._settled(given)
        self._variables = Variables(self._root, self._given)
        self._extensions: list[tuple[str, Node]] = []
        """What changes the resources that the framework makes of the file."""

    def _settled(self, given: Given) -> Given:
        """Return what is given once stage, region and `.env` are known: they take part in the variables themselves."""
        before = Variables(self._root, given)
        stage = given.options.get("stage") or _known(before.look_up("provider.stage")) or given.stage
        region = given.options.get("region") or _known(before.look_up("provider.region")) or given.region
        environ = given.environ
        version, wanted = before.look_up("frameworkVersion"), before.look_up("useDotenv")
        is_fourth = version is not None and version.text.lstrip("^~>= ").startswith("4")
        if is_fourth or (wanted is not None and wanted.value is True):
            environ = {**_dotenv(given.folder, stage), **environ}
        return replace(given, stage=stage, region=region, environ=environ)

    def _section(self, name: str) -> Node | None:
        node = self._root.get(name)
        resolved = None if node is None else self._variables.resolve(node)
        return None if resolved is None or resolved.value is None else resolved

    def project(self) -> Project:
        root, given = self._root, self._given
        name, provider = self._name(), self._provider()
        plugins, package = self._section("plugins"), self._package()
        functions = _merged(self._section("functions"))
        names = {key: function_name(name, given.stage, key, node) for key, node in functions.items()}
        declared = provider.get("stackName")
        stack = Stack(
            account=given.account,
            region=given.region,
            name=_known(declared) if declared else f"{name}-{given.stage}",
        )
        parts = self._parts(stack, names)
        for extended, node in self._extensions:
            parts.skip(f"the extension of {extended}", node.place, "it changes what is made for AWS alone")
        keys.skip(parts, "the service", root.mapping, keys.SERVICE)
        has_plugins = self._note_plugins(parts, plugins)
        keys.check(parts, "the service", root.mapping, _SERVICE, has_plugins=has_plugins)
        self._check_provider(parts, provider, has_plugins=has_plugins)
        keys.skip(parts, "package", package, keys.PACKAGE)
        service = Service(provider=provider, package=package, functions=names, has_plugins=has_plugins)
        read_functions(parts, service, functions)
        self._check_options(parts)
        parts.not_applied += self._variables.not_applied
        return parts.project(files=(self._path, *self._variables.files))

    def _name(self) -> str:
        node = self._section("service")
        if node is None:
            raise ProjectError(Place(str(self._path)), "there is no service: the name that names begin with")
        named = node.get("name") if isinstance(node.value, Mapping) else node
        if named is None:
            raise ProjectError(node.place, "the service has no name")
        return _known(named)

    def _provider(self) -> dict[str, Node]:
        node = self._section("provider")
        if node is None:
            raise ProjectError(Place(str(self._path)), "there is no provider: name: aws")
        members = {"name": node} if isinstance(node.value, str) else node.mapping
        name = members.get("name")
        if name is None or name.text != "aws":
            raise ProjectError(name.place if name else node.place, "the provider must be aws")
        return {key: child for key, child in members.items() if child.value is not None}

    def _package(self) -> dict[str, Node]:
        node = self._section("package")
        package = dict(node.mapping) if node else {}
        known = {"artifact", *keys.PACKAGE, *keys.PACKAGE_OWN}
        for name, child in package.items():
            checked(name, child.place, known)
        return package

    def _note_plugins(self, parts: Parts, node: Node | None) -> bool:
        """Note every plugin as not applied, and say whether there are any."""
        listed = node.get("modules") if node and isinstance(node.value, Mapping) else node
        for plugin in listed.items if listed else ():
            parts.skip(f"the plugin {plugin.text}", plugin.place, "plugins are programs for Node.js; none is run")
        return listed is not None

    def _check_provider(self, parts: Parts, provider: Mapping[str, Node], *, has_plugins: bool) -> None:
        keys.check(parts, "the provider", provider, _PROVIDER, has_plugins=has_plugins)
        keys.skip(parts, "the provider", provider, keys.PROVIDER)
        for name, reasons, own in (("logs", _LOGS, "lambda"), ("httpApi", _HTTP_API, "payload")):
            members = provider[name].mapping if name in provider else {}
            for member, node in members.items():
                checked(member, node.place, {own, *reasons})
            keys.skip(parts, f"{name} of the provider", members, reasons)

    def _parts(self, stack: Stack, functions: Mapping[str, str]) -> Parts:
        """Return what `resources` declares, in whose words the functions are spoken of too."""
        others = {
            "ApiGatewayRestApi": Identity(DEFAULT_API, DEFAULT_API),
            "HttpApi": Identity(DEFAULT_API, DEFAULT_API),
            "IamRoleLambdaExecution": role_identity(f"{stack.name}-{stack.region}-lambdaRole", stack),
            **{logical_id(key): function_identity(name, stack) for key, name in functions.items()},
        }
        template = self._template()
        folder = self._given.folder
        if template.mapping.get("Resources") is not None:
            return read_parts(template, folder, stack, self._given.options, others)
        return Parts(scope=Scope(template, stack, self._given.options, others), folder=folder)

    def _template(self) -> Node:
        """Return `resources` as one template: a list of them is merged, as the framework does."""
        section = self._section("resources")
        if section is None:
            return Node({}, Place(str(self._path)))
        merged: dict[str, dict[str, Node]] = {}
        single: dict[str, Node] = {}
        for part in section.items if isinstance(section.value, list) else [section]:
            for name, node in part.mapping.items():
                if node.value is None:
                    continue
                if name == "extensions":
                    self._extensions += node.mapping.items()
                elif isinstance(node.value, Mapping):
                    merged.setdefault(checked(name, node.place, _PARTS), {}).update(node.mapping)
                else:
                    single[checked(name, node.place, _PARTS)] = node
        tree = {name: Node(members, section.place) for name, members in merged.items() if members}
        return Node({**single, **tree}, section.place)

    def _check_options(self, parts: Parts) -> None:
        known = {"stage", "region", *self._variables.asked}
        unused = sorted(set(parts.scope.unused) - known)
        if unused:
            checked(unused[0], Place(str(self._path)), known)


def _merged(section: Node | None) -> dict[str, Node]:
    """Return the functions of a file: a mapping, or a list of such, as files that are read in give them."""
    found: dict[str, Node] = {}
    for part in [] if section is None else section.items if isinstance(section.value, list) else [section]:
        for key, node in part.mapping.items():
            if key in found:
                raise ProjectError(node.place, f"the function {key} stands here twice; first on {found[key].place}")
            found[key] = node
    return found


def _known(node: Node | None) -> str:
    """Return a text that must be known before everything else. Raises ProjectError, and Unknown if it is not."""
    text = node.text if node else ""
    if node and "{{resolve:" in text:
        raise Unknown(node.place, text, text.partition("{{")[2].partition("}}")[0])
    return text


def _dotenv(folder: Path, stage: str) -> dict[str, str]:
    """Return the variables of `.env.STAGE`, or else of `.env`, beside the file."""
    for name in (f".env.{stage}", ".env"):
        if (folder / name).is_file():
            return {key: value for key, value in dotenv.dotenv_values(folder / name).items() if value is not None}
    return {}
