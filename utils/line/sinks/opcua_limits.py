"""What a client of the OPC UA server may take: the library lets it have nearly all of the memory, files and time."""

import math
from typing import Any

CONNECTIONS = 64  # at once; of a system that lets 1,024 files be open the rest stays for cameras, spool and others
SUBSCRIPTIONS, OF_ONE_CLIENT = 200, 20
QUEUED = 1_000  # notifications that wait for a client, for each item that it watches
UNACKNOWLEDGED = 100  # answers of a subscription that are kept to be sent again
FASTEST = 50.0  # milliseconds between two publications of a subscription: each takes time of the loop
ABANDONED = 60_000.0  # milliseconds after which a subscription ends whose client asks for nothing
PATIENCE = 10.0  # seconds until a connection has to have its session
MOST_ASKED, MOST_UNREAD = 1_000_000, 32_000_000  # bytes of an unfinished request, and of answers that nobody fetches


def limit(server: Any) -> None:
    """Set the limits of a server of asyncua that has not started."""
    from asyncua import ua
    from asyncua.common.utils import ServiceError

    inner = server.iserver
    inner.max_connections, inner.max_subscriptions = CONNECTIONS, SUBSCRIPTIONS
    inner.max_monitored_item_queue_size = QUEUED
    inner.max_unacked_messages_per_subscription = UNACKNOWLEDGED
    inner.max_pending_activation_seconds = PATIENCE
    service = inner.subscription_service
    create = service.create_subscription

    async def created(params: Any, callback: Any, session: Any, **more: Any) -> Any:
        # Else one client that asked and went could keep all others out.
        if sum(one.session_id == session for one in service.subscriptions.values()) >= OF_ONE_CLIENT:
            raise ServiceError(ua.StatusCodes.BadTooManySubscriptions)
        period = params.RequestedPublishingInterval = max(FASTEST, params.RequestedPublishingInterval)
        # A cycle counts as idle only when its client has asked for nothing; the specification wants three of them at least.
        cycles = max(3, math.ceil(ABANDONED / period))
        params.RequestedLifetimeCount = min(params.RequestedLifetimeCount or cycles, cycles)
        params.RequestedMaxKeepAliveCount = min(params.RequestedMaxKeepAliveCount or cycles, cycles // 3)
        return await create(params, callback, session, **more)

    service.create_subscription = created


async def drop_greedy(server: Any) -> int:
    """Close connections with more bytes in memory than a client needs; return how many there were. Call it each second."""
    greedy = [
        client.transport
        for client in list(server.bserver.clients)
        if client.transport is not None
        and (len(client._buffer) > MOST_ASKED or client.transport.get_write_buffer_size() > MOST_UNREAD)
    ]
    for transport in greedy:
        transport.abort()
    return len(greedy)
