"""A TCP proxy inside the test that can cut, stall, slow down and refuse connections."""
import collections
import queue
import selectors
import socket
import struct
import threading
import time

from . import proc

_CHUNK = 1 << 16
_BUFFER = 1 << 20  # what it holds per direction before it stops reading, so that back-pressure passes through


class _Half:
    """One direction of a connection: bytes read from src, each with the time it may be written to dst."""

    def __init__(self, src, dst, name):
        self.src, self.dst, self.name = src, dst, name
        self.waiting = collections.deque()
        self.size = 0
        self.eof = self.done = False


class Proxy:
    """Proxy(host, port) listens on self.port at once. 'up' is towards the server, 'down' back to the client."""

    def __init__(self, target_host, target_port, port=0):
        self.target = (target_host, target_port)
        self.port = port or proc.free_port()
        self.up_bytes = self.down_bytes = self.accepted = 0
        self._delay = 0.0
        self._rates = {}
        self._due = {}
        self._stalled = set()
        self._cut = {}
        self._edits = []
        self._pairs = []
        self._calls = queue.Queue()
        self._sel = selectors.DefaultSelector()
        self._wake_r, self._wake_w = socket.socketpair()
        self._wake_r.setblocking(False)
        self._sel.register(self._wake_r, selectors.EVENT_READ, "wake")
        self._listener = None
        self._closed = False
        self._listen()
        self._thread = threading.Thread(target=self._loop, daemon=True, name=f"proxy {self.port}")
        self._thread.start()

    # What a test calls. Everything is done by the proxy's own thread; a call returns when it is done.

    @property
    def connections(self):
        """The number of open connections."""
        return len(self._pairs)

    def cut(self):
        """Closes every connection in good order; new ones are accepted."""
        self._call(lambda: self._drop_all(False))

    def rst(self):
        """Resets every connection; new ones are accepted."""
        self._call(lambda: self._drop_all(True))

    def refuse(self):
        """Resets every connection and refuses new ones until heal()."""
        self._call(lambda: (self._unlisten(), self._drop_all(True)))

    def blackhole(self, direction="both"):
        """Passes nothing on any more ('up', 'down' or 'both'), closes nothing, still accepts; until heal()."""
        self._call(lambda: self._stalled.update(("up", "down") if direction == "both" else (direction,)))

    def delay(self, seconds):
        """Delivers every byte that much later, both ways."""
        self._call(lambda: setattr(self, "_delay", seconds))

    def throttle(self, rate, direction="down"):
        """Passes at most so many bytes a second on in this direction, over all connections; until heal()."""
        self._call(lambda: self._rates.update({direction: rate}))

    def cut_after(self, n, direction="up", rst=False):
        """Drops the connection that carries the n-th byte from now on in this direction, right after that byte. Once."""
        self._call(lambda: self._cut.update({direction: (n, rst)}))

    def edit(self, fn, times=1):
        """Gives each piece that comes from the server to fn, which answers what to pass on instead, or None to leave it as it is;
        until it has answered something as often as it may, or heal(). An event that is set when it has done so once."""
        done = threading.Event()
        self._call(lambda: self._edits.append([fn, times, done]))
        return done

    def heal(self):
        """Back to a plain proxy; what a blackhole held back is delivered."""
        def healed():
            self._stalled.clear()
            self._cut.clear()
            self._edits.clear()
            self._rates.clear()
            self._due.clear()
            self._delay = 0.0
            self._listen()
        self._call(healed)

    def close(self):
        if not self._closed:
            self._call(lambda: (self._unlisten(), self._drop_all(True), setattr(self, "_closed", True)))
            self._thread.join(5)

    # The proxy's thread.

    def _call(self, fn):
        if self._closed:
            return
        done, result = threading.Event(), []

        def do():
            try:
                fn()
            except Exception as e:  # pylint: disable=broad-except; handed to the caller
                result.append(e)
            done.set()
        self._calls.put(do)
        self._wake_w.send(b"x")
        proc.check(done.wait(180), "the proxy's thread does not answer")
        if result:
            raise result[0]

    def _listen(self):
        if self._listener is None:
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", self.port))
            s.listen(64)
            s.setblocking(False)
            self._listener = s
            self._sel.register(s, selectors.EVENT_READ, "accept")

    def _unlisten(self):
        if self._listener is not None:
            self._sel.unregister(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self):
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        server = socket.socket()
        try:
            server.connect(self.target)  # the target is on this machine: it accepts or refuses at once
        except OSError:
            self._reset(client)
            server.close()
            return
        self.accepted += 1
        for s in (client, server):
            s.setblocking(False)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pairs.append((_Half(client, server, "up"), _Half(server, client, "down")))

    @staticmethod
    def _reset(s):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()

    def _drop(self, pair, rst):
        self._pairs.remove(pair)
        for s in (pair[0].src, pair[0].dst):
            if s in self._sel.get_map():
                self._sel.unregister(s)
            if rst:
                self._reset(s)
            else:
                s.close()

    def _drop_all(self, rst):
        for pair in list(self._pairs):
            self._drop(pair, rst)

    def _arm(self, now):
        """Asks the selector for what each direction can use now; returns the time until the next delayed byte is due."""
        due = 1.0
        for pair in self._pairs:
            want = {pair[0].src: 0, pair[0].dst: 0}
            for h in pair:
                if h.name in self._stalled:
                    continue
                if not h.eof and h.size < _BUFFER:
                    want[h.src] |= selectors.EVENT_READ
                if h.waiting:
                    if h.waiting[0][0] <= now:
                        want[h.dst] |= selectors.EVENT_WRITE
                    else:
                        due = min(due, h.waiting[0][0] - now)
            for s, events in want.items():
                registered = s in self._sel.get_map()
                if events and registered:
                    self._sel.modify(s, events, pair)
                elif events:
                    self._sel.register(s, events, pair)
                elif registered:
                    self._sel.unregister(s)
        return due

    def _read(self, h):
        data = h.src.recv(_CHUNK)
        if h.name == "down":
            data = self._edited(data)
        if not data:
            h.eof = True
        else:
            h.waiting.append((self._when(h.name, len(data)), data))
            h.size += len(data)

    def _when(self, direction, size):
        """When bytes that have come now may go on."""
        now = time.monotonic()
        if direction in self._rates:
            now = self._due[direction] = max(now, self._due.get(direction, now)) + size / self._rates[direction]
        return now + self._delay

    def _edited(self, data):
        for edit in list(self._edits):
            changed = edit[0](data)
            if changed is not None:
                data = changed
                edit[1] -= 1
                edit[2].set()
                if edit[1] == 0:
                    self._edits.remove(edit)
        return data

    def _write(self, h):
        """Returns whether the connection is to be dropped, and how."""
        when, data = h.waiting.popleft()
        limit = self._cut.get(h.name)
        sent = h.dst.send(data[:limit[0]] if limit else data)
        h.size -= sent
        if h.name == "up":
            self.up_bytes += sent
        else:
            self.down_bytes += sent
        if sent < len(data):
            h.waiting.appendleft((when, data[sent:]))
        if limit:
            self._cut[h.name] = (limit[0] - sent, limit[1])
            if limit[0] <= sent:
                del self._cut[h.name]
                return True, limit[1]
        return False, False

    def _serve(self, pair, sock, mask):
        for h in pair:
            if mask & selectors.EVENT_READ and h.src is sock:
                self._read(h)
            if mask & selectors.EVENT_WRITE and h.dst is sock and h.waiting:
                drop, rst = self._write(h)
                if drop:
                    self._drop(pair, rst)
                    return

    def _loop(self):
        while not self._closed:
            for key, mask in self._sel.select(self._arm(time.monotonic())):
                if key.data == "wake":
                    self._wake_r.recv(4096)
                elif key.data == "accept":
                    self._accept()
                elif key.data in self._pairs:
                    try:
                        self._serve(key.data, key.fileobj, mask)
                    except BlockingIOError:
                        pass
                    except OSError:
                        self._drop(key.data, True)
            for pair in list(self._pairs):
                for h in pair:
                    if h.eof and not h.waiting and not h.done and h.name not in self._stalled:
                        h.done = True
                        try:
                            h.dst.shutdown(socket.SHUT_WR)
                        except OSError:
                            pass
                if all(h.done for h in pair):
                    self._drop(pair, False)
            while not self._calls.empty():
                self._calls.get()()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
