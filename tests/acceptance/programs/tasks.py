"""A Celery application whose tasks call through one sync client, made and used before the worker forks."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import worker_init

from accounts import SyncAccounts
from rpc_client import Client

FOLDER = os.environ["CELERY_FOLDER"]

app = Celery("tasks", broker="filesystem://", backend=f"file://{FOLDER}/results")
app.conf.broker_transport_options = {
    "data_folder_in": f"{FOLDER}/queue",
    "data_folder_out": f"{FOLDER}/queue",
    "control_folder": f"{FOLDER}/control",
}
client = Client(timeout_s=30)
accounts = SyncAccounts(client)


@worker_init.connect
def warm_up(**_: Any) -> None:
    """So that every child inherits a connection that is its parent's."""
    accounts.open_account("a-1", "me")


@app.task
def deposit() -> tuple[int, int]:
    """Which process it was, and what it answered."""
    return os.getpid(), accounts.deposit("a-1", 1)
