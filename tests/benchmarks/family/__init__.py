"""The ``bench`` family: the smallest methods of each kind, for measuring what surrounds them."""

from __future__ import annotations

from importlib.resources import files

from tests.benchmarks.family.contract import AsyncBench, Bench, Item, User
from worker.registry import Family, Registry

bench = Registry(Bench)
bench.direct(Bench.noop, Bench.read_user, Bench.write, Bench.list_rows, Bench.slow)

family = Family(bench, sql=files("tests.benchmarks.family") / "sql")

__all__ = ["AsyncBench", "Bench", "Item", "User", "family"]
