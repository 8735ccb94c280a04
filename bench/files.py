#!/usr/bin/env python3
"""Measures batch files: a PostgreSQL outbox to files, beside a bare writer of the same bytes, all in one run, on this machine.

    bench/files.py [--events N] [--runs K] [--only PART,...] [--out FILE]

Builds the release binary, starts a PostgreSQL of its own on a free port in a temporary directory, and leaves nothing running. Each round
takes the relay without and with zstd, a bare writer of the files that the relay has just written, and a bare reader of the same rows, so
that the ratios hold even where the machine's speed wanders. The relay has its default configuration: jsonl, 10,000 events a file (so --events is
rounded up to a multiple of that).

    drain     relay to files; `ratio` = its rate to that of the bare writer: the same files, one write and one fsync each, and one fsync
              of the directory; `ratio_read` = its rate to what a bare reader of the rows and then the bare writer need together
    zstd      the same with compression: zstd; `ratio` = its rate to the rate without, of the same round

One JSON line a run, into --out (default results/files-<date>.jsonl); then the aims, and whether they are met.
"""
import glob
import json
import os
import shutil
import time

import polling
import rig
from rig import LAB_HOME, sh

AIMS = [
    ("files", "ratio", ">=", 0.5, "outbox to files / bare writer of the same bytes"),
    ("files", "ratio_read", ">=", 0.5, "outbox to files / bare reader, then bare writer"),
    ("files_zstd", "ratio", ">=", 0.8, "the same with zstd / without"),
    ("files", "rss_kib", "<=", 64 * 1024, "peak RSS, KiB"),
    ("files_zstd", "rss_kib", "<=", 64 * 1024, "peak RSS with zstd, KiB"),
]


class Files(polling.Polling):
    AIMS, FILES = AIMS, ["bench/files.py", "bench/polling.py"]
    FULL = 10000  # events of a file; a last one that is not full would wait for rotate.interval

    def __init__(self, a):
        a.events = -(-a.events // self.FULL) * self.FULL
        super().__init__(a)

    def start(self):
        """No broker is needed."""
        sh(LAB_HOME + "/pg.sh", "init")
        sh(LAB_HOME + "/pg.sh", "start", stdout=rig.subprocess.DEVNULL)
        self.pg, self.kafka = self.lab.server_pids()[0], -1
        self.tables()

    def config(self, mode):
        self.n += 1
        self.folder = os.path.join(self.dir, f"files-{self.n}")
        return self.write_config(f"""pipelines:
  - name: bench-{self.n}
    source: {{type: outbox_postgres, url: "{self.url}", table: outbox}}
    route: {{topic: {rig.TOPIC}}}
    sink: {{type: file, dir: {self.folder}, compression: {mode}}}
""")

    def data(self):
        """The files, without their manifests, in the order of their numbers."""
        return sorted(glob.glob(self.folder + "/bench-*.jsonl") + glob.glob(self.folder + "/bench-*.jsonl.zst"))

    def whole(self, n):
        """Whether the file with the last event has its name."""
        return any(f"-{n:020}.jsonl" in name for name in self.data())

    def relayed(self, kind, run, n, mode, bound=None, **more):
        a, t0 = self.cpu(), time.time()
        p = self.run_relay(mode)
        while not self.whole(n):
            if p.poll() is not None:
                self.died(p)
            time.sleep(.005)
        seconds = os.stat(self.data()[-1]).st_ctime - t0
        b = self.cpu(p.pid)
        if status := self.stop_relay(p):
            raise SystemExit(f"{kind}: exit {status}")
        events = sum(json.load(open(m))["events"] for m in glob.glob(self.folder + "/*.manifest.json"))
        if events != n:
            raise SystemExit(f"{kind}: {events} of {n} events arrived")
        rate, files = n / seconds, self.data()
        row = dict(rate=round(rate), files=len(files), mib=round(sum(map(os.path.getsize, files)) / 2**20, 1), rss_kib=b["rss"],
                   relay_cpu_s_per_1M=round((b["relay"] - a["relay"]) * 1e6 / n, 2), pg_cpu_s_per_1M=round((b["pg"] - a["pg"]) * 1e6 / n, 2),
                   **self.stolen(a, b, seconds))
        return rate, row

    def bare_write(self, run, n):
        """The files that the relay has written, one write and one fsync each. What is to be written is in memory before the clock runs."""
        to, seconds = os.path.join(self.dir, "bare"), 0.0
        shutil.rmtree(to, ignore_errors=True)
        os.mkdir(to)
        folder = os.open(to, os.O_RDONLY)
        for name in self.data():
            with open(name, "rb") as f:
                data = f.read()
            t0 = time.perf_counter()
            fd = os.open(os.path.join(to, os.path.basename(name)), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
            left = memoryview(data)
            while left:
                left = left[os.write(fd, left):]
            os.fsync(fd)
            os.close(fd)
            os.fsync(folder)
            seconds += time.perf_counter() - t0
        os.close(folder)
        shutil.rmtree(to)
        self.say("bare_write", run, n, rate=round(n / seconds), seconds=round(seconds, 3))
        return seconds

    def bare_read(self, run, n):
        return n / self.bare("position", run, n)

    def round(self, run, n, zstd):
        rate, row = self.relayed("files", run, n, "none")
        write = self.bare_write(run, n)
        read = self.bare_read(run, n)
        self.say("files", run, n, ratio=round(rate * write / n, 3), ratio_read=round(rate * (read + write) / n, 3), **row)
        shutil.rmtree(self.folder)
        if zstd:
            packed, row = self.relayed("files_zstd", run, n, "zstd")
            self.say("files_zstd", run, n, ratio=round(packed / rate, 3), **row)
            shutil.rmtree(self.folder)

    def drains(self):
        self.fill("outbox", self.a.events)
        for run in range(self.a.runs):
            self.round(run, self.a.events, False)

    def zstd(self):
        self.fill("outbox", self.a.events)
        for run in range(self.a.runs):
            self.round(run, self.a.events, True)

    PARTS = {"drain": drains, "zstd": zstd}


def options(ap):
    polling.options(ap)
    ap.set_defaults(only="zstd")  # it takes a drain without in each round, too


if __name__ == "__main__":
    rig.run(Files, __doc__, "files", options)
