"""A shutdown begins whatever is under way."""

import asyncio
import contextlib
import time

from utils.web.limits import Traffic


def test_a_shutdown_in_the_moment_in_which_a_request_is_too_late_begins_all_the_same():
    async def meet() -> list[bool]:
        traffic, loop, ended = Traffic(1), asyncio.get_running_loop(), []

        async def read() -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.01) as timeout:
                    traffic.reading.add(timeout)
                    await asyncio.sleep(10)

        def close() -> None:
            traffic.close()
            ended.append(traffic.closing)

        reading = asyncio.ensure_future(read())
        await asyncio.sleep(0)
        loop.call_later(0.02, close)
        time.sleep(0.05)  # a busy machine: both are due when the loop goes on
        await reading
        await asyncio.sleep(0.01)
        return ended

    assert asyncio.run(meet()) == [True]
