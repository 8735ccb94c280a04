"""A throw-away PostgreSQL server for one test."""
import atexit
import glob
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path
from urllib.parse import quote

import psycopg2

from . import guard, proc

DEFAULTS = {
    "listen_addresses": "127.0.0.1",
    "wal_level": "logical",
    "max_connections": 100,
    "shared_buffers": "64MB",
    "max_wal_senders": 16,
    "max_replication_slots": 16,
    "log_line_prefix": "%m [%p] %a ",
    "fsync": "on",
}


def bindir():
    """Where the server's programs are: $COMMITRELAY_PGBIN, pg_config's answer, or Debian's newest."""
    candidates = [os.environ.get("COMMITRELAY_PGBIN", "")]
    if shutil.which("pg_config"):
        candidates.append(subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True).stdout.strip())
    candidates += sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda p: int(p.split("/")[4].split(".")[0]), reverse=True)
    for c in candidates:
        if c and os.access(f"{c}/initdb", os.X_OK) and os.access(f"{c}/postgres", os.X_OK):
            return c
    proc.fail("no PostgreSQL server here; run tools/setup")


VERSIONS = (14, 15, 16, 17, 18)


def bindir_of(version):
    """A certain major version's programs, fetched if need be; a version that cannot be had fails the test."""
    r = subprocess.run([str(proc.ROOT / "tools/pg"), str(version)], capture_output=True, text=True)
    proc.check(r.returncode == 0, f"no PostgreSQL {version}: {r.stderr}")
    path = r.stdout.strip()
    proc.check(os.access(f"{path}/postgres", os.X_OK), f"no PostgreSQL {version} in {path}; run tools/setup test")
    return path


