"""A secret argument is an ordinary value to whoever handles the call, and to everybody else is not there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

import pytest
from pydantic import AfterValidator, Field, model_validator

from rpc_client import InvalidRequest
from rpc_client.contract import AsyncService, EventData, Record, Secret, Service, read, write
from worker.registry import Family, Registry, RegistryError
from worker.served import serve
from worker.servers import Servers
from worker.settings import WorkerSettings
from worker.testing import LocalWorker, local_worker, scratch_database

CANARY = "CANARY-7d1f"


def told(value: str) -> str:
    if value.startswith("CANARY"):
        raise ValueError(f"{value!r} is a canary")
    return value


class Colour(Enum):
    RED = "red"


class Card(Record):
    number: Annotated[str, Secret()]

    @model_validator(mode="after")
    def judged(self) -> Card:
        if self.number.startswith("CANARY"):
            raise ValueError(f"no bank knows {self}")
        return self


class Key(Record):
    kind: Literal["key"]
    key: Annotated[str, Secret()]


class Vault(Service, name="vault"):
    @read
    async def length(self, password: Annotated[str, Secret(), Field(max_length=40)]) -> int:
        """How long it is."""

    @read
    async def judge(
        self,
        word: Annotated[str, Secret(), AfterValidator(told)] = "",
        colour: Annotated[Colour, Secret()] = Colour.RED,
        number: Annotated[int, Secret(), Field(lt=10)] = 1,
        uuid: Annotated[UUID | None, Secret()] = None,
        literal: Annotated[Literal["a", "b"], Secret()] = "a",
        card: Card | None = None,
        choice: Annotated[Key | Card, Secret()] | None = None,
        one: Annotated[Annotated[Key, Secret()], Secret()] | None = None,
        named: dict[Annotated[str, Secret()], int] = {},  # noqa: B006 - a declaration's defaults are only read
        mapped: dict[str, Annotated[int, Secret()]] = {},  # noqa: B006
    ) -> int:
        """Every kind of refusal."""


class AsyncVault(Vault, AsyncService): ...


SQL = """-- name: length
select length(:password)::bigint as length;
"""


class Locked(EventData, aggregate="vault"):
    code: Annotated[str, Secret()]


class Careless(Service, name="vault"):
    """Writes that would leave secrets in a receipt."""

    @write(emits=[])
    async def draw(self) -> list[Key]: ...

    @write(emits=[Locked])
    async def lock(self) -> None: ...


@pytest.mark.parametrize(
    ("method", "complaint"),
    [
        (Careless.draw, r"vault\.draw answers secrets, and its receipt would keep them in the clear"),
        (Careless.lock, r"vault\.lock: the event Locked holds secrets"),
    ],
    ids=["result", "event"],
)
def test_a_write_that_would_leave_a_secret_in_its_receipt_is_not_served(tmp_path: Path, method, complaint: str):
    class One(Service, name="vault"): ...

    setattr(One, method.attribute, method)
    registry = Registry(One)

    @registry.implements(method)
    async def story(tx) -> None: ...

    with pytest.raises(RegistryError, match=complaint):
        serve([Family(registry, sql=tmp_path)], WorkerSettings())


def test_what_is_sealed_needs_its_statements_to_change_keys(tmp_path: Path):
    class Nothing(Service, name="vault"): ...

    with pytest.raises(RegistryError, match=r"no statement is called vault\.list_codes, vault\.reseal_codes"):
        serve([Family(Registry(Nothing), sql=tmp_path, sealed=["codes"])], WorkerSettings())


@pytest.fixture(scope="module")
async def vault(servers: Servers, migrated: str, tmp_path_factory) -> AsyncIterator[LocalWorker]:
    """One for all: these tests change nothing."""
    folder: Path = tmp_path_factory.mktemp("vault")
    (folder / "vault.sql").write_text(SQL)
    registry = Registry(Vault)
    registry.direct(Vault.length)

    @registry.implements(Vault.judge)
    async def judge(session, **_: object) -> int:
        return 1

    async with (
        scratch_database(servers.postgres_url, copy_of=migrated) as url,
        local_worker(url, [Family(registry, sql=folder)]) as worker,
    ):
        yield worker


async def test_a_secret_is_an_ordinary_value_to_the_statement_it_is_for(vault: LocalWorker):
    assert await AsyncVault(vault.client).length("hunter2") == 7


def test_a_signature_shows_a_secret_as_the_type_it_is():
    assert Vault.length.shown_signature == "(password: str) -> int"


@pytest.mark.parametrize(
    "arguments",
    [
        {"word": CANARY},
        {"word": [CANARY]},
        {"colour": CANARY},
        {"number": CANARY},
        {"uuid": CANARY},
        {"literal": CANARY},
        {"card": {"number": CANARY}},
        {"card": CANARY},
        {"card": {"nmber": CANARY}},
        {"choice": {"kind": CANARY}},
        {"choice": {"kind": "key", "key": {"a": CANARY}}},
        {"one": {"kind": CANARY, "key": CANARY}},
        {"named": {CANARY: "x"}},
        {"mapped": {"x": CANARY}},
    ],
)
async def test_a_refusal_never_tells_the_value_of_a_secret(vault: LocalWorker, arguments: dict[str, object]):
    with pytest.raises(InvalidRequest) as refused:
        await vault.client.call_by_name("vault.judge", "read", arguments)

    assert refused.value.details["argument"] in arguments
    assert CANARY not in f"{refused.value} {refused.value.details} {vault.replies}"


async def test_a_refusal_in_which_a_secret_cannot_be_masked_names_the_argument_only(vault: LocalWorker):
    with pytest.raises(InvalidRequest, match=r"vault\.judge: argument 'word' does not fit \(withheld") as refused:
        await vault.client.call_by_name("vault.judge", "read", {"word": "CANARY " + "x" * 20_000})

    assert "xx" not in str(refused.value)


async def test_a_refusal_still_says_what_is_wrong_with_a_secret(vault: LocalWorker):
    with pytest.raises(InvalidRequest, match="argument 'password': String should have at most 40 characters"):
        await AsyncVault(vault.client).length("x" * 41)
