"""A wire between listeners and a node, on which happens what happens to networks: in userland, so that it needs no
rights, and nothing on it is left to chance.

Both ends keep connections with the wire, so that neither is told by its kernel what becomes of the other.
"""

import asyncio
import socket
import struct
import threading
import urllib.parse

# What a wire takes at once: small beside what it carries in a second when it is slow.
PIECE_BYTES = 512
# The queue before the narrow place, in each direction: a slow wire holds some seconds, as routers do.
QUEUE_BYTES = 8192
# Connections that a wire which carries nothing leaves unanswered.
BACKLOG = 64
# As a proxy says it whose node is gone: no reason, no time.
TROUBLE = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/html\r\ncontent-length: 4\r\nconnection: close\r\n\r\nOops"
CLOSE_WITH_RESET = struct.pack("ii", 1, 0)


class Toll:
    """Lets so many bytes a second pass, in the order in which they came."""

    def __init__(self, wire):
        self.wire = wire
        self.free = 0.0

    async def pay(self, count):
        rate = self.wire.bytes_a_second
        if rate:
            now = self.wire.loop.time()
            self.free = max(now, self.free) + count / rate
            await asyncio.sleep(self.free - now)


class Wire:
    """One wire from an address of its own to a node's."""

    def __init__(self, url):
        far = urllib.parse.urlsplit(url)
        self.far = (far.hostname, far.port)
        self.bytes_a_second = None
        self.in_trouble = False
        self.tasks, self.ends = set(), set()
        self.near = None
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.inward, self.outward = Toll(self), Toll(self)
        self.carrying = self.does(made(asyncio.Event))
        self.carrying.set()
        self.address = ("127.0.0.1", 0)
        self.answer()

    def does(self, work):
        """Has something done on the wire's own thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def through(self, url):
        """A URL of the node, by way of this wire."""
        host, port = self.address
        return urllib.parse.urlsplit(url)._replace(netloc=f"{host}:{port}").geturl()

    # What happens to networks

    def vanish(self):
        """Nothing passes any more, either way, and nobody is told: a tunnel."""
        self.does(made(self.carrying.clear))

    def carry(self):
        """What stood still goes on."""
        self.does(made(self.carrying.set))

    def strand(self):
        """What was connected is dead, and nobody is told; whoever connects now is carried: a new address."""
        self.does(self.end_tasks())

    def slow(self, bytes_a_second):
        """Lets no more pass; `None`, as much as comes."""
        self.bytes_a_second = bytes_a_second

    def reset(self):
        """Breaks what is connected, and both ends are told."""
        self.does(self.end_all())

    def refuse(self):
        """Nobody answers at the address, and what was connected is broken."""
        self.does(self.stop_answering())

    def answer(self):
        """Whoever connects is carried."""
        self.does(self.start_answering())

    def trouble(self, on):
        """A proxy before the node says 503 to all that is asked, and drops what it carried."""
        self.in_trouble = on
        if on:
            self.reset()

    def close(self):
        self.refuse()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # On the wire's own thread

    async def start_answering(self):
        self.near = socket.socket()
        self.near.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.near.bind(self.address)
        self.near.setblocking(False)
        self.near.listen(BACKLOG)
        self.address = self.near.getsockname()
        self.accepting = self.loop.create_task(self.accept())

    async def stop_answering(self):
        self.accepting.cancel()
        await asyncio.wait([self.accepting])
        self.near.close()
        await self.end_all()

    async def accept(self):
        while True:
            end, _ = await self.loop.sock_accept(self.near)
            end.setblocking(False)
            task = self.loop.create_task(self.connect(end))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def connect(self, listener):
        self.ends.add(listener)
        await self.carrying.wait()
        if self.in_trouble:
            return await self.say_trouble(listener)
        node = socket.socket()
        node.setblocking(False)
        self.ends.add(node)
        for end, option in ((node, socket.SO_RCVBUF), (listener, socket.SO_SNDBUF)):
            end.setsockopt(socket.SOL_SOCKET, option, QUEUE_BYTES)
        try:
            await self.loop.sock_connect(node, self.far)
            await both(self.one_way(listener, node, self.outward), self.one_way(node, listener, self.inward))
        except OSError:
            pass  # One end broke it: so it is broken for the other.
        self.end(listener)
        self.end(node)

    async def one_way(self, source, sink, toll):
        while piece := await self.loop.sock_recv(source, PIECE_BYTES):
            await toll.pay(len(piece))
            await self.carrying.wait()
            await self.loop.sock_sendall(sink, piece)
        await self.carrying.wait()
        sink.shutdown(socket.SHUT_WR)

    async def say_trouble(self, listener):
        try:
            await self.loop.sock_recv(listener, 65_536)
            await self.loop.sock_sendall(listener, TROUBLE)
        except OSError:
            pass
        self.end(listener)

    async def end_tasks(self):
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks)

    async def end_all(self):
        await self.end_tasks()
        for end in list(self.ends):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, CLOSE_WITH_RESET)
            self.end(end)

    def end(self, end):
        self.ends.discard(end)
        end.close()


async def both(*ways):
    """Goes both ways until both are done, or one has failed."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, OSError):
            raise end


async def made(call):
    return call()
