"""What a client of the OPC UA server may take: the library lets it have nearly all of the memory, files and time."""

from typing import Any

CONNECTIONS = 64  # at once; of a system that lets 1,024 files be open the rest stays for cameras, spool and others
SUBSCRIPTIONS = 200  # of all clients together
QUEUED = 1_000  # notifications that wait for a client, for each item that it watches
UNACKNOWLEDGED = 100  # answers of a subscription that are kept to be sent again
FASTEST = 50.0  # milliseconds between two publications of a subscription: each takes time of the loop
PATIENCE = 10.0  # seconds until a connection has to have its session
MOST_ASKED, MOST_UNREAD = 1_000_000, 32_000_000  # bytes of an unfinished request, and of answers that nobody fetches


def limit(server: Any) -> None:
    """Set the limits of a server of asyncua that has not started."""
    inner = server.iserver
    inner.max_connections, inner.max_subscriptions = CONNECTIONS, SUBSCRIPTIONS
    inner.max_monitored_item_queue_size = QUEUED
    inner.max_unacked_messages_per_subscription = UNACKNOWLEDGED
    inner.max_pending_activation_seconds = PATIENCE
    service = inner.subscription_service
    create = service.create_subscription

    async def created(params: Any, *rest: Any, **more: Any) -> Any:
        params.RequestedPublishingInterval = max(FASTEST, params.RequestedPublishingInterval)
        return await create(params, *rest, **more)

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
