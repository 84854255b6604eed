"""The environment variables of a function. Nothing of the node's own environment is among them.

Source: lambda-semantics §2.6, §5.2.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from eventrouter.rules.function import Function

TASK_ROOT = "/var/task"
RUNTIME_DIR = "/var/runtime"
_XRAY_HOST, _XRAY_PORT = "169.254.100.1", "2000"  # nothing answers there; SDKs send spans by UDP and go on


def environment_of(function: Function, *, log_stream: str, endpoint_url: str, task_root: str) -> dict[str, str]:
    """Return all variables of one environment. The function's own win where Lambda lets them be set."""
    name = function.name
    settable = {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": f"{_XRAY_HOST}:{_XRAY_PORT}",
        "LANG": "en_US.UTF-8",
        "LC_CTYPE": "C.UTF-8",
        "LD_LIBRARY_PATH": f"/var/lang/lib:/lib64:/usr/lib64:{RUNTIME_DIR}:{RUNTIME_DIR}/lib"
        f":{task_root}:{task_root}/lib:/opt/lib",
        "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
        "PYTHONPATH": RUNTIME_DIR,
        "TZ": ":UTC",
    }
    if function.logging.application_level:
        settable["AWS_LAMBDA_LOG_LEVEL"] = function.logging.application_level
    fixed = {
        # The account that a request is signed with is its key id: so calls of a function stay in its own account.
        "AWS_ACCESS_KEY_ID": name.account,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_SESSION_TOKEN": "test",
        "AWS_REGION": name.region,
        "AWS_DEFAULT_REGION": name.region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}",
        "AWS_LAMBDA_FUNCTION_NAME": name.name,
        "AWS_LAMBDA_FUNCTION_VERSION": function.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_LOG_FORMAT": function.logging.format.value,
        "AWS_LAMBDA_LOG_GROUP_NAME": function.logging.group,
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
        "AWS_LAMBDA_RUNTIME_API": urlsplit(endpoint_url).netloc,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "LAMBDA_TASK_ROOT": task_root,
        "LAMBDA_RUNTIME_DIR": RUNTIME_DIR,
        "PWD": task_root,
        "SHLVL": "0",
        "_AWS_XRAY_DAEMON_ADDRESS": _XRAY_HOST,
        "_AWS_XRAY_DAEMON_PORT": _XRAY_PORT,
        "_HANDLER": function.handler,
    }
    return {**settable, **(function.environment or {}), **fixed}
