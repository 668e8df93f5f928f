"""The options by which commands are told which dead letters are meant."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import wraps
from typing import Annotated, Any, Literal, cast, get_type_hints
from uuid import UUID

import typer

from worker.desk import WAITING, Filter, Reason, State

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_AGE = re.compile(r"(\d+)([smhd])")
Chosen = Literal["waiting", "any", "open", "replaying", "resolved", "fenced", "discarded", "replaced"]


def age(text: str) -> timedelta:
    """A span of time as it is typed: 90s, 15m, 2h, 7d."""
    if (found := _AGE.fullmatch(text)) is None:
        raise typer.BadParameter("write 90s, 15m, 2h or 7d")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def options(
    numbers: Annotated[list[int] | None, typer.Argument(help="Letters by their numbers.", show_default=False)] = None,
    method: Annotated[str | None, typer.Option(help="As in accounts.deposit; * stands for anything.")] = None,
    reason: Annotated[Reason | None, typer.Option(help="Why it was given up.")] = None,
    error: Annotated[str | None, typer.Option(help="Text in the error.")] = None,
    fingerprint: Annotated[str | None, typer.Option(help="The cause, as --group tells it.")] = None,
    state: Annotated[
        Chosen | None,
        typer.Option(help="What became of it; waiting is open or replaying, and meant where no number is given."),
    ] = None,
    caller: Annotated[str | None, typer.Option(help="The broker user who called.")] = None,
    request_id: Annotated[UUID | None, typer.Option("--id", help="The request id.")] = None,
    older_than: Annotated[timedelta | None, typer.Option(parser=age, help="Failed before: 90s, 15m, 2h, 7d.")] = None,
    newer_than: Annotated[timedelta | None, typer.Option(parser=age, help="Failed since.")] = None,
    text: Annotated[str | None, typer.Option(help="Text in the call, error or traceback; not in secrets.")] = None,
) -> Filter:
    """The letters that these options mean."""
    chosen = state or ("any" if numbers or request_id else "waiting")
    groups: dict[Chosen, Sequence[State] | None] = {"waiting": WAITING, "any": None}
    return Filter(
        numbers=numbers or None,
        method=method,
        reason=reason,
        error=error,
        fingerprint=fingerprint,
        states=groups[chosen] if chosen in groups else [cast("State", chosen)],
        caller=caller,
        id=request_id,
        older_than=older_than,
        newer_than=newer_than,
        text=text,
    )


def filtered(command: Callable[..., None]) -> Callable[..., None]:
    """A command that takes these options, and gets them as its first argument, a Filter."""
    own = inspect.signature(command, eval_str=True)
    shared = inspect.signature(options, eval_str=True).parameters
    first, *others = own.parameters.values()

    @wraps(command)
    def wrapped(**given: Any) -> None:
        command(options(**{name: given.pop(name) for name in shared}), **given)

    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in [*shared.values(), *others]]
    hints = {**get_type_hints(options, include_extras=True), **get_type_hints(command, include_extras=True)}
    wrapped.__signature__ = own.replace(parameters=keyword)  # type: ignore[attr-defined]  # what Typer reads
    wrapped.__annotations__ = {name: hint for name, hint in hints.items() if name != first.name}
    return wrapped
