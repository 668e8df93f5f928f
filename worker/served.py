"""``serve``: promises, answers and statements brought together, once they agree."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from rpc_client.contract import Method
from rpc_client.contract.rowcall import Rowcall
from rpc_client.errors import InvalidRequest, Reason
from worker.answers import DirectRead, DirectWrite, StoryRead, StoryWrite, Unkeyed
from worker.built_in import Outcomes, server_info
from worker.calls import Answer
from worker.checks import (
    check_effects,
    check_events,
    check_parameters,
    check_promises,
    check_secrets,
    is_record,
    result_shape,
)
from worker.keys import key_ring
from worker.receipts import SUFFIX
from worker.redaction import answers_secrets, takes_secrets
from worker.registry import Family, Registry, RegistryError
from worker.settings import WorkerSettings
from worker.statements import REPLY, Statement, StatementError, read_statements, sql_root


@dataclass(frozen=True)
class Served:
    """Everything a worker answers, by wire name."""

    families: Sequence[Family]
    answers: Mapping[str, Answer]
    statements: Mapping[str, Statement]

    def find(self, name: str) -> Answer:
        """The answer to this method. InvalidRequest, with the nearest names, when nobody serves it."""
        if (answer := self.answers.get(name)) is not None:
            return answer
        near = difflib.get_close_matches(name[:128], self.answers, n=3, cutoff=0.6)
        hint = f"; did you mean {' or '.join(near)}?" if near else "; `rowcall methods` lists what is served"
        raise InvalidRequest(f"{name[:128]}: no such method{hint}", {"reason": Reason.UNKNOWN_METHOD, "near": near})


def serve(families: Sequence[Family], settings: WorkerSettings) -> Served:
    """Bring promises, answers and statements together. RegistryError or StatementError when they do not agree.

    Where there is no key, methods with secrets are answered by saying so. KeysError when there is something else.
    """
    seals = key_ring(settings).seals
    statements = read_statements("rowcall", sql_root() / "rowcall")
    answers: dict[str, Answer] = {}
    names = [Rowcall.name, *(family.name for family in families)]
    if len(set(names)) < len(names):
        raise RegistryError(f"two families of one name among {names}; {Rowcall.name!r} is every worker's own")
    for family in families:
        own = read_statements(family.name, family.sql)
        check_promises(family, own)
        statements |= own
        for registry in family.registries:
            for method in registry.contract.methods().values():
                answer = _answer(method, registry, statements, settings)
                answers[method.name] = answer if seals or not _keeps_secrets(method) else Unkeyed(method)
    outcomes = Outcomes(Rowcall.outcome, statements, settings.retention_days, settings.operator_names)
    for own_answer in (server_info(families, len(answers), settings), outcomes):
        answers[own_answer.method.name] = own_answer
    return Served(families, answers, statements)


def _keeps_secrets(method: Method[..., Any]) -> bool:
    """Whether secrets are left somewhere by it, or were: a write's may come to lie among the dead letters."""
    return answers_secrets(method) or (method.lane == "write" and takes_secrets(method))


def _answer(
    method: Method[..., Any], registry: Registry, statements: Mapping[str, Statement], settings: WorkerSettings
) -> Answer:
    story = registry.stories.get(method)
    check_secrets(method)
    if method.lane == "write":
        check_events(method, statements[method.name] if story is None else None)
    if story is not None and method.lane == "read":
        return StoryRead(method, story, statements, settings.read_reply_bytes)
    if story is not None:
        return StoryWrite(method, story, statements, settings.write_reply_bytes)
    statement = statements[method.name]
    check_parameters(method, statement)
    if method.lane == "write":
        check_effects(statement)
    if method.lane == "read":
        return _direct_read(method, statement, settings)
    return DirectWrite(method, with_receipt(method, statement))


def _direct_read(method: Method[..., Any], statement: Statement, settings: WorkerSettings) -> DirectRead:
    shape, optional = result_shape(method.returns)
    if get_origin(shape) is list and is_record(get_args(shape)[0]):
        wrapped = statement.as_list
    elif is_record(shape):
        wrapped = statement.as_record
    else:
        wrapped = statement.as_value
    return DirectRead(method, wrapped, not optional, settings.read_reply_bytes)


def with_receipt(method: Method[..., Any], statement: Statement) -> Statement:
    """A one-statement write with its receipt in the place of its last line."""
    body, reply, rest = statement.text.rpartition(REPLY)
    if not reply or rest.strip() or not body.endswith("\n"):
        raise StatementError(f"{statement.name}: a write of one statement ends in the line {REPLY!r}")
    shape, optional = result_shape(method.returns)
    if is_record(shape) and not optional:
        columns = ", ".join(f'r."{name}"' for name in shape.model_fields)
        result = f"(select row_to_json(q)::text from (select {columns}) as q)"
    else:
        result = "to_json(r.result)::text"
    return Statement.compile(statement.name, body.rstrip() + SUFFIX.format(result=result))
