"""Who owns graphs, executions and credits, and how they want to be told of things."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from rpc_client.contract._composed import composed
from rpc_client.contract._method import Service, read, write
from rpc_client.contract._record import Record, Timestamp
from rpc_client.contract._secret import Secret
from rpc_client.contract.platform.events import UserCreated, UserUnsubscribed
from rpc_client.contract.platform.notification_type import NotificationType
from rpc_client.errors import AuthorizationError, Conflict, NotFoundError

Id = Annotated[str, Field(min_length=1, max_length=200)]
"""An id of anything: opaque text, made by whoever made the thing."""
Email = Annotated[str, Field(max_length=320, pattern=r"^[^@\s]+@[^@\s]+$")]
UNSUBSCRIBE_DAYS = 90
"""So long a token unsubscribes."""
RUNS_AT_ONCE = 10_000
"""So many runs are looked through for one page of active users, at most."""


class User(Record):
    """A user of the platform."""

    id: str
    email: str
    name: str | None = None
    created_at: Timestamp


class UserEmailVerification(Record):
    """A user's address, and whether it is known to be theirs."""

    user_id: str
    email: str
    verified: bool


class NotificationPreference(Record):
    """What a user wants to be told of, and how often."""

    user_id: str
    email: str
    preferences: dict[NotificationType, bool]
    """One for every type."""
    daily_limit: int
    """E-mails a day; 0: none at all."""
    emails_sent_today: int
    """Always 0: no method here sends e-mails, so none counts them."""
    last_reset_date: Timestamp
    """When the count would have begun anew: the last midnight, UTC."""


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

    @read
    async def get_user_email_by_id(self, user_id: Id) -> str | None:
        """A user's address; None for an unknown user.

        Source: spec 0 §3.5.
        """
        ...

    @read(raises=[NotFoundError])
    async def get_user_email_verification(self, user_id: Id) -> UserEmailVerification:
        """A user's address, and whether it is known to be theirs.

        Every user's is, as in the original, until whoever checks addresses writes otherwise into
        ``platform.users.email_verified``.

        Raises:
            NotFoundError: there is no such user.

        Source: spec 0 §3.5.
        """
        ...

    @read(raises=[NotFoundError])
    async def get_user_notification_preference(self, user_id: Id) -> NotificationPreference:
        """What a user wants to be told of; who never said is told of everything, in at most 3 e-mails a day.

        That default is answered, not stored. What was stored is answered as it stands, a refusal and a limit of 0 too.

        Raises:
            NotFoundError: there is no such user.

        Source: spec 0 §3.5.
        """
        ...

    @read(raises=[NotFoundError])
    async def create_unsubscribe_token(self, user_id: Id) -> Annotated[str, Secret()]:
        """A token for a link in an e-mail to this user: whoever brings it back unsubscribes them, and can do no more.

        It is good for 90 days, as often as it is brought, and as long as the key it was made with is one of the
        workers' ``ROWCALL_ENCRYPTION_KEYS``; without any, this is Unavailable.

        Returns:
            At most 2 000 letters, digits, ``-`` and ``_``.

        Raises:
            NotFoundError: there is no such user.

        Source: needed to stand alone; the original has it beside its service.
        """
        ...

    @write(raises=[AuthorizationError], emits=[UserUnsubscribed])
    async def unsubscribe_by_token(
        self, token: Annotated[str, Secret(), Field(max_length=2000)]
    ) -> NotificationPreference:
        """Tell the user whom this token names of nothing any more: every preference false, the daily limit 0.

        Without ``ROWCALL_ENCRYPTION_KEYS`` no worker can read it, and this is Unavailable.

        Returns:
            What the user wants now.

        Raises:
            AuthorizationError: it is not a token of ``create_unsubscribe_token``, or is one no longer. Which of them,
                and of which user, is not told.

        Emits: UserUnsubscribed, unless nothing was wanted before.
        Source: needed to stand alone; the original has it beside its service.
        """
        ...

    @composed
    async def get_active_user_ids_in_timerange(self, start_time: Timestamp, end_time: Timestamp) -> list[str]:
        """Everybody with a run of a graph that was created in this time, both ends included; read page by page.

        Args:
            end_time: the start or later; one before the start is InvalidRequest, not a time in which nobody was active.

        Returns:
            Each user once, in the order of the ids.

        Source: spec 0 §3.5.
        """
        found: set[str] = set()
        cursor: str | None = None
        while True:
            ids, cursor = await self.get_active_user_ids_page(start_time, end_time, limit=RUNS_AT_ONCE, cursor=cursor)
            found.update(ids)
            if cursor is None:
                return sorted(found)

    @read
    async def get_active_user_ids_page(
        self,
        start_time: Timestamp,
        end_time: Timestamp,
        *,
        limit: Annotated[int, Field(ge=1, le=RUNS_AT_ONCE)] = 1000,
        cursor: Annotated[str, Field(max_length=1000)] | None = None,
    ) -> tuple[list[str], str | None]:
        """The users of the next runs that were created in this time, both ends included.

        Args:
            end_time: the start or later.
            limit: how many runs are looked through, the oldest first.
            cursor: what the page before gave as next, with the same times.

        Returns:
            Each user of these runs once, in the order of the ids; a later page may name them again. And the cursor of
            the next page, or None when this was the last.

        Source: spec 0 §3.5, in pages.
        """
        ...
