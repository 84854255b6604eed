"""Sign-ups: a customer is checked, then welcomed, and what the welcome was is queued for the letter shop."""

from __future__ import annotations

from typing import Any

from eventrouter import App

app = App("signup")
letters = app.queue("letters")
refused = app.queue("refused")


@app.function(on_success=letters)
def welcome(event: dict[str, Any], context: Any) -> dict[str, str]:
    return {"letter": f"Welcome, {event['responsePayload']['name']}!"}


@app.function(retries=0, on_success=welcome, on_failure=refused)
async def check(event: dict[str, Any], context: Any) -> dict[str, str]:
    if "@" not in event["mail"]:
        raise ValueError("this is no address")
    return {"name": event["mail"].partition("@")[0]}
