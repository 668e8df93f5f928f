"""What the desk's statements are called with, when their plans are judged."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import md5
from typing import Any

LETTER = {
    "id": md5(b"receipt-1", usedforsecurity=False).hexdigest(),
    "caller": "",
    "args_hash": "",
    "routing_key": "",
    "method": "",
    "reason": "internal",
    "error": "",
    "fingerprint": "",
    "attempts": 1,
    "first_at": "2026-01-01Z",
    "last_at": "2026-02-01Z",
    "worker": "",
    "body": "",
    "traceback": "",
}
DESK: Mapping[str, Mapping[str, Any]] = {
    "rowcall.find_letters": {
        "numbers": None,
        "method": "accounts.deposit",
        "reason": None,
        "error": None,
        "fingerprint": None,
        "states": None,
        "caller": None,
        "id": None,
        "older_than": None,
        "newer_than": None,
    },
    "rowcall.read_letters": {"numbers": [1, 2]},
    "rowcall.group_letters": {"numbers": [1, 2]},
    "rowcall.receipts_of_letters": {"numbers": [1, 2], "fence": ""},
    "rowcall.claim_letter": {
        "number": 1,
        "known_id": None,
        "fresh_id": None,
        "max_replays": 5,
        "actor": "tests",
    },
    "rowcall.settle_letter": {"number": 1, "state": "open", "outcome": "done", "fence": ""},
    "rowcall.discard_letters": {"numbers": [1, 2], "actor": "tests", "why": ""},
    "rowcall.lock_letter": {"number": 1},
    "rowcall.replace_letter": {"number": 1},
    "rowcall.add_letter": {
        **LETTER,
        "state": "open",
        "replay_id": None,
        "replays": 0,
        "replayed_at": None,
        "outcome": None,
        "parent": None,
    },
    "rowcall.note_deed": {"actor": "tests", "action": "discard", "letter": 1, "details": "{}"},
    "rowcall.deeds_of_letter": {"letter": 1},
}
