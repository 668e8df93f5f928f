"""Runs the Python blocks of a page in one namespace and one event loop, each as if typed into `python -m asyncio`.

Reads one source text as JSON a line, and writes a line after each: null, or the traceback as JSON.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import sys
import traceback

answers, sys.stdout = sys.stdout, sys.stderr  # what a block prints is not an answer
names: dict[str, object] = {"__name__": "__page__"}
with asyncio.Runner() as runner:
    for line in sys.stdin:
        answer = None
        try:
            block = compile(json.loads(line), "<block>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            done = eval(block, names)
            if inspect.iscoroutine(done):
                runner.run(done)
        except BaseException:  # noqa: BLE001 - whatever a block raises, the page is told
            answer = traceback.format_exc()
        print(json.dumps(answer), file=answers, flush=True)
