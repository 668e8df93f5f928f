"""Who owns graphs, executions and credits."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from rpc_client.contract._method import Service, write
from rpc_client.contract._record import Record, Timestamp
from rpc_client.contract.platform.events import UserCreated
from rpc_client.errors import Conflict

Id = Annotated[str, Field(min_length=1, max_length=200)]
"""An id of anything: opaque text, made by whoever made the thing."""
Email = Annotated[str, Field(max_length=320, pattern=r"^[^@\s]+@[^@\s]+$")]


class User(Record):
    """A user of the platform."""

    id: str
    email: str
    name: str | None = None
    created_at: Timestamp


class Users(Service, name="platform"):
    """Users: everything else belongs to one."""

    @write(raises=[Conflict], emits=[UserCreated])
    async def create_user(
        self, user_id: Id, email: Email, name: Annotated[str, Field(max_length=200)] | None = None
    ) -> User:
        """Make a user known, under the id that authentication gave.

        Returns:
            The new user.

        Raises:
            Conflict: the id or the e-mail is taken; ``details``: ``user_id``, ``email``.

        Emits: UserCreated.
        Source: needed to stand alone; spec 0 takes users as given.
        """
        ...
