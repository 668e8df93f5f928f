"""Money: integer cents, one balance per user, and a ledger that only grows."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from rpc_client.contract._method import Service, read, write
from rpc_client.contract._record import Record
from rpc_client.contract.platform.events import CreditsAdded, CreditsSpent
from rpc_client.contract.platform.users import Id
from rpc_client.errors import InsufficientCredits, NotFoundError

Cents = Annotated[int, Field(gt=0, le=10**12)]


class UsageTransactionMetadata(Record):
    """What credits were spent on; kept beside the ledger's entry."""

    graph_exec_id: str | None = None
    graph_id: str | None = None
    node_id: str | None = None
    node_exec_id: str | None = None
    block_id: str | None = None
    block: str | None = None
    """The block's name."""
    reason: str | None = None
    input: dict[str, Any] | None = None
    """The inputs that decided the price."""
    context: dict[str, Any] = Field(default_factory=dict)
    """Whatever else the spender wants to remember."""


class Credits(Service, name="platform"):
    """What users may spend; a balance never goes below zero."""

    @read
    async def get_credits(self, user_id: Id) -> int:
        """Current balance in cents; 0 for a user who never had any, and for an unknown one.

        Source: spec 0 §3.3.
        """
        ...

    @write(locks="user_id", raises=[InsufficientCredits], emits=[CreditsSpent])
    async def spend_credits(self, user_id: Id, cost: Cents, metadata: UsageTransactionMetadata) -> int:
        """Deduct `cost` and note in the ledger what it was for.

        Returns:
            The new balance in cents.

        Raises:
            InsufficientCredits: the balance is below the cost; ``details``: ``balance``, ``cost``. A user without a
                balance, known or not, has 0.

        Emits: CreditsSpent.
        Source: spec 0 §3.3.
        """
        ...

    @write(locks="user_id", raises=[NotFoundError], emits=[CreditsAdded])
    async def add_credits(self, user_id: Id, amount: Cents, reason: Annotated[str, Field(max_length=200)]) -> int:
        """Add `amount` to what the user has.

        Returns:
            The new balance in cents.

        Raises:
            NotFoundError: there is no such user.

        Emits: CreditsAdded.
        Source: needed to stand alone; spec 0 only spends.
        """
        ...
