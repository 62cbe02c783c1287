"""The listening socket: what is accepted on it answers at once."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from yun.base.config import Settings
from yun.server import bind


def test_an_answer_in_two_parts_does_not_wait_for_the_caller_to_acknowledge_the_first(tmp_path: Path) -> None:
    """A delayed acknowledgement takes 40 ms, which is more than most requests."""

    async def accepted(listener: socket.socket) -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def note(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            taken: socket.socket = writer.get_extra_info("socket")
            found.set_result(taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(note, sock=listener):
            _reader, writer = await asyncio.open_connection(*listener.getsockname())
            no_delay = await asyncio.wait_for(found, 10)
            writer.close()
            return no_delay

    with bind(Settings(state_dir=tmp_path, port=0)) as listener:
        assert asyncio.run(accepted(listener)) != 0
