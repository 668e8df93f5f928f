"""Bugs on the way of a message: acknowledgements, dead letters, and what a client sends again."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from aio_pika.abc import AbstractConnection
from uuid_utils import uuid7

import rpc_client.client
from rpc_client.connection import open_channel
from rpc_client.parcels import Pending
from rpc_client.properties import encode_properties
from rpc_client.transport import Transport
from rpc_client.wire import Names
from worker import topology
from worker.consumer import Consumer, Delivery
from worker.replies import Parcel, Replies
from worker.settings import WorkerSettings

SENT_S = 1.0


class Acknowledged(Delivery):
    """A message that the broker has forgotten already."""

    def acknowledge(self) -> None:
        return

    async def hand_back(self) -> None:
        return


def ack_early() -> None:
    """A message is acknowledged before anything of it is done."""
    handle = Consumer._handle

    async def acknowledge_and_handle(self: Consumer, delivery: Delivery) -> None:
        delivery.acknowledge()
        own = {each.name: getattr(delivery, each.name) for each in fields(Delivery)}
        await handle(self, Acknowledged(**own))

    Consumer._handle = acknowledge_and_handle


def letters_dropped() -> None:
    """Dead letters go the easy way, at most once, and nobody has bound their queue."""
    arguments, declare = topology.queue_arguments, topology.declare

    def at_most_once(settings: WorkerSettings) -> dict[str, dict[str, Any]]:
        found = arguments(settings)
        del found[Names(settings.prefix).queue("write")]["x-dead-letter-strategy"]
        return found

    async def declare_unbound(connection: AbstractConnection, settings: WorkerSettings) -> None:
        await declare(connection, settings)
        names = Names(settings.prefix)
        channel = await open_channel(connection)
        await channel.queue_unbind(names.dead_letters, names.dead, "#")
        await channel.close()

    topology.queue_arguments, topology.declare = at_most_once, declare_unbound


def sends_expire_soon() -> None:
    """No bug: what nobody waits for has a second instead of five minutes."""
    rpc_client.client.MAX_TIMEOUT_S = SENT_S


def letters_lost() -> None:
    """Dead letters are put into no queue at all."""

    async def bury(*_: object) -> None:
        return

    Replies.bury = bury


def mixed_connection() -> None:
    """Replies leave by the connection that consumes and acknowledges, and nobody waits for the broker to have them."""
    begin, consumers = Consumer.__init__, list[Consumer]()

    def begin_and_remember(self: Consumer, *of: Any) -> None:
        begin(self, *of)
        consumers.append(self)

    def publish(_: Replies, parcel: Parcel) -> None:
        consumer = consumers[-1]
        try:
            if consumer._channel is None:
                raise ConnectionError("nothing is consumed any more")
            properties = encode_properties(delivery_mode=1, correlation_id=parcel.correlation_id)
            body = b"\n".join(parcel.lines)
            consumer.link.socket.publish(consumer._channel.number, "", parcel.reply_to, properties, body)
        except ConnectionError as error:
            parcel.settle(error)
        else:
            parcel.settle()

    Consumer.__init__, Replies._publish = begin_and_remember, publish


def new_id() -> None:
    """What is sent again after a loss goes under a new id."""
    publish = Transport._publish

    def publish_anew(self: Transport, routing_key: str, calls: list[Pending]) -> None:
        for call in calls:
            if call.attempt and self._pending.pop(call.id, None) is not None:
                call.id = str(uuid7())
                self._pending[call.id] = call
        publish(self, routing_key, calls)

    Transport._publish = publish_anew
