"""A throw-away PostgreSQL server for one test."""
import atexit
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path
from urllib.parse import quote

import psycopg2

from . import guard, proc

TOOL = str(proc.ROOT / "tools/pg")


VERSIONS = (14, 15, 16, 17, 18)


def bindir_of(version):
    """A certain major version's programs, fetched if need be; a version that cannot be had fails the test."""
    r = subprocess.run([TOOL, str(version)], capture_output=True, text=True)
    proc.check(r.returncode == 0, f"no PostgreSQL {version}: {r.stderr}")
    path = r.stdout.strip()
    proc.check(os.access(f"{path}/postgres", os.X_OK), f"no PostgreSQL {version} in {path}; run tools/setup test")
    return path


class Postgres:
    """Postgres() makes the cluster, start() starts it; as a context manager it is started and stopped. Everyone is trusted."""

    def __init__(self, dir=None, version=None, settings=None, name="pg"):
        self.dir = Path(dir or proc.tempdir(name))
        self.data = self.dir / "data"
        self.log_path = self.dir / "log"
        self.socket_dir = proc.tempdir("s")  # not below dir: a socket's path has 107 bytes at most
        self.pid = None
        self._p = None
        self._as = {}
        # The server does not run as root: tools/pg takes this user and gives it the directory.
        if os.getuid() == 0:
            user = next((pwd.getpwnam(n) for n in ("postgres", "nobody") if _exists(n)), None)
            proc.check(user, "PostgreSQL does not run as root and there is no user postgres")
            self._as = dict(user=user.pw_uid, group=user.pw_gid, extra_groups=[])
            os.chown(self.socket_dir, user.pw_uid, user.pw_gid)
        self.socket_dir.chmod(0o755)
        self._env = {**os.environ, **({"COMMITRELAY_PGBIN": _reachable(bindir_of(version), self._as)} if version else {})}
        r = subprocess.run([TOOL, "init", str(self.dir), "--port", str(proc.free_port())], env=self._env, capture_output=True, text=True)
        proc.check(r.returncode == 0, f"tools/pg init: {r.stdout}{r.stderr}")
        self.port = int((self.dir / "port").read_text())
        self.bindir = (self.dir / "bin").read_text().strip()
        self.configure({"unix_socket_directories": self.socket_dir, **(settings or {})})
        proc.register_log(self.log_path)
        atexit.register(self._end)

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
        """As a child of the test, which takes note of its end: PostgreSQL does not start while a killed one is a zombie."""
        proc.check(not self.running, "PostgreSQL runs already")
        with open(self.log_path, "ab") as log:
            self._p = subprocess.Popen([TOOL, "run", str(self.dir)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._env,
                                       start_new_session=True)
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
            os.kill(self.pid, signal.SIGSTOP)
            proc.wait_for(lambda: guard.stands(self.pid), 10, "PostgreSQL to start no process that would not be in the list")
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

    @staticmethod
    def psql(url, script):
        """What the client makes of a script. Debian's is a Perl program, which complains of a locale that is not installed."""
        return subprocess.run(["psql", "-qX", "-v", "ON_ERROR_STOP=1", url], input=script, capture_output=True, text=True,
                              env={**os.environ, "LC_ALL": "C.UTF-8"}, check=False)

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


def _reachable(bindir, as_user):
    """The server's programs, or a copy where they lie where only root may go, as root's cache does."""
    if not subprocess.run(["test", "-x", f"{bindir}/postgres"], check=False, **as_user).returncode:
        return bindir
    if bindir not in _copies:
        to = proc.tempdir("server") / "tree"
        shutil.copytree(Path(bindir).parent, to, symlinks=True)
        _copies[bindir] = str(to / "bin")
    return _copies[bindir]


def _exists(name):
    try:
        pwd.getpwnam(name)
        return True
    except KeyError:
        return False
