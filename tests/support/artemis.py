"""A throw-away ActiveMQ Artemis broker for one test, and a reader that shares no code with the relay: qpid-proton's own client for Python."""
import atexit
import contextlib
import json
import os
import shutil
import signal
import subprocess

import proton
from proton.utils import BlockingConnection

from . import guard, proc
from .judge import Arrival
from .proc import check, wait_for
from .relaying import NOBODY, SETPRIV

JAVA = "/usr/bin/java"
# Where a broker is being restarted the client raises any of these.
AWAY = (OSError, proton.ProtonException)

BROKER = """<configuration xmlns="urn:activemq"><core xmlns="urn:activemq:core">
<name>test</name><persistence-enabled>true</persistence-enabled><journal-type>NIO</journal-type>
<paging-directory>data/paging</paging-directory><bindings-directory>data/bindings</bindings-directory>
<journal-directory>data/journal</journal-directory><large-messages-directory>data/large-messages</large-messages-directory>
<journal-file-size>1M</journal-file-size><journal-min-files>2</journal-min-files><journal-buffer-timeout>0</journal-buffer-timeout><journal-datasync>false</journal-datasync>
<max-disk-usage>-1</max-disk-usage><critical-analyzer>false</critical-analyzer><global-max-size>100M</global-max-size>
<acceptors><acceptor name="amqp">tcp://127.0.0.1:{port}?protocols=AMQP,CORE;amqpCredits={credits};amqpLowCredits={low}</acceptor>{tls}</acceptors>
<security-settings>
 <security-setting match="#">
  <permission type="createAddress" roles="owner"/><permission type="deleteAddress" roles="owner"/>
  <permission type="createNonDurableQueue" roles="owner"/><permission type="deleteNonDurableQueue" roles="owner"/>
  <permission type="createDurableQueue" roles="owner"/><permission type="deleteDurableQueue" roles="owner"/>
  <permission type="send" roles="owner,writer"/><permission type="consume" roles="owner"/><permission type="browse" roles="owner"/>
  <permission type="manage" roles="owner"/>
 </security-setting>
</security-settings>
<address-settings>
 <address-setting match="#"><dead-letter-address>DLQ</dead-letter-address></address-setting>
 <address-setting match="closed.#"><auto-create-queues>false</auto-create-queues><auto-create-addresses>false</auto-create-addresses></address-setting>
 <address-setting match="fail.#"><max-size-bytes>20000</max-size-bytes><address-full-policy>FAIL</address-full-policy></address-setting>
 <address-setting match="block.#"><max-size-bytes>20000</max-size-bytes><address-full-policy>BLOCK</address-full-policy></address-setting>
</address-settings>
<addresses>
 <address name="DLQ"><anycast><queue name="DLQ"/></anycast></address>
 <address name="closed.kept"><anycast><queue name="closed.kept"/></anycast></address>
 <address name="closed.bare"><anycast/></address>
 <address name="closed.many"><multicast><queue name="subscription"/></multicast></address>
</addresses>
</core></configuration>
"""
TLS = ('<acceptor name="tls">tcp://127.0.0.1:{port}?protocols=AMQP;sslEnabled=true;keyStoreType=PKCS12;keyStorePath={store};keyStorePassword=of-a-test'
       '</acceptor>')
BOOTSTRAP = """<broker xmlns="http://activemq.apache.org/schema"><jaas-security domain="activemq"/>
<server configuration="file:{dir}/etc/broker.xml"/></broker>
"""
LOGIN = """activemq {
  org.apache.activemq.artemis.spi.core.security.jaas.PropertiesLoginModule sufficient
    debug=false reload=false
    org.apache.activemq.jaas.properties.user="artemis-users.properties"
    org.apache.activemq.jaas.properties.role="artemis-roles.properties";
};
"""
LOG = """rootLogger.level = WARN
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %-5level [%logger] %msg%n
"""


