"""Users' credentials for other services. They are sealed where they lie, and nothing else ever tells them."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import uuid4

from pydantic import ConfigDict, Field

from rpc_client.contract._composed import composed
from rpc_client.contract._method import Service, read, write
from rpc_client.contract._record import Record
from rpc_client.contract._secret import Secret
from rpc_client.contract.platform.events import UserIntegrationsUpdated, UserMetadataUpdated
from rpc_client.contract.platform.users import Id
from rpc_client.errors import NotFoundError

Name = Annotated[str, Field(max_length=200)]
Text = Annotated[str, Field(max_length=16_384)]
Scopes = Annotated[list[Annotated[str, Field(max_length=500)]], Field(max_length=200)]
Epoch = Annotated[int, Field(ge=0, lt=1 << 53)]
"""A moment in seconds since 1970."""
HIDDEN = Field(repr=False)
"""Of a field that a program should not print by accident."""


class Confidential(Record):
    """A record with secrets in it: whoever prints it, or an error about it, does not print those."""

    model_config = ConfigDict(hide_input_in_errors=True)


class CredentialsBase(Confidential):
    """What all credentials have."""

    id: Annotated[str, Field(min_length=1, max_length=200)] = Field(default_factory=lambda: str(uuid4()))
    provider: Name
    """The service they are for."""
    title: Name | None = None


class OAuth2Credentials(CredentialsBase):
    """What a provider gave after a user agreed to it."""

    type: Literal["oauth2"] = "oauth2"
    username: Name | None = None
    access_token: Annotated[Text, Secret(), HIDDEN]
    access_token_expires_at: Epoch | None = None
    refresh_token: Annotated[Text | None, Secret(), HIDDEN] = None
    refresh_token_expires_at: Epoch | None = None
    scopes: Scopes = Field(default_factory=list)
    metadata: Annotated[dict[str, Any], Secret(), HIDDEN] = Field(default_factory=dict)
    """What the provider said besides; secret, for nobody knows what that may be."""


class APIKeyCredentials(CredentialsBase):
    """A key that a user made at the provider."""

    type: Literal["api_key"] = "api_key"
    api_key: Annotated[Text, Secret(), HIDDEN]
    expires_at: Epoch | None = None


class UserPasswordCredentials(CredentialsBase):
    """A user's name and password at the provider, both secret."""

    type: Literal["user_password"] = "user_password"
    username: Annotated[Text, Secret(), HIDDEN]
    password: Annotated[Text, Secret(), HIDDEN]


class HostScopedCredentials(CredentialsBase):
    """Headers that are sent to one host, and to no other."""

    type: Literal["host_scoped"] = "host_scoped"
    host: Name
    headers: Annotated[dict[Name, Annotated[Text, Secret()]], Field(max_length=100), HIDDEN] = Field(
        default_factory=dict
    )
    """Header -> value. The values are secret."""


Credentials = Annotated[
    OAuth2Credentials | APIKeyCredentials | UserPasswordCredentials | HostScopedCredentials,
    Field(discriminator="type"),
]
"""Credentials of some kind; ``type`` says which."""


class OAuthState(Confidential):
    """An agreement that a user has been asked for and has not given yet."""

    token: Annotated[Text, Secret(), HIDDEN]
    """By which the provider's answer is known to belong to it."""
    provider: Name
    expires_at: Epoch
    code_verifier: Annotated[Text | None, Secret(), HIDDEN] = None
    scopes: Scopes


CredentialsList = Annotated[list[Credentials], Field(max_length=1000)]
OAuthStates = Annotated[list[OAuthState], Field(max_length=1000)]


class ManagedCredentials(Confidential):
    """What the platform itself holds for a user."""

    ayrshare_profile_key: Annotated[Text | None, Secret(), HIDDEN] = None


class UserIntegrations(Confidential):
    """Everything that opens other services to a user."""

    managed_credentials: ManagedCredentials = Field(default_factory=ManagedCredentials)
    credentials: CredentialsList = Field(default_factory=list)
    oauth_states: OAuthStates = Field(default_factory=list)


class UserMetadata(Confidential):
    """Where credentials lay before ``UserIntegrations``. Both lists are deprecated: kept for what still reads them."""

    integration_credentials: CredentialsList = Field(default_factory=list)
    integration_oauth_states: OAuthStates = Field(default_factory=list)


class UserMetadataDTO(Confidential):
    """What changes of a user's metadata: what is None stays."""

    integration_credentials: CredentialsList | None = None
    integration_oauth_states: OAuthStates | None = None


class Integrations(Service, name="platform"):
    """Credentials: sealed at rest, for one user each.

    On the wire they are in the clear, since whoever asks needs them: use ``amqps://``. Logs, refusals, events and dead
    letters never show a secret field. Where no key opens what is kept, that is an error, never an empty answer, and
    nothing is written over it: each of these methods is then Unavailable, with the reason `sealed`; with `no_key` where
    the worker has no key at all.
    """

    @read(raises=[NotFoundError])
    async def get_user_integrations(self, user_id: Id) -> UserIntegrations:
        """A user's credentials; empty ones, and nothing is written, for a user who never had any.

        Raises:
            NotFoundError: there is no such user.

        Source: spec 0 §3.4.
        """
        ...

    @write(raises=[NotFoundError], emits=[UserIntegrationsUpdated])
    async def update_user_integrations(self, user_id: Id, data: UserIntegrations) -> None:
        """Put these in the place of all credentials that the user has: what is not among them is gone.

        Who changes some of them reads, changes and writes; two who do so at once need a lock of their own.

        Raises:
            NotFoundError: there is no such user.

        Emits: UserIntegrationsUpdated.
        Source: spec 0 §3.4.
        """
        ...

    @read(raises=[NotFoundError])
    async def get_user_metadata(self, user_id: Id) -> UserMetadata:
        """A user's metadata; empty, and nothing is written, for a user who never had any.

        Raises:
            NotFoundError: there is no such user.

        Source: spec 0 §3.4.
        """
        ...

    @composed
    async def update_user_metadata(self, user_id: str, data: UserMetadataDTO) -> UserMetadata:
        """Change what is given, and answer the user's metadata as it is afterwards.

        Two calls, ``patch_user_metadata`` and ``get_user_metadata``: a write's answer is stored with its receipt, which
        is no place for secrets. So the answer may hold a change that somebody made in between; and should the second
        call fail, the change is made all the same, and making it again comes to the same.

        Raises: what those two raise.
        Source: spec 0 §3.4.
        """
        await self.patch_user_metadata(user_id, data)
        return await self.get_user_metadata(user_id)

    @write(raises=[NotFoundError], emits=[UserMetadataUpdated])
    async def patch_user_metadata(self, user_id: Id, data: UserMetadataDTO) -> None:
        """Change what is given of a user's metadata; what is None stays. Nothing given changes nothing.

        Raises:
            NotFoundError: there is no such user.

        Emits: UserMetadataUpdated, when something was given.
        Source: the changing half of spec 0's ``update_user_metadata``, §3.4.
        """
        ...
