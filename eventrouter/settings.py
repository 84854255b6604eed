"""Every setting of a node, in one model, and where each value comes from.

Order, later wins: defaults, `eventrouter.toml` (or `[tool.eventrouter]` in `pyproject.toml`), the variables that
users of the local AWS emulators already set (`emulator_variables`), variables `EVENTROUTER_*`, flags.
"""

from __future__ import annotations

import difflib
import enum
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from eventrouter.emulator_variables import read_emulator_variables
from eventrouter.errors import ConfigError
from eventrouter.redis_url import read_redis_url

ENV_PREFIX = "EVENTROUTER_"
TEST_PREFIX = "EVENTROUTER_TEST_"
"""Variables of this prefix belong to the test suite; a node passes them by."""
FILE_NAME = "eventrouter.toml"
PROJECT_TABLES = ("functions", "mappings", "queues", "streams", "schedules", "routes")
"""Tables of `eventrouter.toml` that declare what is deployed; `eventrouter.project.toml` reads them."""
FLAGS = {"grace_s": "--grace"}
"""Flags that are not called as their setting."""


class Role(enum.StrEnum):
    """One of the things that nodes do."""

    API = "api"
    WORKER = "worker"
    POLLER = "poller"


_PERSISTING = {"strict", "replicated", "replicated-strict"}
_PASSWORD = re.compile(r"(?P<before>://[^:/@?#]*:)\S*@")  # greedy: a password may hold an unescaped @ or /
_PASSWORD_PARAMETER = re.compile(r"(?P<before>[?&](?:sentinel_)?password=)[^&#]*")