class Artemis:
    """Artemis() prepares, start() starts, again with its data after the first time; as a context manager it is started and stopped.

    tls: a directory with server.crt and server.key, for a second port. The user `owner` may do everything, `writer` may only send, `stranger` nothing. Addresses that begin with
    "closed." are not made by themselves; of them there are closed.kept, closed.bare (without a queue) and closed.many (a topic). Those that begin with "fail."
    refuse messages beyond 20 kB, and those that begin with "block." give no credit then. credits: what a sender gets at a time.
    """

    release, jars = "apache-artemis-2.40.0", "lib"
    user = {"username": "owner", "password": "hunter2"}
    _login = {"user": "owner", "password": "hunter2", "allowed_mechs": "PLAIN", "allow_insecure_mechs": True}

    def __init__(self, tls=None, name="artemis", credits=1000):
        self.dir = proc.tempdir(name)
        self.port, self.tls_port = proc.free_port(), proc.free_port()
        self.log_path = self.dir / "log"
        self._p, self._home = None, proc.downloaded(self.release)
        (self.dir / "etc").mkdir()
        self._conf(tls, credits)
        if os.getuid() == 0:
            self._give_away()
        proc.register_log(self.log_path)
        atexit.register(self.kill9)

    def _conf(self, tls, credits):
        etc, acceptor = self.dir / "etc", ""
        if tls:
            store = self.dir / "server.p12"
            subprocess.run(["openssl", "pkcs12", "-export", "-in", f"{tls}/server.crt", "-inkey", f"{tls}/server.key", "-out", store, "-passout",
                            "pass:of-a-test"], check=True, capture_output=True)
            acceptor = TLS.format(port=self.tls_port, store=store)
        (etc / "broker.xml").write_text(BROKER.format(port=self.port, tls=acceptor, credits=credits, low=credits // 3))
        (etc / "bootstrap.xml").write_text(BOOTSTRAP.format(dir=self.dir))
        (etc / "management.xml").write_text('<management-context xmlns="http://activemq.apache.org/schema"/>\n')
        (etc / "login.config").write_text(LOGIN)
        (etc / "artemis-users.properties").write_text("owner = hunter2\nwriter = right\nstranger = right\n")
        (etc / "artemis-roles.properties").write_text("owner = owner\nwriter = writer\nnobody = stranger\n")
        (etc / "log4j2.properties").write_text(LOG)

    def _give_away(self):
        """The broker runs as nobody, who may not read where root keeps its downloads: it gets a copy of them."""
        shutil.copytree(self._home / self.jars, self.dir / "home" / self.jars)
        self._home = self.dir / "home"
        for top, dirs, files in os.walk(self.dir):
            for path in (top, *(os.path.join(top, f) for f in dirs + files)):
                os.chown(path, NOBODY, NOBODY)

    # --- its life ---

    def _words(self):
        """For Java: where the classes are, what they are told, and which of them is started."""
        return ["--add-opens", "java.base/jdk.internal.misc=ALL-UNNAMED", "-cp", f"{self._home}/lib/artemis-boot.jar",
                f"-Dartemis.home={self._home}", f"-Dartemis.instance={self.dir}", f"-Dartemis.instance.etc={self.dir}/etc",
                f"-Dartemis.instance.etc.uri=file:{self.dir}/etc/", f"-Ddata.dir={self.dir}/data", f"-Djava.io.tmpdir={self.dir}",
                f"-Djava.security.auth.login.config={self.dir}/etc/login.config", f"-Dlog4j2.configurationFile=file:{self.dir}/etc/log4j2.properties",
                "org.apache.activemq.artemis.boot.Artemis", "run"]

    def start(self):
        drop = [SETPRIV, "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"] if os.getuid() == 0 else []
        command = [*drop, JAVA, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xms64m", "-Xmx256m", "-Xshare:auto", *self._words()]
        with open(self.log_path, "ab") as log:
            self._p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.dir, start_new_session=True)
        guard.watch_pid(self._p.pid)
        wait_for(self._answers, 120, f"{self.release} to start", ignore=AWAY)
        return self

    def _answers(self):
        check(self._p.poll() is None, f"{self.release} ended with {self._p.poll()}")
        with self.connected():
            return True

    @property
    def pid(self):
        return self._p.pid

    @property
    def running(self):
        return self._p is not None and self._p.poll() is None

    def _end(self, sig):
        if self._p:
            if self.running:
                self._p.send_signal(sig)
            self._p.wait()
            guard.forget_pid(self._p.pid)
        self._p = None

    def stop(self):
        self._end(signal.SIGTERM)

    def kill9(self):
        self._end(signal.SIGKILL)

    def sigstop(self):
        """The broker keeps its connections and answers nothing."""
        self._p.send_signal(signal.SIGSTOP)
        wait_for(lambda: guard.stands(self._p.pid), 10, "the broker to stand still")

    def sigcont(self):
        self._p.send_signal(signal.SIGCONT)

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.kill9()

    # --- clients ---

    def sink(self, **more):
        return {"type": "amqp", "url": f"amqp://127.0.0.1:{self.port}", **self.user, **more}

    @contextlib.contextmanager
    def connected(self):
        c = BlockingConnection(f"amqp://127.0.0.1:{self.port}", timeout=20, **self._login)
        try:
            yield c
        finally:
            with contextlib.suppress(*AWAY):
                c.close()

    def _manage(self, resource, *arguments, **what):
        """What the broker's management answers; None: it refuses."""
        with self.connected() as c:
            receiver = c.create_receiver(None, dynamic=True)
            c.create_sender("activemq.management").send(proton.Message(
                reply_to=receiver.link.remote_source.address, body=json.dumps(arguments), properties={"_AMQ_ResourceName": resource, **what}))
            answer = receiver.receive(timeout=20)
            receiver.accept()
            return json.loads(answer.body or "[]") if answer.properties["_AMQ_OperationSucceeded"] else None

    def count(self, queue):
        """How many messages are in the queue; 0 if there is none."""
        answer = self._manage(f"queue.{queue}", _AMQ_Attribute="messageCount")
        return int(answer[0]) if answer else 0

    def create(self, queue):
        """An anycast address with a queue of that name."""
        spec = json.dumps({"name": queue, "address": queue, "routing-type": "ANYCAST", "durable": True, "auto-create-address": True})
        check(self._manage("broker", spec, True, _AMQ_OperationName="createQueue"), f"the queue {queue} cannot be made")

    def delete(self, queue):
        """The address stays."""
        check(self._manage("broker", queue, True, False, _AMQ_OperationName="destroyQueue") is not None, f"the queue {queue} cannot be deleted")

    def take(self, queue, most=None):
        """The messages that are in the queue now, in order; they are removed."""
        there, out = self.count(queue.split("::")[-1]), []
        most = there if most is None else min(most, there)
        if most == 0:
            return out
        with self.connected() as c:
            receiver = c.create_receiver(queue, credit=min(most, 1000))
            while len(out) < most:
                out.append(receiver.receive(timeout=20))
                receiver.accept()
        return out


def body(message):
    """As bytes."""
    return bytes(message.body) if message.body is not None else None


def arrivals(messages, where):
    """For judge(): the key is the group."""
    return [Arrival(where, m.group_id, m.id, body(m)) for m in messages]
