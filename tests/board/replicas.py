"""Two APIs beside an engine, and a balancer before them: the view of a client when one of them is killed."""
import contextlib
import os
import selectors
import signal
import socket
import threading
import urllib.request

from region import free_port


class Balancer:
    """Hands connections on to one address, and cuts them when that changes. Nobody is reached while it is None."""

    def __init__(self):
        self.to, self.open, self.lock = None, set(), threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            server = socket.create_connection(("127.0.0.1", self.to), 5) if self.to else None
        except OSError:
            server = None
        if server is None:
            client.close()
            return
        pair = (client, server)
        with self.lock:
            self.open.add(pair)
        with contextlib.suppress(OSError, ValueError), selectors.DefaultSelector() as ready:
            for one, other in (pair, pair[::-1]):
                ready.register(one, selectors.EVENT_READ, other)
            while all(self._hand_on(key) for key, _ in ready.select()):
                pass
        self._cut([pair])

    @staticmethod
    def _hand_on(key):
        told = key.fileobj.recv(65536)
        key.data.sendall(told)
        return told

    def _cut(self, pairs):
        with self.lock:
            self.open -= set(pairs)
        for one in (one for pair in pairs for one in pair):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def turn(self, to):
        self.to = to
        self._cut(list(self.open))

    def stop(self):
        self.listener.close()
        self.turn(None)


class Replica:
    """`tachi api` on a port of its own, on the database of a region."""

    def __init__(self, region, name):
        self.port = free_port()
        conf = os.path.join(region.work, name + ".conf")
        with open(conf, "w", encoding="utf-8") as f:
            f.write("[DEFAULT]\nmasakari_api_listen_port = %d\n" % self.port)
        self.process = region._start(["api", *region.config_files(), "--config-file", conf], os.path.join(region.work, name + ".log"))
        region.wait(self._healthy, "a healthy " + name)

    def _healthy(self):
        try:
            with urllib.request.urlopen("http://127.0.0.1:%d/healthcheck" % self.port, timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)


@contextlib.contextmanager
def two(region):
    """The balancer, which hands on to the first; then both APIs."""
    balancer, replicas = Balancer(), []
    try:
        replicas += [Replica(region, "first"), Replica(region, "second")]
        balancer.turn(replicas[0].port)
        yield balancer, *replicas
    finally:
        balancer.stop()
        for one in replicas:
            one.stop()
