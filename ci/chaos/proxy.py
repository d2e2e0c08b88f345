"""Links that can fail: TCP proxies on loopback, all on one event loop in a thread of its own."""

import asyncio
import socket
import struct
import threading
import time

DIRECTIONS = {"up": ("up",), "down": ("down",), "both": ("up", "down")}


class Connection:
    """One connection through a link: two pumps, one for each direction."""

    def __init__(self, link, reader, writer):
        self.link = link
        self.ends = {"down": writer}
        self.reader = reader
        # Directions in which bytes vanished: nothing that comes later can ever be delivered.
        self.deaf = set(DIRECTIONS["both"]) if link.cut else set()

    async def run(self):
        await self.link.wait_open("up")
        if self.link.target is None:
            return self.reset()
        try:
            reader, self.ends["up"] = await asyncio.open_connection(*self.link.target)
            up = self.ends["up"].get_extra_info("socket")
            if up.getsockname() == up.getpeername():
                # Nobody listens there, and by chance the system has connected us to ourselves.
                return self.reset()
        except OSError:
            return self.reset()
        await asyncio.gather(self.pump(self.reader, "up"), self.pump(reader, "down"))
        self.close()

    async def pump(self, reader, direction):
        writer = self.ends[direction]
        try:
            while data := await reader.read(1 << 16):
                came = time.monotonic()
                await self.link.wait_open(direction)
                wait = came + self.link.delay - time.monotonic()
                if wait > 0:
                    await asyncio.sleep(wait)
                if direction not in self.deaf:
                    writer.write(data)
                    await writer.drain()
            await self.link.wait_open(direction)
            if direction not in self.deaf:
                writer.write_eof()
        except (OSError, RuntimeError):
            # Broken or half-closed already. Who was cut off must not hear of it.
            if not self.deaf:
                self.reset()

    def half_close(self, direction):
        if direction in self.ends and direction not in self.deaf:
            self.deaf.add(direction)
            try:
                self.ends[direction].write_eof()
            except (OSError, RuntimeError):
                pass

    def reset(self):
        for writer in self.ends.values():
            end = writer.get_extra_info("socket")
            try:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            except OSError:
                pass
            writer.transport.abort()

    def close(self):
        for writer in self.ends.values():
            writer.close()


class Link:
    """A port of its own that leads to `target`, nowhere if that is None, and its present faults."""

    def __init__(self, name, target):
        self.name = name
        self.target = target
        self.cut = 0
        self.delay = 0.0
        self.held = {"up": 0, "down": 0}
        self.opened = asyncio.Event()
        self.connections = set()

    async def listen(self):
        self.server = await asyncio.start_server(self.accept, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]

    async def accept(self, reader, writer):
        connection = Connection(self, reader, writer)
        self.connections.add(connection)
        try:
            await connection.run()
        except asyncio.CancelledError:
            connection.reset()
        finally:
            self.connections.discard(connection)

    async def wait_open(self, direction):
        while self.held[direction]:
            self.opened.clear()
            await self.opened.wait()

    def begin(self, verb, words):
        """Starts a fault; returns what ends it, or `None` when it is over at once."""
        if verb == "cut":
            return self.begin_cut(DIRECTIONS[words[0]])
        if verb == "hold":
            return self.begin_hold(DIRECTIONS[words[0]])
        if verb == "delay":
            seconds = int(words[0]) / 1000
            self.delay += seconds
            return lambda: setattr(self, "delay", max(0.0, self.delay - seconds))
        for connection in list(self.connections):
            if verb == "reset":
                connection.reset()
            else:
                connection.half_close(words[0])
        return None

    def begin_cut(self, directions):
        self.cut += 1
        for connection in self.connections:
            connection.deaf.update(directions)
        return lambda: setattr(self, "cut", self.cut - 1)

    def begin_hold(self, directions):
        for direction in directions:
            self.held[direction] += 1

        def end():
            for direction in directions:
                self.held[direction] -= 1
            self.opened.set()

        return end


class Proxy:
    """All links of a run."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.links = {}

    def _do(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def add(self, name, target):
        """A new link; returns the port that leads to `target`."""
        async def start():
            link = self.links[name] = Link(name, target)
            await link.listen()
            return link.port
        return self._do(start())

    def aim(self, name, target):
        """Connections that come from now on go to `target`."""
        async def turn():
            self.links[name].target = target
        self._do(turn())

    def reaching(self, name):
        """The links that a name means: one, or all that lead to a place or from it."""
        if name in self.links:
            return [self.links[name]]
        return [link for link in self.links.values() if name in link.name.split(">")]

    def fail(self, name, verb, words):
        """Starts a fault of links; returns a function that ends it, or `None`."""
        async def begin():
            ends = [link.begin(verb, words) for link in self.reaching(name)]
            return [end for end in ends if end]
        ends = self._do(begin())

        async def finish():
            for end in ends:
                end()
        return (lambda: self._do(finish())) if ends else None

    def close(self):
        async def stop():
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for link in self.links.values():
                link.server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._do(stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()
