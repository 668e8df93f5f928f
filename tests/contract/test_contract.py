"""The contract: every method says what it does, raises and emits, and says so truly; every error survives a journey."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

import rpc_client
from rpc_client import errors
from rpc_client.contract import Method
from rpc_client.contract.platform import EXECUTOR_METHODS, Platform, Users
from rpc_client.errors import BUILT_IN, CallFailed, RemoteError, RPCError, UnknownRemoteError
from worker.checks import emitted_by
from worker.served import Served

ROOT = Path(__file__).parent.parent.parent
ERRORS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, RPCError)]
REMOTE = [kind for kind in ERRORS if issubclass(kind, RemoteError)]
CALLER_TOLD = [kind for kind in ERRORS if not kind.__subclasses__() and kind is not UnknownRemoteError]
"""The errors a caller can be told apart; what one of a newer worker means, only a newer client knows."""
CAPITALIZED = re.compile(r"\b[A-Z][a-z]\w*")
RAISES = re.compile(r"\bRaises:\n((?: {4}.*\n)+)|\bRaises (.*?)\.(?:\s|$)", re.DOTALL)
EMITS = re.compile(r"\bEmits:? (.*?)\.(?:\s|$)", re.DOTALL)
WHETHER_IT_RAN = re.compile("did not run|may have run|call ran|nothing changed")


def manual(method: Method[..., Any]) -> str:
    return inspect.cleandoc(method.__doc__ or "")


def raised(text: str) -> set[str]:
    """The errors a manual promises, in either form: ``Raises X, and Y when ….``, or a section of them."""
    found: set[str] = set()
    for section, sentence in RAISES.findall(text + "\n"):
        found |= set(re.findall(r"^ {4}(\w+):", section, re.MULTILINE) or CAPITALIZED.findall(sentence))
    return found


def emitted(text: str) -> set[str]:
    """The events a manual promises."""
    return {word for sentence in EMITS.findall(text) for word in CAPITALIZED.findall(sentence)}


@pytest.fixture(scope="session")
def methods(served: Served) -> dict[str, Method[..., Any]]:
    return {name: answer.method for name, answer in served.answers.items()}


def test_every_method_has_a_manual_whose_first_line_ends_in_a_full_stop(methods: dict[str, Method[..., Any]]):
    unclear = [name for name, method in methods.items() if not manual(method).partition("\n")[0].endswith(".")]

    assert unclear == []


def test_every_manual_names_the_errors_that_its_method_declares_and_no_others(methods: dict[str, Method[..., Any]]):
    declared = {name: {error.__name__ for error in method.raises} for name, method in methods.items()}

    told = {name: raised(manual(method)) for name, method in methods.items()}

    assert told == declared


def test_every_manual_names_the_events_that_its_method_declares_and_no_others(methods: dict[str, Method[..., Any]]):
    declared = {name: method.events.keys() for name, method in methods.items()}

    told = {name: emitted(manual(method)) for name, method in methods.items()}

    assert told == declared


def test_every_write_emits_something(methods: dict[str, Method[..., Any]]):
    told = {name for name, method in methods.items() if method.emits}

    assert told == {name for name, method in methods.items() if method.lane == "write"}


def test_a_write_of_one_statement_emits_what_it_declares_and_nothing_else(served: Served):
    direct = {name: answer.method for name, answer in served.answers.items() if name in served.statements}
    writes = {name: method for name, method in direct.items() if method.lane == "write"}

    written = {name: emitted_by(served.statements[name]) for name in writes}

    assert writes
    assert written == {name: {(event.__name__, event.aggregate) for event in m.emits} for name, m in writes.items()}


def test_a_story_emits_what_it_declares(served: Served):
    stories = {name: answer for name, answer in served.answers.items() if hasattr(answer, "story")}

    missing = {
        (name, event)
        for name, answer in stories.items()
        for event in answer.method.events
        if not re.search(rf"\b{event}\b", inspect.getsource(answer.story))
    }

    assert stories
    assert missing == set()


def test_every_event_has_a_manual(methods: dict[str, Method[..., Any]]):
    manuals = {event: vars(event)["__doc__"] or "" for method in methods.values() for event in method.emits}

    assert [event.__name__ for event, text in manuals.items() if not text.endswith(".")] == []


def test_no_parameter_begins_with_an_underscore(methods: dict[str, Method[..., Any]]):
    hidden = [(name, word) for name, method in methods.items() for word in method.parameters if word.startswith("_")]

    assert hidden == []


def test_every_signature_is_shown_in_plain_types(methods: dict[str, Method[..., Any]]):
    unclear = {name for name, method in methods.items() if re.search("Annotated|<|object at", method.shown_signature)}

    assert unclear == set()


def names_a_user(method: Method[..., Any]) -> bool:
    """By an argument, or by a field of a record."""
    kinds = [kind for parameter in method.parameters.values() for kind in get_args(parameter.annotation)[:1]]
    return "user_id" in method.parameters or any("user_id" in getattr(kind, "model_fields", ()) for kind in kinds)


def test_exactly_the_methods_that_name_no_user_are_listed_as_the_executors():
    userless = {method for method in Platform.methods().values() if not names_a_user(method)}

    assert userless - {Users.unsubscribe_by_token} == EXECUTOR_METHODS, "its token names the user"


@pytest.mark.parametrize("name", ["rpc_client", "rpc_client.contract", "rpc_client.contract.platform", "accounts"])
def test_public_names_are_listed_sorted_and_every_class_of_the_package_is_among_them(name: str):
    module = importlib.import_module(name)
    classes = {word for word, value in vars(module).items() if isinstance(value, type) and not word.startswith("_")}
    own = {word for word in classes if vars(module)[word].__module__.startswith(name)}

    listed = module.__all__

    assert listed == sorted(listed, key=lambda word: (not word.isupper(), not word[0].isupper(), word))
    assert own <= set(listed) <= vars(module).keys()


def test_rpc_client_lists_every_error():
    assert {kind.__name__ for kind in ERRORS} <= set(rpc_client.__all__)


def test_every_error_that_any_method_may_answer_is_built_in():
    assert set(BUILT_IN.values()) == set(REMOTE) - {RemoteError, UnknownRemoteError}
    assert all(word == kind.__name__ for word, kind in BUILT_IN.items())


def test_the_worker_depends_on_the_client_of_the_same_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    (pinned,) = [wanted for wanted in project["dependencies"] if wanted.startswith("rowcall-client")]

    assert pinned == f"rowcall-client=={rpc_client.__version__}"


@pytest.mark.parametrize("kind", CALLER_TOLD)
def test_an_errors_manual_says_whether_the_call_ran(kind: type[RPCError]):
    assert WHETHER_IT_RAN.search(kind.__doc__ or "")


def made(kind: type[RPCError]) -> RPCError:
    """An error with everything in it that one can hold."""
    named = {"request_id": "0190-…", "method": "accounts.deposit"}
    if issubclass(kind, CallFailed):
        return kind("no reply in 10 s", **named)
    if issubclass(kind, UnknownRemoteError):
        named["code"] = "LeaseLost"
    if issubclass(kind, RemoteError):
        return kind("balance 5 is below the amount 7", {"balance": 5, "of": ["a", {"b": None}]}, **named)
    return kind("something went wrong")


def shown(error: RPCError) -> dict[str, object]:
    kept = ["message", "details", "request_id", "method", "code"]
    return {"kind": type(error), "text": str(error), **{name: getattr(error, name, None) for name in kept}}


@pytest.mark.parametrize(
    "journey",
    [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy],
    ids=["pickle", "copy", "deep"],
)
@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_keeps_everything_when_it_is_pickled_or_copied(
    kind: type[RPCError], journey: Callable[[RPCError], RPCError]
):
    error = made(kind)

    arrived = journey(error)

    assert shown(arrived) == shown(error)
