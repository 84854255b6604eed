from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.emulator_variables import read_emulator_variables
from eventrouter.errors import ConfigError
from eventrouter.settings import PROJECT_TABLES, Layer, Role, Settings, load_settings, masked, nearest

pytestmark = pytest.mark.unit


def load(tmp_path, *, flags=None, **environ):
    return load_settings(flags or {}, cwd=tmp_path, environ=environ)


def test_without_anything_given_the_defaults_hold_and_say_so(tmp_path):
    settings, origins = load(tmp_path)

    assert settings.port == 4566
    assert {origin.layer for origin in origins.of.values()} == {Layer.DEFAULT}
    assert set(origins.of) == set(Settings.model_fields)


def test_each_layer_wins_over_the_one_before(tmp_path):
    (tmp_path / "eventrouter.toml").write_text("port = 1001\nhost = '10.0.0.1'\nregion = 'eu-west-1'\ngrace_s = 1\n")

    settings, origins = load(
        tmp_path,
        flags={"grace_s": 4.0, "host": None},
        GATEWAY_LISTEN="0.0.0.0:1002",
        EVENTROUTER_PORT="1003",
        EVENTROUTER_GRACE_S="3",
    )

    assert (settings.region, settings.host, settings.port, settings.grace_s) == ("eu-west-1", "0.0.0.0", 1003, 4.0)
    where = {name: origins.of[name].where for name in ("region", "host", "port", "grace_s")}
    assert where == {
        "region": "eventrouter.toml",
        "host": "GATEWAY_LISTEN",
        "port": "EVENTROUTER_PORT",
        "grace_s": "--grace",
    }


def test_settings_may_stand_in_pyproject(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n[tool.eventrouter]\nport = 7\n")

    settings, origins = load(tmp_path)

    assert settings.port == 7
    assert origins.of["port"].where == "pyproject.toml [tool.eventrouter]"


def test_a_pyproject_of_someone_elses_is_no_configuration(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")

    assert load(tmp_path)[0].port == 4566


def test_settings_in_two_files_are_refused(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.eventrouter]\nport = 7\n")
    (tmp_path / "eventrouter.toml").write_text("port = 8\n")

    with pytest.raises(ConfigError, match="keep one of the two"):
        load(tmp_path)


def test_what_a_file_declares_to_be_deployed_is_no_setting(tmp_path):
    tables = "\n".join(f"[{table}.x]\ntimeout = '3s'" for table in PROJECT_TABLES)
    (tmp_path / "eventrouter.toml").write_text(f"port = 8\n{tables}\n")

    assert load(tmp_path)[0].port == 8


def test_a_pyproject_declares_nothing_to_be_deployed(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.eventrouter.functions.orders]\nhandler = 'a.b'\n")

    with pytest.raises(ConfigError, match=r"functions in pyproject.toml .*: .* stands in eventrouter.toml"):
        load(tmp_path)


def test_a_table_names_the_first_part_of_its_settings(tmp_path):
    (tmp_path / "eventrouter.toml").write_text("[redis]\nurl = 'redis://one'\n[async]\nretry_base_delay = 2\n")

    settings, _ = load(tmp_path)

    assert (settings.redis_url, settings.async_retry_base_delay) == ("redis://one", 2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("prot = 1", "prot in eventrouter.toml: unknown setting; the nearest is port"),
        ("[redis]\nurll = 'x'", "redis_urll in eventrouter.toml: unknown setting; the nearest is redis_url"),
        ("[function.orders]\nhandler = 'a.b'", "function in eventrouter.toml: unknown table; the nearest is functions"),
        ("[[mapings]]\nsource = 'q'", "mapings in eventrouter.toml: unknown table; the nearest is mappings"),
        ("port = ", "cannot be read"),
        ("port = 'many'", r"port = 'many' \(from eventrouter.toml\): input should be a valid integer"),
    ],
)
def test_a_file_that_cannot_be_meant_is_told_in_full(tmp_path, text, told):
    (tmp_path / "eventrouter.toml").write_text(text)

    with pytest.raises(ConfigError, match=told):
        load(tmp_path)


def test_an_unknown_variable_names_the_nearest(tmp_path):
    with pytest.raises(
        ConfigError, match="EVENTROUTER_REDISURL: unknown variable; the nearest is EVENTROUTER_REDIS_URL"
    ):
        load(tmp_path, EVENTROUTER_REDISURL="redis://one")


def test_an_empty_variable_counts_as_unset(tmp_path):
    settings, origins = load(tmp_path, EVENTROUTER_PORT="", EVENTROUTER_REDIS_URL="", GATEWAY_LISTEN="")

    assert (settings.port, settings.redis_url) == (4566, None)
    assert origins.of["port"].layer is Layer.DEFAULT


def test_variables_of_the_test_suite_are_passed_by(tmp_path):
    assert load(tmp_path, EVENTROUTER_TEST_REDIS="anything")[0].port == 4566


def test_an_error_names_field_value_origin_and_rule_of_each_mistake(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, EVENTROUTER_PORT="99999", EVENTROUTER_ADVERTISE_URL="ftp://here")

    first, second = sorted(str(caught.value).splitlines())
    assert first == "advertise_url = 'ftp://here' (from EVENTROUTER_ADVERTISE_URL): must begin with http:// or https://"
    assert second == "port = '99999' (from EVENTROUTER_PORT): input should be less than or equal to 65535"


def test_an_error_never_shows_a_password(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, EVENTROUTER_REDIS_URL="http://user:secret@host")

    assert "secret" not in str(caught.value)
    assert "***" in str(caught.value)


def test_choices_are_read_in_any_case(tmp_path):
    settings, _ = load(tmp_path, EVENTROUTER_LOG_LEVEL="WARNING", EVENTROUTER_DURABILITY="Strict")

    assert (settings.log_level, settings.durability) == ("warning", "strict")


def test_the_data_directory_comes_back_absolute(tmp_path):
    assert load(tmp_path)[0].data_dir == tmp_path / ".eventrouter"
    assert load(tmp_path, EVENTROUTER_DATA_DIR="/elsewhere")[0].data_dir == Path("/elsewhere")


def test_a_model_built_directly_reads_no_environment(monkeypatch):
    monkeypatch.setenv("EVENTROUTER_PORT", "1")

    assert Settings().port == 4566


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"GATEWAY_LISTEN": "0.0.0.0:4577"}, {"host": "0.0.0.0", "port": 4577}),
        ({"GATEWAY_LISTEN": ":4577"}, {"host": "127.0.0.1", "port": 4577}),
        ({"GATEWAY_LISTEN": "4577"}, {"host": "127.0.0.1", "port": 4577}),
        ({"GATEWAY_LISTEN": "0.0.0.0"}, {"host": "0.0.0.0", "port": 4566}),
        ({"GATEWAY_LISTEN": "[::1]:9"}, {"host": "::1", "port": 9}),
        ({"EDGE_PORT": "9"}, {"port": 9}),
        ({"EDGE_PORT": "9", "GATEWAY_LISTEN": ":8"}, {"port": 8}),
        ({"DEBUG": "1"}, {"log_level": "debug"}),
        ({"DEBUG": "*"}, {"log_level": "info"}),
        ({"LS_LOG": "trace"}, {"log_level": "debug"}),
        ({"DEBUG": "1", "LS_LOG": "error"}, {"log_level": "error"}),
        ({"LAMBDA_KEEPALIVE_MS": "1500"}, {"environment_idle_s": 1.5}),
        ({"LAMBDA_RETRY_BASE_DELAY": "1"}, {"async_retry_base_delay": 1.0}),
        ({"LAMBDA_LIMITS_CONCURRENT_EXECUTIONS": "10"}, {"account_concurrency": 10}),
        ({"PERSISTENCE": "0"}, {"durability": "memory"}),
        ({"PERSISTENCE": "1"}, {"durability": "standard"}),
    ],
)
def test_the_variables_of_local_emulators_are_honoured(tmp_path, environ, expected):
    settings, _ = load(tmp_path, **environ)

    assert {name: getattr(settings, name) for name in expected} == expected


