"""What is recorded of every run, whichever plane asked for it: metrics, the function's log, one summary line."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from eventrouter.metrics import Metrics
from eventrouter.planes.log_shipper import LogShipper
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.outcome import FunctionFailed, Run, SystemFault


class RunRecorder:
    """Told of each run, once, when it has ended."""

    def __init__(self, *, metrics: Metrics, logs: LogShipper, log: FilteringBoundLogger) -> None:
        self._metrics = metrics
        self._logs = logs
        self._log = log

    def __call__(self, invocation: Invocation, run: Run) -> None:
        name = invocation.reference.function
        self._logs.ship(invocation, run)
        if isinstance(run.outcome, SystemFault):
            self._log.warning(
                "invocation.faulted", function=name.name, request_id=invocation.request_id, reason=run.outcome.message
            )
            return
        metrics = self._metrics.of(name.name)
        metrics.invocations.inc()
        metrics.duration_ms.observe(run.duration_ms)
        if isinstance(run.outcome, FunctionFailed):
            metrics.errors.inc()
            self._log.info(
                "invocation.failed",
                function=name.name,
                request_id=invocation.request_id,
                error_type=run.outcome.error_type,
                duration_ms=round(run.duration_ms, 2),
            )
        else:
            self._log.debug(
                "invocation.succeeded",
                function=name.name,
                request_id=invocation.request_id,
                duration_ms=round(run.duration_ms, 2),
            )
