"""``python -m tests.contract.at_size`` runs the platform's statements on a million rows and tells docs/platform.md.

The rows are those that plans are judged on every day, and many more of what grows: 100 000 executions of graphs,
1 000 000 of nodes, with inputs and outputs. As in life, few users, graphs and runs have most of them: the first has
about a twelfth, the second half of that, and so on. The statements ask for the largest.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from pydantic import SecretStr

from accounts.services import family as accounts
from tests.contract.plan_rows import DATA
from tests.contract.plans import MODES, Touched, as_run, touched
from tests.contract.test_plans import COMMON, EXCEPTIONS, VALUES
from worker.migrations import migrate
from worker.served import Served, serve
from worker.servers import find
from worker.services.platform import family as platform
from worker.settings import WorkerSettings
from worker.testing import scratch_database

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "platform.md"
FIGURES = re.compile(r"(?<=<!-- figures: make plans -->\n).*?(?=<!-- end of figures -->)", re.DOTALL)
FAMILIES = [platform, accounts]
NAMES = [name for name in VALUES if name.startswith("platform.")]
COUNTS: Mapping[str, int] = {"graph_executions": 100_000, "node_executions": 1_000_000}
LARGEST = {
    ("graph_executions", "user_id", "user-1"): 10_000,
    ("node_executions", "graph_exec_id", "exec-1"): 20_000,
}
"""What the statements ask for has more rows than that."""

# 20 000 and 23 000 of them are in DATA. The fractions are spread evenly, so N ^ fraction falls below 2 as often as it
# falls between 2 and 4. Every run of a graph has one input; some have very many of the other runs of nodes.
MORE = """
insert into platform.graph_executions (
    id, user_id, graph_id, graph_version, preset_id, status, stats, created_at, started_at, ended_at
)
select
    'exec-' || n, 'user-' || floor(5000 ^ (n::bigint * 618033 % 1000000 / 1e6)),
    'graph-' || floor(4000 ^ (n::bigint * 414213 % 1000000 / 1e6)), n % 5 + 1,
    case when n % 10 = 0 then 'preset-' || n % 100 end, case when n % 50 = 0 then 'FAILED' else 'COMPLETED' end,
    '{"cost": 7, "duration": 1.5, "node_exec_count": 12}', at, at, at
from
    generate_series(20001, 100000) as n,
    lateral (select clock_timestamp() - (n - 20000) * interval '1 minute') as l (at);

insert into platform.node_executions (
    id, graph_exec_id, node_id, edge, status, input_data, stats, add_time, queue_time, start_time, end_time
)
select
    'size-' || n, e.id,
    'node-' || substr(e.graph_id, 7) || '-' || e.graph_version || case when first then '-0' else '-1' end,
    case when first then 'INPUT' end, case when n % 30 = 0 then 'FAILED' else 'COMPLETED' end,
    case
        when first then jsonb_build_object('name', 'question', 'value', repeat('x', 150))
        else jsonb_build_object('in', repeat('x', 200))
    end,
    case when n % 30 = 0 then jsonb_build_object('error', 'Error' || n % 7 || ': of a kind') else '{"cost": 1}' end,
    e.created_at, e.created_at, e.created_at, e.created_at
from generate_series(1, 977000) as n
cross join lateral (select n <= 100000 as first, floor(100000 ^ (n::bigint * 618033 % 1000000 / 1e6)) as rank) as l
inner join platform.graph_executions as e
    on e.id = 'exec-' || case when first or n % 5 < 3 then n % 100000 + 1 else rank end;

insert into platform.node_outputs (node_exec_id, name, data)
select id, 'result', to_jsonb(repeat('y', 100))
from platform.node_executions where id like 'size-%' and status = 'COMPLETED';
"""


@asynccontextmanager
async def loaded_at_size(server_url: str, *, copy_of: str) -> AsyncIterator[asyncpg.Connection]:
    """A database of that size."""
    async with scratch_database(server_url, copy_of=copy_of) as url:
        connection = await asyncpg.connect(url, server_settings={"timezone": "UTC"}, statement_cache_size=0)
        try:
            for text in (DATA, MORE, "vacuum (analyze)"):
                await connection.execute(text)
            yield connection
        finally:
            await connection.close()


async def took(connection: asyncpg.Connection, served: Served, name: str, mode: str) -> Touched:
    """What a statement took when it was run a second time, so that what it needs is in memory."""
    statement, values = as_run(served, name), {**COMMON, **VALUES[name]}
    await touched(connection, statement, values, mode)
    return await touched(connection, statement, values, mode)


def table(figures: Mapping[str, list[Touched]]) -> str:
    """The figures as Markdown; where the two plans differ, both."""
    lines = ["| statement | rows | pages | ms |", "|---|---:|---:|---:|"]
    for name, pair in figures.items():
        cells = (
            [f"{took.rows:.0f}" for took in pair],
            [f"{took.pages}" for took in pair],
            [f"{took.ms:.2f}" for took in pair],
        )
        shown = " | ".join(" · ".join(dict.fromkeys(cell)) for cell in cells)
        lines.append(f"| `{name.removeprefix('platform.')}` | {shown} |")
    return "\n".join(lines) + "\n"


async def main() -> str | None:
    """Measure, write the page, and say what walked, if anything did."""
    servers = await find(state=ROOT / ".rowcall", install=os.environ.get("ROWCALL_INSTALL") == "1", say=print)
    async with scratch_database(servers.postgres_url) as empty:
        settings = WorkerSettings(postgres_url=SecretStr(empty))
        await migrate(settings, FAMILIES)
        served = serve(FAMILIES, settings)
        async with loaded_at_size(servers.postgres_url, copy_of=empty) as connection:
            figures = {name: [await took(connection, served, name, mode) for mode in MODES] for name in NAMES}
    text, count = FIGURES.subn(lambda _: table(figures), PAGE.read_text(encoding="utf-8"))
    assert count == 1, f"{PAGE} has no place for the figures"
    PAGE.write_text(text, encoding="utf-8")
    walked = [name for name, pair in figures.items() if name not in EXCEPTIONS and any(took.walked for took in pair)]
    return f"through a table or an index walked: {', '.join(walked)}" if walked else None


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
