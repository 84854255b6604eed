"""Which runtimes exist, which this node runs, and which AWS has retired.

Source: lambda-semantics §2.1 (Runtime), §2.2.
"""

from __future__ import annotations

from eventrouter.errors import RequestError

PYTHON = tuple(f"python3.{minor}" for minor in range(8, 16))
"""Runtimes that run here, all on the node's own interpreter."""

OTHERS = (
    "nodejs16.x", "nodejs18.x", "nodejs20.x", "nodejs22.x", "nodejs24.x", "nodejs26.x",
    "java8.al2", "java11", "java17", "java21", "java25", "java8.al2023", "java11.al2023", "java17.al2023",
    "dotnet6", "dotnet8", "dotnet10", "ruby3.2", "ruby3.3", "ruby3.4", "ruby4.0",
    "provided.al2", "provided.al2023", "custom",
)  # fmt: skip
"""Runtimes that AWS accepts and this node does not run."""

DEPRECATED_PYTHON = ("python3.7", "python3.6")
DEPRECATED = (
    *DEPRECATED_PYTHON, "python2.7",
    "nodejs", "nodejs4.3", "nodejs4.3-edge", "nodejs6.10", "nodejs8.10", "nodejs10.x", "nodejs12.x", "nodejs14.x",
    "java8", "dotnetcore1.0", "dotnetcore2.0", "dotnetcore2.1", "dotnetcore3.1", "go1.x", "ruby2.5", "ruby2.7",
    "provided",
)  # fmt: skip


def check_runtime(runtime: str, *, creating: bool) -> None:
    """Raise RequestError unless a function may have this runtime.

    A retired runtime is refused at creation; on update Python's still run.
    """
    if runtime in PYTHON or (runtime in DEPRECATED_PYTHON and not creating):
        return
    if runtime in DEPRECATED:
        raise RequestError(
            "InvalidParameterValueException",
            f"The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda "
            "functions. We recommend you use a supported runtime while creating or updating functions.",
        )
    if runtime in OTHERS:
        raise RequestError(
            "InvalidParameterValueException",
            f"The runtime {runtime} is not supported by eventrouter yet. Runtimes that it runs: {', '.join(PYTHON)}.",
        )
    raise RequestError(
        "InvalidParameterValueException",
        f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: "
        f"[{', '.join((*OTHERS, *PYTHON))}] or be a valid ARN",
    )


def runs_elsewhere(runtime: str, interpreter: tuple[int, int]) -> bool:
    """Say whether `runtime` names another Python than the node's `interpreter` (major, minor)."""
    return runtime != f"python{interpreter[0]}.{interpreter[1]}"
