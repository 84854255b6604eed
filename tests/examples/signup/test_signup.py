"""Destinations that lead from function to function to queue, in an async test."""

from __future__ import annotations

from pathlib import Path

import pytest

APP = Path(__file__).parent / "app.py"
pytestmark = pytest.mark.anyio


async def test_what_succeeds_goes_on_and_what_fails_is_refused(eventrouter):
    eventrouter.template(APP)
    for mail in ("ann@home.test", "nobody", "bob@home.test"):
        eventrouter.send("check", {"mail": mail})
    eventrouter.run_until_idle()

    letters = [letter.body["responsePayload"]["letter"] for letter in eventrouter.dlq("letters").letters()]
    assert sorted(letters) == ["Welcome, ann!", "Welcome, bob!"]
    (refused,) = eventrouter.dlq("refused").letters()
    assert refused.body["requestPayload"] == {"mail": "nobody"}
    assert refused.body["requestContext"]["condition"] == "RetriesExhausted"
    assert refused.body["responsePayload"]["errorType"] == "ValueError"
    assert len(eventrouter.runs.of("welcome")) == 2
    eventrouter.assert_no_loss()


async def test_a_welcome_that_fails_is_tried_again_and_the_check_is_not(eventrouter):
    eventrouter.template(APP)
    eventrouter.faults("welcome").fail("OSError", "OSError")
    eventrouter.send("check", {"mail": "ann@home.test"})
    eventrouter.run_until_idle()

    began = [run.began_s - eventrouter.runs.of("welcome")[0].began_s for run in eventrouter.runs.of("welcome")]
    assert began == pytest.approx([0, 60, 180])
    assert len(eventrouter.runs.of("check")) == 1
    assert len(eventrouter.dlq("letters").messages()) == 1
