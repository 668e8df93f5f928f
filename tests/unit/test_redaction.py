"""What may be shown of a call: every secret is masked, wherever its schema puts it, and nothing else is."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import Field, SecretStr

from rpc_client.contract import Record, Secret, Service, read
from worker.redaction import MASK, WITHHELD, redacted, scrubbed, secrets_of, takes_secrets

Text = Annotated[str, Secret()]


class OAuth(Record):
    kind: Literal["oauth"]
    token: Text
    scopes: list[str] = Field(default_factory=list)


class Login(Record):
    kind: Literal["login"]
    user: str
    pin: Annotated[int, Secret()]
    next: Login | OAuth | None = None


class Free(Record):
    headers: dict[str, Text] = Field(default_factory=dict)
    pairs: list[tuple[str, Text]] = Field(default_factory=list)
    named: dict[Text, int] = Field(default_factory=dict)


Either = Annotated[OAuth | Login, Field(discriminator="kind")]


class Vault(Service, name="vault"):
    @read
    async def keep(
        self,
        user_id: str,
        password: Annotated[str | None, Secret()] = None,
        either: Either | None = None,
        free: Free | None = None,
        whole: Annotated[OAuth | list[int] | None, Secret()] = None,
        old: SecretStr | None = None,
        note: dict[str, Any] = {},  # noqa: B006 - a declaration's defaults are only read
    ) -> int:
        """Every place in which a secret may stand."""

    @read
    async def look(self, user_id: str, note: dict[str, Any]) -> int:
        """Nothing is secret."""


KEEP = Vault.keep


def test_a_method_takes_secrets_when_any_place_in_its_arguments_is_marked():
    assert takes_secrets(KEEP)
    assert not takes_secrets(Vault.look)


@pytest.mark.parametrize(
    ("arguments", "shown", "secrets"),
    [
        ({"user_id": "u-1"}, {"user_id": "u-1"}, ()),
        ({"password": "hunter2"}, {"password": MASK}, ("hunter2",)),
        ({"password": None}, {"password": None}, ()),
        ({"old": "hunter2"}, {"old": MASK}, ("hunter2",)),
        (
            {"either": {"kind": "oauth", "token": "hunter2", "scopes": ["mail"]}},
            {"either": {"kind": "oauth", "token": MASK, "scopes": ["mail"]}},
            ("hunter2",),
        ),
        (
            {"either": {"kind": "login", "user": "me", "pin": 4321, "next": {"kind": "oauth", "token": "hunter2"}}},
            {"either": {"kind": "login", "user": "me", "pin": MASK, "next": {"kind": "oauth", "token": MASK}}},
            ("4321", "hunter2"),
        ),
        ({"free": {"headers": {"X-Key": "hunter2"}}}, {"free": {"headers": {"X-Key": MASK}}}, ("hunter2",)),
        ({"free": {"pairs": [["a", "hunter2"]]}}, {"free": {"pairs": [["a", MASK]]}}, ("hunter2",)),
        ({"free": {"named": {"hunter2": 1234}}}, {"free": {"named": MASK}}, ("hunter2", "1234")),
        ({"whole": [1111, 2222]}, {"whole": MASK}, ("1111", "2222")),
        ({"whole": {"kind": "oauth", "token": "hunter2"}}, {"whole": MASK}, ("oauth", "hunter2")),
        ({"note": {"password": "seen"}}, {"note": {"password": "seen"}}, ()),
    ],
)
def test_what_is_marked_is_masked_and_nothing_else(arguments, shown, secrets):
    assert redacted(KEEP, arguments) == shown
    assert secrets_of(KEEP, arguments) == secrets


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"password": ["hunter2"]}, id="a list for a text"),
        pytest.param({"password": {"is": {"this": "hunter2"}}}, id="an object for a text"),
        pytest.param({"either": "hunter2"}, id="a text for a record"),
        pytest.param({"either": {"kind": "none", "token": "hunter2"}}, id="no such kind"),
        pytest.param({"either": {"kind": "oauth", "tokn": "hunter2"}}, id="a field misspelt"),
        pytest.param({"either": [{"kind": "oauth", "token": "hunter2"}]}, id="a list of records for one"),
        pytest.param({"free": {"pairs": [["a", "b", "hunter2"]]}}, id="one too many"),
        pytest.param({"free": {"pairs": {"a": "hunter2"}}}, id="an object for a list"),
        pytest.param({"pasword": "hunter2"}, id="an argument misspelt"),
    ],
)
def test_what_does_not_fit_where_a_secret_may_be_is_taken_for_one(arguments):
    assert "hunter2" not in json.dumps(redacted(KEEP, arguments))
    assert "hunter2" in secrets_of(KEEP, arguments)


def test_arguments_that_were_validated_are_shown_as_they_travelled():
    arguments = {"user_id": "u-1", "either": Login(kind="login", user="me", pin=4321)}

    assert redacted(KEEP, arguments)["either"] == {"kind": "login", "user": "me", "pin": MASK, "next": None}
    assert secrets_of(KEEP, arguments) == ("4321",)


def test_nothing_is_changed_in_the_arguments_themselves():
    arguments = {"either": {"kind": "oauth", "token": "hunter2"}, "note": {"a": [1]}}

    redacted(KEEP, arguments)["note"]["a"].append(2)

    assert arguments == {"either": {"kind": "oauth", "token": "hunter2"}, "note": {"a": [1]}}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the token hunter2 is not valid", "the token *** is not valid"),
        ("hunter2hunter2", "***"),
        ("nothing here", "nothing here"),
        ("", ""),
    ],
)
def test_a_secret_in_a_text_is_masked(text: str, shown: str):
    assert scrubbed(text, ["hunter2"]) == shown


def test_a_secret_that_somebody_shortened_is_masked():
    secret = "correct horse battery staple, and so on"

    assert scrubbed(f"input_value='{secret[:20]}...{secret[-15:]}'", [secret]) == "input_value='***...***'"


@pytest.mark.parametrize("secret", ["7", "abc", "é"])
def test_a_text_in_which_a_very_short_secret_occurs_is_withheld(secret: str):
    assert scrubbed(f"line {secret} of the story", [secret]) == WITHHELD
    assert scrubbed("", [secret]) == ""


def test_a_text_is_withheld_when_the_secrets_are_too_large_to_look_for():
    assert scrubbed("nothing of them here", ["x" * 9000, "y" * 9000]) == WITHHELD


def test_the_middle_of_a_very_long_text_is_left_out():
    shown = scrubbed("begin" + "a" * (1 << 20) + "hunter2 end", ["hunter2"])

    assert shown.startswith("beginaaa")
    assert shown.endswith("aaa*** end")
    assert len(shown) < 70_000


def test_a_secret_that_the_masks_would_make_is_not_told():
    assert scrubbed("it is hunter2-or-so", ["hunter2", "***-or-so"]) != "it is ***-or-so"


secret_texts = st.text(min_size=1, max_size=40) | st.text("ab'\"\\\n*é", min_size=1, max_size=12)


def forms(secret: str) -> list[str]:
    """As text, as JSON of two kinds, as Python shows it, and each of the last inside JSON again."""
    quoted = [json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]]
    return [secret, *quoted, *(json.dumps(one)[1:-1] for one in quoted)]


@given(secret=secret_texts, before=st.text(max_size=20), after=st.text(max_size=20))
def test_no_form_of_a_secret_is_left_in_a_text(secret, before, after):
    assume(all(form not in WITHHELD for form in forms(secret)))
    values = {"before": before, "secret": secret, "after": after}
    texts = [before + secret + after, repr(values), repr([repr(values)]), json.dumps(values)]
    texts += [json.dumps(values, ensure_ascii=False), json.dumps(repr(values))]

    for text in texts:
        shown = scrubbed(text, [secret])

        assert not [form for form in forms(secret) if form in shown]


NAMES = ["password", "either", "free", "whole", "old", "unknown", "token", "pin", "next", "kind", "headers", "pairs"]
carriers = st.recursive(
    st.just("leaf"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=12,
)


def numbered(value: Any, count: Iterator[int]) -> Any:
    """The value with every leaf told from the others."""
    if isinstance(value, dict):
        return {name: numbered(inner, count) for name, inner in value.items()}
    return [numbered(inner, count) for inner in value] if isinstance(value, list) else f"leaf {next(count)}."


@given(st.dictionaries(st.sampled_from(NAMES), carriers))
def test_every_text_of_any_arguments_is_either_shown_or_listed_as_secret(tree):
    arguments = numbered(tree, count := itertools.count())
    texts = {f"leaf {n}." for n in range(next(count))}

    listed = set(secrets_of(KEEP, arguments))
    shown = json.dumps(redacted(KEEP, arguments))

    assert listed <= texts
    assert {text for text in texts if text in shown} == texts - listed