def _lowered(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _redis_url(value: str | None) -> str | None:
    if value is not None:
        read_redis_url(value)
    return value


def _roles(value: str) -> str:
    """Return the names of roles in one order, each once."""
    given = {name.strip().lower() for name in value.split(",")} - {""}
    if not given or not given <= set(Role):
        raise ValueError(f"must name at least one of {', '.join(Role)}, separated by commas")
    return ",".join(role for role in Role if role in given)


def _http_url(value: str | None) -> str | None:
    if value is None:
        return None
    if not value.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    return value.rstrip("/")


Lowered = BeforeValidator(_lowered)
Seconds = Annotated[float, Field(allow_inf_nan=False)]


class Settings(BaseSettings):
    """What a node is told. A model built directly holds what it is given; `load_settings` reads all layers."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", min_length=1, description="Address the API listens on.")
    port: int = Field(4566, ge=0, le=65535, description="Port of every API; 0 picks a free one.")
    advertise_url: Annotated[str | None, AfterValidator(_http_url)] = Field(
        None, description="URL under which other nodes and functions reach this node."
    )
    data_dir: Path = Field(Path(".eventrouter"), description="Where packages, environments and `dev`'s Valkey live.")
    redis_url: Annotated[str | None, AfterValidator(_redis_url)] = Field(
        None, description="URL of a server, of sentinels or of a cluster; none: the embedded Valkey."
    )
    key_prefix: str = Field("er", pattern=r"^[A-Za-z0-9_-]{1,32}$", description="Prefix of every key in Redis.")
    partitions: int = Field(16, ge=1, le=256, description="Partitions of the async queue; fixed at install.")
    durability: Annotated[Literal["memory", "standard", "strict", "replicated", "replicated-strict"], Lowered] = Field(
        "standard", description="What a 202 promises."
    )
    replicas: int = Field(1, ge=1, le=16, description="Replicas that must have an event, if durability is replicated.")
    grace_s: Seconds = Field(30.0, ge=0, description="How long a draining node waits for running invocations.")
    roles: Annotated[str, AfterValidator(_roles)] = Field(
        "api,worker,poller", description="What this node does: api, worker, poller, separated by commas."
    )
    region: str = Field(
        "us-east-1", pattern=r"^[a-z]{2,4}(-[a-z]+)+-\d$", description="Region of requests whose signature names none."
    )
    account_concurrency: int = Field(1000, ge=1, description="Concurrent executions per account and region.")
    max_environments: int = Field(1000, ge=1, description="Execution environments this node keeps at most.")
    environment_idle_s: Seconds = Field(600.0, gt=0, description="Idle time after which an environment is ended.")
    async_retry_base_delay: Seconds = Field(
        60.0, ge=0, description="Seconds to the first async retry; the second waits twice that."
    )
    async_max_payload_bytes: int = Field(1_048_576, ge=1, description="Largest asynchronous event.")
    mapping_max_backoff_s: Seconds = Field(
        12.0, ge=1, description="Longest pause between two tries of a failing stream batch, in seconds."
    )
    mapping_poll_interval_s: Seconds = Field(
        1.0, gt=0, description="Seconds between two looks at a source that cannot be waited on."
    )
    kinesis_throughput_limits: bool = Field(
        False, description="Refuse what a Kinesis shard would refuse: over 1,000 records or 1 MiB written in a second."
    )
    kinesis_error_probability: Seconds = Field(
        0.0, ge=0, le=1, description="Share of records that PutRecord and PutRecords refuse, to test retries."
    )
    kinesis_latency_s: Seconds = Field(
        0.0, ge=0, description="How long a Kinesis stream stays in CREATING, UPDATING and DELETING."
    )
    dynamodb_streams_endpoint: Annotated[str | None, AfterValidator(_http_url)] = Field(
        None, description="URL of a DynamoDB Streams API to read from; none: DynamoDB sources are refused."
    )
    history_limit: int = Field(
        65_536, ge=0, description="Decisions that a node remembers for `eventrouter explain`; 20 MB at 65536."
    )
    log_retention_days: Seconds = Field(14, gt=0, description="Age at which function logs are dropped.")
    log_max_bytes: int = Field(16_777_216, ge=65_536, description="Bytes of logs kept per log group.")
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Lowered] = Field(
        "info", description="Level of the node's own log."
    )
    log_format: Annotated[Literal["auto", "json", "console"], Lowered] = Field(
        "auto", description="auto: console on a terminal, else JSON."
    )
    clock: Annotated[Literal["system", "virtual"], Lowered] = Field(
        "system", description="virtual: the node's time can be advanced, by tests in any language."
    )
    dev: bool = Field(False, description="Development mode: reset is allowed, code is reloaded on change.")

    def has_role(self, role: Role) -> bool:
        """Say whether the node has a role."""
        return role in self.roles.split(",")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave out pydantic's own reading: `load_settings` does it, and knows where each value came from."""
        return (init_settings,)


class Layer(enum.StrEnum):
    """Where a value can come from; later ones win."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    FLAG = "flag"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where one value came from: the layer, and the file, variable or flag by name."""

    layer: Layer
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """Where every value came from, by setting, and what was set but has no meaning here."""

    of: Mapping[str, Origin]
    warnings: tuple[str, ...] = ()


Given = dict[str, tuple[Any, Origin]]


def load_settings(flags: Mapping[str, Any], *, cwd: Path, environ: Mapping[str, str]) -> tuple[Settings, Origins]:
    """Merge all layers and return the settings with the origin of each value.

    `flags` maps settings to values; None stands for a flag that was not given. A relative `data_dir` is taken
    from `cwd`. Raises ConfigError for unknown keys (naming the nearest one) and values that break a rule.
    """
    given = _read_files(cwd)
    emulator, warnings = read_emulator_variables(environ)
    for variable, field, value in emulator:
        if variable == "PERSISTENCE" and value == "standard" and given.get("durability", ("",))[0] in _PERSISTING:
            continue  # it persists already
        given[field] = (value, Origin(layer=Layer.ENVIRONMENT, where=variable))
    given.update(_read_environment(environ))
    for field, value in flags.items():
        if value is not None:
            flag = FLAGS.get(field, "--" + field.replace("_", "-"))
            given[field] = (value, Origin(layer=Layer.FLAG, where=flag))
    settings = _validated(given)
    default = Origin(layer=Layer.DEFAULT, where="default")
    origins = {field: given[field][1] if field in given else default for field in Settings.model_fields}
    absolute = settings.model_copy(update={"data_dir": (cwd / settings.data_dir.expanduser()).absolute()})
    return absolute, Origins(of=origins, warnings=warnings)


def masked(value: object) -> object:
    """Return a setting's value fit to be shown: passwords inside URLs become ***."""
    if not isinstance(value, str):
        return value
    return _PASSWORD_PARAMETER.sub(r"\g<before>***", _PASSWORD.sub(r"\g<before>***@", value))


def nearest(key: str, known: Iterable[str]) -> str:
    """Return the one of `known` that reads most like `key`."""
    return max(known, key=lambda candidate: difflib.SequenceMatcher(None, key, candidate).ratio())


def _validated(given: Given) -> Settings:
    try:
        return Settings(**{field: value for field, (value, _) in given.items()})
    except ValidationError as error:
        raise ConfigError("\n".join(_explained(given, error))) from None


def _explained(given: Given, error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        field = str(problem["loc"][0])
        if field not in Settings.model_fields:
            yield f"{field}: unknown setting; the nearest is {nearest(field, Settings.model_fields)}"
            continue
        value, origin = given[field]
        rule = problem["msg"].removeprefix("Value error, ")
        yield f"{field} = {masked(value)!r} (from {origin.where}): {rule[:1].lower()}{rule[1:]}"


def _read_files(cwd: Path) -> Given:
    own, project = cwd / FILE_NAME, cwd / "pyproject.toml"
    from_own = _parsed(own) if own.is_file() else None
    tools = _parsed(project).get("tool") if project.is_file() else None
    from_project = tools.get("eventrouter") if isinstance(tools, dict) else None
    if from_own is not None and from_project is not None:
        raise ConfigError(f"settings stand in both {own} and [tool.eventrouter] of {project}: keep one of the two")
    if from_own is not None:
        return dict(_flattened(from_own, where=FILE_NAME))
    if isinstance(from_project, dict):
        return dict(_flattened(from_project, where="pyproject.toml [tool.eventrouter]"))
    return {}


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None


def _flattened(table: Mapping[str, Any], *, where: str) -> Iterator[tuple[str, tuple[Any, Origin]]]:
    """Yield each setting of a file; `url` in a table `[redis]` is the setting `redis_url`."""
    for key, value in table.items():
        if key in PROJECT_TABLES:
            if where == FILE_NAME:
                continue
            raise ConfigError(f"{key} in {where}: what a project declares stands in {FILE_NAME}")
        if isinstance(value, dict | list) and not any(name.startswith(f"{key}_") for name in Settings.model_fields):
            raise ConfigError(f"{key} in {where}: unknown table; the nearest is {nearest(key, PROJECT_TABLES)}")
        names = {f"{key}_{inner}": found for inner, found in value.items()} if isinstance(value, dict) else {key: value}
        for name, found in names.items():
            if name not in Settings.model_fields:
                known = nearest(name, Settings.model_fields)
                raise ConfigError(f"{name} in {where}: unknown setting; the nearest is {known}")
            yield name, (found, Origin(layer=Layer.FILE, where=where))


def _read_environment(environ: Mapping[str, str]) -> Given:
    fields = {ENV_PREFIX + field.upper(): field for field in Settings.model_fields}
    given: Given = {}
    for variable, value in environ.items():
        if not variable.startswith(ENV_PREFIX) or variable.startswith(TEST_PREFIX):
            continue
        if variable not in fields:
            raise ConfigError(f"{variable}: unknown variable; the nearest is {nearest(variable, fields)}")
        if value:  # empty means unset, as compose files write it
            given[fields[variable]] = (value, Origin(layer=Layer.ENVIRONMENT, where=variable))
    return given
