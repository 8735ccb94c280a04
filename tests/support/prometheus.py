"""A throw-away Prometheus for one test (Debian's)."""
import atexit
import json
import subprocess
import urllib.parse
import urllib.request

from . import guard, proc


class Prometheus:
    """Prometheus(configuration): as a context manager it is started and stopped. rule_files have absolute paths."""

    def __init__(self, conf):
        self.dir, self.port = proc.tempdir("prometheus"), proc.free_port()
        (self.dir / "prometheus.yml").write_text(json.dumps(conf))
        self._p = None

    def get(self, what, **parameters):
        """The data of a page below /api/v1."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{what}?{urllib.parse.urlencode(parameters)}", timeout=180) as r:
            return json.load(r)["data"]

    def query(self, expression):
        return self.get("query", query=expression)["result"]

    def _end(self):
        if self._p and self._p.poll() is None:
            self._p.terminate()
            self._p.wait(60)
            guard.forget_pid(self._p.pid)

    def __enter__(self):
        log = self.dir / "log"
        proc.register_log(log)
        with open(log, "wb") as out:
            self._p = subprocess.Popen(["prometheus", f"--config.file={self.dir}/prometheus.yml", f"--storage.tsdb.path={self.dir}/tsdb",
                                        f"--web.listen-address=127.0.0.1:{self.port}"], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        guard.watch_pid(self._p.pid)
        atexit.register(self._end)
        return self

    def __exit__(self, *exc):
        self._end()
