"""A worker that stumbles over every message in which 666 stands."""

from __future__ import annotations

import sys

from worker.__main__ import main
from worker.consumer import Consumer
from worker.delivery import Delivery

begin = Consumer._begin


def stumble(consumer: Consumer, delivery: Delivery) -> None:
    if b"666" in delivery.body:
        raise RuntimeError("broken by a test")
    begin(consumer, delivery)


Consumer._begin = stumble
sys.exit(main())
