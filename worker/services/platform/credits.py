"""Credits: each method is one statement, which locks the balance, judges it and books the change."""

from __future__ import annotations

from rpc_client.contract.platform import Credits
from worker.registry import Registry

credits_ = Registry(Credits)
credits_.direct(Credits.get_credits, Credits.spend_credits, Credits.add_credits)
