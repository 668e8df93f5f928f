"""When a circuit opens: what counts as a failure of the database, and what takes it back."""

from __future__ import annotations

from typing import Any, cast

import asyncpg
import pytest

from rpc_client.errors import Unavailable
from worker.circuit import Circuit
from worker.statements import Statement

REFUSED = ConnectionRefusedError("refused")
STATEMENTS = {"rowcall.probe": Statement.compile("rowcall.probe", "select true")}


@pytest.fixture
def circuit() -> Circuit:
    """One that is not run: nothing pauses, nobody probes."""
    return Circuit(cast("Any", None), STATEMENTS, cast("Any", None))


def fail(circuit: Circuit, error: BaseException, *, times: int = 1, lost: bool = True) -> None:
    for _ in range(times):
        circuit.failed(error, lost=lost)


def test_three_failures_open_it_and_its_state_says_which(circuit: Circuit):
    fail(circuit, REFUSED, times=2)
    before = circuit.state
    fail(circuit, REFUSED)

    assert before is None
    assert circuit.state.startswith("paused: PostgreSQL is away since ")
    assert circuit.state.endswith(": ConnectionRefusedError: refused")


def test_a_success_between_takes_losses_back_and_no_refusal_of_writes(circuit: Circuit):
    fail(circuit, REFUSED, times=2)
    circuit.worked()
    fail(circuit, REFUSED)
    lost = circuit.state
    for _ in range(3):
        fail(circuit, asyncpg.ReadOnlySQLTransactionError("read-only"), lost=False)
        circuit.worked()

    assert lost is None
    assert "read-only" in circuit.state


def test_failures_long_apart_do_not_add_up(circuit: Circuit, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("worker.circuit.WITHIN_S", -1.0)
    fail(circuit, REFUSED, times=9)

    assert circuit.state is None


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.ConnectionDoesNotExistError("gone"),
        asyncpg.AdminShutdownError("stopped"),
        asyncpg.CannotConnectNowError("starting up"),
        asyncpg.TooManyConnectionsError("53300"),
        asyncpg.DiskFullError("53100"),
        asyncpg.OutOfMemoryError("53200"),
        asyncpg.PostgresIOError("58030"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_these_count_whatever_became_of_the_connection(circuit: Circuit, error: Exception):
    fail(circuit, error, times=3, lost=False)

    assert circuit.state is not None


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.DeadlockDetectedError("40P01"),
        asyncpg.UniqueViolationError("23505"),
        TimeoutError(),
        ConnectionError("of a story to somewhere else"),
        Unavailable("no connection came free"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_these_do_not_while_there_is_a_connection(circuit: Circuit, error: Exception):
    fail(circuit, error, times=9, lost=False)

    assert circuit.state is None