class Postgres:
    """Postgres() makes the cluster, start() starts it; as a context manager it is started and stopped. Everyone is trusted."""

    def __init__(self, dir=None, version=None, settings=None, name="pg"):
        self.bindir = bindir_of(version) if version else bindir()
        self.dir = Path(dir or proc.tempdir(name))
        self.data = self.dir / "data"
        self.log_path = self.dir / "log"
        self.socket_dir = proc.tempdir("s")  # not below dir: a socket's path has 107 bytes at most
        self.pid = None
        self._p = None
        self._as = {}
        self.dir.mkdir(parents=True, exist_ok=True)
        # The server refuses to run as root, so root lends itself to an ordinary user and gives it the directories.
        if os.getuid() == 0:
            user = next((pwd.getpwnam(n) for n in ("postgres", "nobody") if _exists(n)), None)
            proc.check(user, "PostgreSQL does not run as root and there is no user postgres")
            self._as = dict(user=user.pw_uid, group=user.pw_gid, extra_groups=[])
            for d in (self.dir, self.socket_dir):
                os.chown(d, user.pw_uid, user.pw_gid)
        self.socket_dir.chmod(0o755)
        try:
            subprocess.run(["test", "-w", str(self.dir)], check=True, **self._as)
        except subprocess.CalledProcessError:
            proc.fail(f"the user PostgreSQL runs as cannot reach {self.dir}; set TMPDIR to a directory it can")
        if subprocess.run(["test", "-x", f"{self.bindir}/postgres"], check=False, **self._as).returncode:
            self.bindir = _reachable(self.bindir)
        if (self.data / "PG_VERSION").exists():
            self.port = int((self.dir / "port").read_text())
        else:
            self.port = proc.free_port()
            self._initdb()
            (self.dir / "port").write_text(str(self.port))
        self.configure({**DEFAULTS, "port": self.port, "unix_socket_directories": self.socket_dir, **(settings or {})})
        proc.register_log(self.log_path)
        atexit.register(self._end)

    def _initdb(self):
        r = subprocess.run([f"{self.bindir}/initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale",
                            "--no-sync"], cwd="/", capture_output=True, text=True, **self._as)
        proc.check(r.returncode == 0, f"initdb: {r.stdout}{r.stderr}")

    def configure(self, settings):
        """Adds settings; they hold from the next start, or after reload() where PostgreSQL allows it."""
        with open(self.data / "postgresql.conf", "a") as f:
            for k, v in settings.items():
                text = str(v).replace("'", "''")
                f.write(f"{k} = '{text}'\n")

    def hba(self, *lines):
        """Puts lines before those of pg_hba.conf that trust everyone."""
        path = self.data / "pg_hba.conf"
        path.write_text("\n".join(lines) + "\n" + path.read_text())

    def reload(self):
        os.kill(self.pid, signal.SIGHUP)

    @property
    def running(self):
        return self._p is not None and self._p.poll() is None

    def start(self, timeout=60):
        proc.check(not self.running, "PostgreSQL runs already")
        with open(self.log_path, "ab") as log:
            self._p = subprocess.Popen([f"{self.bindir}/postgres", "-D", str(self.data)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       cwd="/", start_new_session=True, **self._as)
        self.pid = self._p.pid
        guard.watch_pid(self.pid)

        def ready():
            if self._p.poll() is not None:
                proc.fail(f"PostgreSQL ended with {self._p.returncode} while starting")
            lines = (self.data / "postmaster.pid").read_text().split("\n")
            return lines[0] == str(self.pid) and len(lines) > 7 and lines[7].strip() in ("ready", "standby")
        proc.wait_for(ready, timeout, "PostgreSQL to accept connections")
        return self

    def stop(self, mode="fast", timeout=60):
        """mode as in pg_ctl: smart, fast or immediate."""
        if self.running:
            os.kill(self.pid, signal.SIGCONT)
            os.kill(self.pid, {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode])
            proc.wait_for(lambda: not self.running, timeout, f"PostgreSQL to stop ({mode})")
            guard.forget_pid(self.pid)

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    def crash(self):
        """kill -9 of the postmaster and of all its processes, so that a start right after it finds none of them left."""
        if self.running:
            os.kill(self.pid, signal.SIGSTOP)  # it starts no process that would not be in the list
            kids = {p: guard.started(p) for p in guard.children(self.pid)}
            os.kill(self.pid, signal.SIGKILL)
            self._p.wait()
            guard.forget_pid(self.pid)
            for p, start in kids.items():
                if start and guard.started(p) == start:
                    try:
                        os.kill(p, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
            proc.wait_for(lambda: all(start is None or guard.started(p) != start for p, start in kids.items()), 10,
                          "the processes of a killed PostgreSQL to be gone")

    def conninfo(self, dbname="postgres", user="postgres", port=None, socket=False):
        """port: a proxy's, instead of the server's own; socket: over the Unix socket."""
        host = self.socket_dir if socket else "127.0.0.1"
        return f"host={host} port={port or self.port} dbname={dbname} user={user}"

    def url(self, dbname="postgres", user="postgres", port=None, socket=False):
        if socket:
            return f"postgresql://{user}@/{dbname}?host={quote(str(self.socket_dir), safe='')}&port={self.port}"
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/{dbname}"

    def connect(self, dbname="postgres", user="postgres", autocommit=False, **options):
        """A psycopg2 connection, for transactions the test steers itself."""
        c = psycopg2.connect(self.conninfo(dbname, user), **options)
        c.autocommit = autocommit
        return c

    def sql(self, text, *params, dbname="postgres", user="postgres"):
        """Runs text with autocommit on a connection of its own; the rows, [] where there are none. Parameters are %s."""
        c = self.connect(dbname, user, autocommit=True)
        try:
            with c.cursor() as cur:
                cur.execute(text, params or None)
                return cur.fetchall() if cur.description else []
        finally:
            c.close()

    def value(self, text, *params, dbname="postgres", user="postgres"):
        """The first column of the first row, None without a row."""
        rows = self.sql(text, *params, dbname=dbname, user=user)
        return rows[0][0] if rows else None

    def createdb(self, name):
        self.sql(f'CREATE DATABASE "{name}"')
        return name

    @property
    def version(self):
        """The major version."""
        return int((self.data / "PG_VERSION").read_text())

    def _end(self):
        if self.running:
            try:
                self.stop("immediate", timeout=10)
            except proc.Failed:
                self.crash()

    def __enter__(self):
        if not self.running:
            self.start()
        return self

    def __exit__(self, *exc):
        self._end()


_copies = {}


def _reachable(bindir_):
    """A copy of a server that lies where only root may go, as root's cache does."""
    if bindir_ not in _copies:
        to = proc.tempdir("server") / "tree"
        shutil.copytree(Path(bindir_).parent, to, symlinks=True)
        _copies[bindir_] = str(to / "bin")
    return _copies[bindir_]


def _exists(name):
    try:
        pwd.getpwnam(name)
        return True
    except KeyError:
        return False
