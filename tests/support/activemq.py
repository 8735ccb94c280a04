"""A throw-away ActiveMQ Classic broker for one test: another server that speaks AMQP 1.0, from its jars alone."""
import proton

from .artemis import Artemis


class ActiveMq(Artemis):
    """As Artemis, without users, TLS and management: what is in a queue is known by taking it."""

    release, jars, user, _login = "activemq-6.1.7", ".", {}, {}

    def __init__(self, name="activemq"):
        super().__init__(name=name)
        self._taken = {}

    def _conf(self, tls, credits):
        pass

    def _words(self):
        """A journal on the disk, of which each message is written before it is accepted."""
        return [f"-Dactivemq.home={self.dir}", f"-Dactivemq.base={self.dir}", f"-Djava.io.tmpdir={self.dir}", "-cp", f"{self._home}/*",
                "org.apache.activemq.console.command.ShellCommand", "start",
                f"broker:(amqp://127.0.0.1:{self.port})?persistent=true&dataDirectory={self.dir}/data&useJmx=false"]

    def take(self, queue, most=None):
        """All messages of the queue so far, in order; no other reader gets any. Where the broker dies meanwhile, some come twice."""
        got = self._taken.setdefault(queue, [])
        with self.connected() as c:
            receiver = c.create_receiver(queue, credit=1000)
            try:
                while True:
                    got.append(receiver.receive(timeout=.3))
                    receiver.accept()
            except proton.Timeout:
                return got

    def count(self, queue):
        return len(self.take(queue))
