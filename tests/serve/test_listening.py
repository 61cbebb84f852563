"""Answers leave at once: small packets are not held back until the client has acknowledged those before (40 ms)."""

import asyncio
import socket

import pytest

from angulus.errors import ServiceError
from angulus.serve.web.listening import Address, bound_socket


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_connections_do_not_wait_for_acknowledgements(host):
    async def served():
        flags = []

        async def answer(reader, writer):
            flags.append(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listener = bound_socket(Address(host=host, port=0))
        async with await asyncio.start_server(answer, sock=listener):
            reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
            await reader.read()
            writer.close()
        return flags

    (flag,) = asyncio.run(served())
    assert flag


def test_an_address_that_cannot_be_had():
    with bound_socket(Address(host="127.0.0.1", port=0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServiceError, match=f"port {port}: .*take another --port"):
            bound_socket(Address(host="127.0.0.1", port=port))
    with pytest.raises(ServiceError, match="cannot listen at"):
        bound_socket(Address(host="no host of this name.invalid", port=0))
