"""``rowcall graphs import``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from pydantic import ValidationError
from rich.table import Table

from rpc_client import AsyncClient, NotFoundError
from rpc_client.contract.platform import GraphModel
from worker.cli.console import fail, out, run

app = typer.Typer(help="Agent graphs.", no_args_is_help=True)


@app.callback()
def graphs() -> None:
    """Agent graphs."""


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="Exported agent graphs, JSON.", exists=True, dir_okay=False)],
    user: Annotated[str, typer.Option(help="Who will own them; made if there is no such user yet.")] = "importer",
) -> None:
    """Store exported agent graphs, of either export shape, as new versions. Again makes the next version."""
    graphs = [read_graph(file, user) for file in files]
    stored = run(_import(graphs, user))
    table = Table("file", "graph id", "version", "name", "nodes", "links", "sub-graphs", box=None)
    for file, graph in zip(files, stored, strict=True):
        numbers = (len(graph.nodes), len(graph.links), len(graph.sub_graphs))
        table.add_row(file.name, graph.id, str(graph.version), graph.name, *map(str, numbers))
    out.print(table)


def read_graph(file: Path, user: str) -> GraphModel:
    """A file as a graph of this user. Ends the command with one line when it is none."""
    try:
        content: Any = orjson.loads(file.read_bytes())
        if not isinstance(content, dict) or "nodes" not in content:
            fail(f"{file}: is no exported agent graph; it has no nodes")
        return GraphModel(**{**content, "user_id": user})
    except orjson.JSONDecodeError as error:
        fail(f"{file}: is not JSON: {error}")
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        fail(f"{file}: {'.'.join(map(str, first['loc']))}: {first['msg']}")


async def _import(graphs: list[GraphModel], user: str) -> list[GraphModel]:
    async with AsyncClient() as client:
        stored = []
        for graph in graphs:
            try:
                stored.append(await client.platform.create_graph(graph))
            except NotFoundError:
                await client.platform.create_user(user, f"{user}@localhost")
                stored.append(await client.platform.create_graph(graph))
        return stored
