"""The platform's contract and both of its clients are what their document promises, mechanically compared."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Coroutine
from enum import Enum
from typing import Any, get_type_hints

import pytest

import rpc_client
from rpc_client import DatabaseManagerAsyncClient, DatabaseManagerClient, errors
from rpc_client.contract import Composed, Method, Record, shown_type
from rpc_client.contract import platform as contract
from rpc_client.contract._shown import shown_signature
from rpc_client.contract.platform import AsyncPlatform, Platform, SyncPlatform
from rpc_client.wire import encode_error, encode_reply
from tests.contract.spec0 import DOCUMENT, EVERYTHING
from tests.contract.spec0_records import ENUMS, ERROR_BODY, ERRORS, RECORDS

PROMISED = {name: made for part in EVERYTHING for name, made in vars(part).items() if inspect.isfunction(made)}
NAMES = pytest.mark.parametrize("name", PROMISED)


def promised(name: str) -> inspect.Signature:
    """A signature of the document's, its types looked up in the contract."""
    _, *parameters = inspect.signature(PROMISED[name], locals=vars(contract), eval_str=True).parameters.values()
    returns = get_type_hints(PROMISED[name], localns=vars(contract))["return"]
    return inspect.Signature(parameters, return_annotation=returns)


def test_the_documents_methods_are_all_written_down():
    assert sum(inspect.isfunction(value) for part in DOCUMENT for value in vars(part).values()) == 35


@NAMES
def test_a_signature_is_the_documents(name):
    assert shown_signature(getattr(Platform, name).signature) == shown_signature(promised(name))


def test_nothing_else_is_promised():
    found = {name for name, value in inspect.getmembers(Platform) if isinstance(value, Method | Composed)}

    assert found <= PROMISED.keys()


class Broker:
    """Carries calls nowhere; a page that it answers is the last."""

    async def call(self, method: Method[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        method.bind(args, kwargs)
        return [], None


class SyncBroker:
    def call(self, method: Method[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        method.bind(args, kwargs)
        return [], None

    def run(self, work: Callable[[Broker], Coroutine[Any, Any, Any]]) -> Any:
        """Nothing in it ever waits, so that one step is all of it."""
        try:
            work(Broker()).send(None)
        except StopIteration as done:
            return done.value
        raise AssertionError("it waits for something")


def on(kind: type[Any], broker: Broker | SyncBroker) -> Any:
    """A view of the family, or a client that is one, on this broker."""
    made = object.__new__(kind)
    made._caller = broker
    return made


@NAMES
async def test_the_async_clients_method_is_awaited(name):
    arguments = [f"<{word}>" for word, p in promised(name).parameters.items() if p.default is p.empty]

    for kind in (AsyncPlatform, DatabaseManagerAsyncClient):
        waiting = getattr(on(kind, Broker()), name)(*arguments)
        assert inspect.iscoroutine(waiting)
        await waiting


@NAMES
def test_the_sync_clients_method_is_plain(name):
    arguments = [f"<{word}>" for word, p in promised(name).parameters.items() if p.default is p.empty]

    for kind in (SyncPlatform, DatabaseManagerClient):
        assert getattr(on(kind, SyncBroker()), name)(*arguments) in ([], ([], None))


@NAMES
def test_both_clients_have_the_contracts_very_method(name):
    for client in (DatabaseManagerClient, DatabaseManagerAsyncClient):
        assert getattr(client, name) is getattr(Platform, name)


@pytest.mark.parametrize("name", ENUMS)
def test_an_enum_has_the_documents_members_and_is_text(name):
    kind = getattr(contract, name)

    assert issubclass(kind, str)
    assert issubclass(kind, Enum)
    assert [(member.name, member.value) for member in kind] == [(word, word) for word in ENUMS[name]]


@pytest.mark.parametrize("written", RECORDS, ids=lambda written: written.__name__)
def test_a_record_has_the_documents_fields(written):
    record = getattr(contract, written.__name__)
    types = get_type_hints(written, localns=vars(contract))
    defaults = {field: getattr(written, field) for field in types if hasattr(written, field)}

    assert issubclass(record, Record)
    found = record.model_fields
    assert {name: shown_type(field.annotation) for name, field in found.items()} == {
        name: shown_type(kind) for name, kind in types.items()
    }
    assert {name: found[name].get_default(call_default_factory=True) for name in defaults} == defaults


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_raised_by_its_name_and_answered_in_the_documents_form(name):
    kind = getattr(rpc_client, name)

    body = json.loads(encode_reply(None, encode_error(kind("what was wrong", {"more": 1}))))

    assert errors.BUILT_IN[name] is kind
    assert body == {"id": None, "error": name, "message": "what was wrong", "details": {"more": 1}}
    assert body.keys() - {"id"} == ERROR_BODY
