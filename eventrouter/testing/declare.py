"""Resources from the parameters that a test gives: those of `App`, checked by `App`, made as deploying makes them."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from eventrouter.app import App
from eventrouter.project.app_project import project_of
from eventrouter.project.model import Project, QueueResource, StreamResource

IN_PROCESS = "in_process.handler"
"""What a function of which only the handler is known says of its code."""
_DESTINATIONS = frozenset({"dlq", "on_success", "on_failure"})


class Declarations:
    """Makes projects of one resource each; no project owns, and so takes away, what another has made."""

    def __init__(self, *, account: str, region: str) -> None:
        self._account = account
        self._region = region
        self._count = 0
        self._sources: dict[str, QueueResource | StreamResource] = {}

    def function(self, handler: Callable[..., Any], name: str, settings: Mapping[str, Any]) -> Project:
        """Declare a function. Destinations may be the names of queues."""
        app = self._app()
        app.function(name, **self._with_arns(settings))(handler)
        return _project(app)

    def queue(self, name: str, function: str | None, settings: Mapping[str, Any]) -> Project:
        """Declare a queue, and what feeds `function` from it. Raises ValueError if it is there with other settings."""
        app = self._app()
        source = app.queue(name, **self._with_arns(settings))
        project = self._feeding(app, source, function)
        is_new = self._is_new("queue", project.queues[0])
        return project if is_new else dataclasses.replace(project, queues=())

    def stream(self, name: str, function: str | None, settings: Mapping[str, Any]) -> Project:
        """Declare a stream, and what feeds `function` from it. Raises ValueError if it is there with other settings."""
        app = self._app()
        source = app.stream(name, **self._with_arns(settings))
        project = self._feeding(app, source, function)
        is_new = self._is_new("stream", project.streams[0])
        return project if is_new else dataclasses.replace(project, streams=())

    def _is_new(self, kind: str, source: QueueResource | StreamResource) -> bool:
        """Note a queue or a stream; say whether it is declared for the first time."""
        known = self._sources.setdefault(f"{kind} {source.name}", source)
        if dataclasses.replace(known, place=source.place) != source:
            raise ValueError(f"the {kind} {source.name} is there already, with other settings")
        return known is source

    def schedule(self, expression: str, function: str, settings: Mapping[str, Any]) -> Project:
        """Declare a schedule of `function`."""
        app = self._app()
        return self._feeding(app, app.schedule(expression, **settings), function)

    def route(self, key: str, function: str, settings: Mapping[str, Any]) -> Project:
        """Declare a route of `function`."""
        app = self._app()
        return self._feeding(app, app.route(key, **settings), function)

    def _app(self) -> App:
        self._count += 1
        return App(f"test-{self._count}", account=self._account, region=self._region)

    def _feeding(self, app: App, feed: Callable[[Callable[..., Any]], object], function: str | None) -> Project:
        """Return what `app` declares, without the function, which is there already."""
        if function is not None:

            def known(event: object, context: object) -> None:
                """Stand in for the function."""

            app.function(function)(known)
            feed(known)
        return dataclasses.replace(_project(app), functions=())

    def _with_arns(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._arn(value) if name in _DESTINATIONS else value for name, value in settings.items()}

    def _arn(self, wanted: object) -> object:
        """Return the ARN of a queue or function of the router, or of the queue of a name."""
        if isinstance(wanted, str) and not wanted.startswith("arn:"):
            return f"arn:aws:sqs:{self._region}:{self._account}:{wanted}"
        return getattr(wanted, "arn", wanted)


def _project(app: App) -> Project:
    return project_of(app, sys.modules[__name__], Path.cwd(), handler_name=lambda _: IN_PROCESS)
