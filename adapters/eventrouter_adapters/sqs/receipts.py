"""Receipt handles: a receipt as opaque text."""

from __future__ import annotations

import base64
import binascii

from eventrouter.store.queues import Receipt
from eventrouter_adapters.sqs import errors


def encode_receipt(receipt: Receipt) -> str:
    """Return the handle that stands for `receipt`."""
    return base64.b64encode(f"{receipt.id} {receipt.count} {receipt.nonce}".encode()).decode()


def decode_receipt(handle: str) -> Receipt:
    """Return the receipt that `handle` stands for. Raises RequestError if it stands for none."""
    try:
        identity, count, nonce = base64.b64decode(handle, validate=True).decode().split(" ")
        return Receipt(id=identity, count=int(count), nonce=nonce)
    except (binascii.Error, ValueError) as error:
        raise errors.invalid_receipt_handle(handle) from error
