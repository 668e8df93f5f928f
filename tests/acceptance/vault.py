"""A family that is trusted with secrets, and careless with them: its bugs quote what they were given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from rpc_client.contract import Record, Secret, Service, write
from worker.database import Transaction
from worker.registry import Family, Registry


class Login(Record):
    user: str
    password: Annotated[str, Secret()]


class Vault(Service, name="vault"):
    """Methods that fail."""

    @write(emits=[])
    async def log_in(self, login: Login, token: Annotated[str, Secret()]) -> int:
        """Fails, and says of what in every way there is."""


vault = Registry(Vault)


@vault.implements(Vault.log_in)
async def log_in(tx: Transaction, login: Login, token: str) -> int:
    try:
        raise KeyError(token)
    except KeyError as error:
        raise RuntimeError(f"{login!r} {json.dumps(login.password)} {token} {token.encode()!r}") from error


family = Family(vault, sql=Path(__file__).parent)
