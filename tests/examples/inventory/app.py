"""Counts stock by article, from a FIFO queue: one article's messages in order, the others' beside them."""

from __future__ import annotations

import json
from typing import Any

from eventrouter import App

app = App("inventory")
stuck = app.queue("stuck.fifo")
stock: dict[str, int] = {}
"""Pieces by article; a table in real life."""


@app.queue("movements.fifo", dlq=stuck, max_receives=3, visibility="30s")
@app.function(timeout="5s")
def move(event: dict[str, Any], context: Any) -> None:
    for record in event["Records"]:
        movement = json.loads(record["body"])
        pieces = stock.get(movement["article"], 0) + movement["pieces"]
        if pieces < 0:
            raise ValueError(f"there are not that many of {movement['article']}")
        stock[movement["article"]] = pieces