def test_persistence_never_weakens_what_the_file_promises(tmp_path):
    (tmp_path / "eventrouter.toml").write_text("durability = 'strict'\n")

    assert load(tmp_path, PERSISTENCE="1")[0].durability == "strict"


@pytest.mark.parametrize(
    "environ",
    [{"GATEWAY_LISTEN": "host:port"}, {"LS_LOG": "loud"}, {"PERSISTENCE": "maybe"}, {"LAMBDA_KEEPALIVE_MS": "long"}],
)
def test_an_emulator_variable_without_meaning_is_an_error_that_names_it(environ):
    with pytest.raises(ConfigError, match=next(iter(environ))):
        read_emulator_variables(environ)


def test_all_unknown_lambda_variables_make_one_warning(tmp_path):
    _, origins = load(tmp_path, LAMBDA_DOCKER_FLAGS="-e A=b", LAMBDA_MAGIC="1", LAMBDA_TASK_ROOT="/var/task")

    assert origins.warnings == ("not applied: LAMBDA_DOCKER_FLAGS, LAMBDA_MAGIC (no meaning here)",)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:pa@ss/word@host:6379/0", "redis://user:***@host:6379/0"),
        ("rediss://:secret@host", "rediss://:***@host"),
        ("unix:///run/valkey.sock?db=1&password=secret", "unix:///run/valkey.sock?db=1&password=***"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        (7, 7),
    ],
)
def test_passwords_in_urls_are_masked(url, shown):
    assert masked(url) == shown


@pytest.mark.property
@given(st.sampled_from(sorted(Settings.model_fields)), st.data())
def test_a_setting_with_one_letter_missing_is_found_again(field, data):
    at = data.draw(st.integers(0, len(field) - 1))
    typo = field[:at] + field[at + 1 :]

    if typo not in Settings.model_fields:
        assert nearest(typo, Settings.model_fields) == field


@pytest.mark.parametrize(
    ("given", "roles"),
    [("worker", "worker"), (" Poller , api,poller", "api,poller"), ("api,worker,poller,", "api,worker,poller")],
)
def test_roles_are_named_in_any_order_and_case(tmp_path, given, roles):
    settings, _ = load_settings({}, cwd=tmp_path, environ={"EVENTROUTER_ROLES": given})

    assert settings.roles == roles
    assert [settings.has_role(role) for role in Role] == [role in roles.split(",") for role in Role]


@pytest.mark.parametrize("given", [",", "api,wroker", "all"])
def test_a_role_that_is_none_is_refused_with_the_roles_there_are(tmp_path, given):
    with pytest.raises(ConfigError, match="api, worker, poller"):
        load_settings({}, cwd=tmp_path, environ={"EVENTROUTER_ROLES": given})
