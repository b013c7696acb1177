#!/usr/bin/env python3
"""Whether `forgetd run` stays as it is, hour after hour, while everything around it changes.

    cargo build --release && bench/soak.py          # an hour: 200 sites, 1,000 edits, servers restarted
    bench/soak.py 5 --forgetd target/debug/forgetd  # five minutes of the same

Every site runs every minute and finds expired records each time. Half of the sites are SQLite files, a quarter tables of
a PostgreSQL server, the rest tables of a MariaDB server and directories; both servers are the test's own, stopped or
killed in turn, and started again. Meanwhile the configuration is edited 1,000 times an hour, with a mistake now and
then, and metrics are asked for. At the end: memory and descriptors flat, every due run done, every edit in force, the
log verifies. Needs root, and the packages postgresql and mariadb-server.
"""

import argparse
import json
import os
import pathlib
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime

sys.dont_write_bytecode = True  # beside the sources nothing is left

import soak_stores
from daemon import ROOT, start, status

FLAT = 0.05  # by how much a minute may differ from the first ones after the warm-up
PAUSED = 5  # seconds: longer than the busiest machine lets a thread wait
# seconds: runs are made one after the other, and on a busy machine two hundred take longer than the minute in which they
# are due. The next one of the same site makes up for it, as for any run that was missed.
LATE = 120

SITE = """domain = "{domain}"
time-zone = "Europe/Prague"
schedule = "* * * * *"

[retention]
visit = "{period}"

[store.s]
{store}
holds = "visit"
"""

DAEMON = """state-dir = "{directory}/state"
[controller]
name = "Shop s.r.o."
[safety]
approval = "automatic"
max-share = 1.0
[metrics]
listen = "unix:{directory}/metrics"
"""


class Soak:
    def __init__(self, options, directory):
        self.options = options
        self.directory = directory
        self.stores = soak_stores.Stores(directory, options.sites)
        self.began = time.time()
        self.until = self.began + options.minutes * 60
        self.samples = []  # (time, resident KiB, descriptors)
        self.pauses = []  # (from, to): somebody stopped us, or the machine slept
        self.answers = 0
        self.applied = 0
        self.lock = threading.Lock()

    def file(self, number):
        return self.directory / "config/sites" / f"site-{number}.example.toml"

    def write_site(self, number, period):
        text = SITE.format(domain=f"site-{number}.example", period=period, store=self.stores.declared(number))
        fresh = self.file(number).with_suffix(".new")
        fresh.write_text(text)
        fresh.chmod(0o644)
        fresh.rename(self.file(number))

    def install(self):
        config = self.directory / "config"
        (config / "sites").mkdir(parents=True)
        (config / "forgetd.toml").write_text(DAEMON.format(directory=self.directory))
        (config / "categories.toml").write_text((ROOT / "config/categories.toml").read_text())
        for number in range(self.options.sites):
            self.write_site(number, "6 months")
        for path in [config, *config.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        return config

    def running(self):
        return time.time() < self.until

    # What goes on around the daemon, each in a thread of its own.

    def watch(self, pid):
        status_file, descriptors = pathlib.Path(f"/proc/{pid}/status"), f"/proc/{pid}/fd"
        last = time.time()
        while self.running():
            time.sleep(1)
            now = time.time()
            if now - last > PAUSED:
                self.pauses.append((last, now))
            last = now
            self.samples.append((now, status(status_file, "VmRSS"), len(os.listdir(descriptors))))

    def feed(self):
        """Expired records for every site, half a minute before they are due."""
        while self.running():
            time.sleep(max(0.1, 30 - time.time() % 60) if time.time() % 60 < 30 else 90 - time.time() % 60)
            if self.running():
                self.stores.feed()

    def edit(self):
        """A period longer or shorter, in a file chosen by chance; one edit in twenty is a mistake, put right soon."""
        chance = random.Random(1)
        edits = round(1000 * self.options.minutes / 60)
        periods = ["6 months"] * self.options.sites
        for done in range(edits):
            due = self.began + (done + 0.5) * (self.until - self.began) / edits
            time.sleep(max(0, due - time.time()))
            number = chance.randrange(self.options.sites)
            # Away from the turn of the minute: a site in doubt does not run.
            if done % 20 == 19 and 20 < time.time() % 60 < 50:
                self.write_site(number, "6 moths")
                time.sleep(1.5)
            periods[number] = "7 months" if periods[number] == "6 months" else "6 months"
            self.write_site(number, periods[number])
            self.applied += 1

    def ask(self):
        while self.running():
            time.sleep(5)
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(30)
                client.connect(str(self.directory / "metrics"))
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
                answer = b"".join(iter(lambda: client.recv(65536), b""))
            if b"forgetd_configuration_valid" in answer:
                self.answers += 1

    def restart_servers(self):
        """Ten times an hour each, seconds after the turn of a minute: while their sites are being purged."""
        every = max(self.options.minutes * 60 / 10, 60)
        for turn in range(1, 10):
            at = self.began + turn * every
            at += 1 - at % 60 + turn % 4
            if at > self.until - 30:
                return
            time.sleep(max(0, at - time.time()))
            self.stores.restart(kill=turn % 2 == 0)

    def run(self):
        config = self.install()
        daemon = None
        try:
            self.stores.begin()
            daemon, _ = start(self.options.forgetd, config, self.directory)
            return self.run_beside(daemon)
        except TimeoutError:
            sys.exit((self.directory / "forgetd.log").read_text()[-2000:])
        finally:
            if daemon and daemon.poll() is None:
                daemon.kill()
            self.stores.end()

    def run_beside(self, daemon):
        self.began = time.time()
        self.until = self.began + self.options.minutes * 60
        work = [self.feed, self.edit, self.ask, self.restart_servers, lambda: self.watch(daemon.pid)]
        failures = []

        def guarded(task):
            try:
                task()
            except Exception as error:  # told at the end, and the rest goes on
                failures.append(f"{getattr(task, '__name__', 'watch')}: {error!r}")

        threads = [threading.Thread(target=guarded, args=(task,), daemon=True) for task in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # The runs of the last minute come to their end.
        time.sleep(20)
        daemon.send_signal(signal.SIGTERM)
        return daemon.wait(60), failures


def seconds(entry):
    return datetime.fromisoformat(entry["time"].replace("Z", "+00:00")).timestamp()


def due_runs(soak, entries):
    """What became of every run that was due: each site in each full minute."""
    started = {entry["run"]: entry for entry in entries if entry["kind"] == "run.started"}
    done = {}
    for entry in entries:
        if entry["kind"] == "run.finished" and entry["outcome"] == "done" and entry["run"] in started:
            done.setdefault(entry["rule"], []).append(seconds(started[entry["run"]]))
    counts = {"due": 0, "done": 0, "done late": 0, "server down": 0, "machine paused": 0, "missed": 0}
    for number in range(soak.options.sites):
        runs = done.get(soak.stores.rule(number), [])
        for due in range(60 * (int(soak.began // 60) + 1), 60 * int(soak.until // 60), 60):
            counts["due"] += 1
            counts[fate(soak, due, runs, soak.stores.kind(number))] += 1
    return counts


def fate(soak, due, runs, kind):
    def within(spans):
        return any(begin <= due + LATE and end >= due for begin, end in spans)

    if any(due <= run < due + 60 for run in runs):
        return "done"
    if any(due <= run < due + LATE for run in runs):
        return "done late"
    if within(soak.stores.away.get(kind, [])):
        return "server down"
    return "machine paused" if within(soak.pauses) else "missed"


def by_minute(soak, which):
    """The median of each minute after the warm-up, a sixth of the time; of descriptors the least, as between the runs."""
    minutes = {}
    for sample in soak.samples:
        if sample[0] > soak.began + (soak.until - soak.began) / 6:
            minutes.setdefault(int((sample[0] - soak.began) // 60), []).append(sample[which])
    take = statistics.median if which == 1 else min
    return [take(values) for _, values in sorted(minutes.items()) if len(values) > 30]


def flat(values):
    """How far the minutes lie from the median of the first of them."""
    first = statistics.median(values[: max(1, len(values) // 10)])
    return first, max(abs(value - first) / first for value in values)


def judge(soak, ended, failures):
    log = [json.loads(line) for line in (soak.directory / "state/audit/log.jsonl").read_text().splitlines()]
    command = [soak.options.forgetd, "--config", soak.directory / "config", "audit", "verify", "--json"]
    verdict = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout)["verdict"]
    runs = due_runs(soak, log)
    applied = sum(entry["kind"] == "config.applied" for entry in log) - 1
    finished = [entry for entry in log if entry["kind"] == "run.finished"]
    (rss, rss_drift), (fds, fd_drift) = flat(by_minute(soak, 1)), flat(by_minute(soak, 2))
    said = [
        (f"ended by itself or ill: exit {ended}", ended == 0),
        (f"around it: {failures or 'nothing failed'}", not failures),
        (f"runs: {runs}", runs["missed"] == 0 and runs["done"] > 0),
        (f"erased: {sum(e['erased'] for e in finished):,} records in {len(finished):,} runs", True),
        (f"edits in force: {applied} of {soak.applied}", applied == soak.applied),
        (f"rejected: {sum(e['kind'] == 'config.rejected' for e in log)} mistakes", True),
        (f"metrics answered: {soak.answers}", soak.answers > 0),
        (f"servers restarted: { {kind: len(spans) for kind, spans in soak.stores.away.items()} }", True),
        (f"machine paused: {[f'{b - a:.0f} s' for a, b in soak.pauses] or 'never'}", True),
        (f"resident memory: {rss / 1024:.1f} MiB, within {rss_drift:.1%}", rss_drift <= FLAT),
        (f"descriptors: {fds:.0f}, within {fd_drift:.1%}", fd_drift <= FLAT),
        (f"audit log: {len(log):,} entries, {verdict}", verdict == "self-consistent"),
    ]
    for text, good in said:
        print(("ok      " if good else "FAILED  ") + text)
    print("memory by minute, MiB:", " ".join(f"{value / 1024:.1f}" for value in by_minute(soak, 1)))
    print("descriptors by minute:", " ".join(f"{value:.0f}" for value in by_minute(soak, 2)))
    return all(good for _, good in said)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("minutes", type=float, nargs="?", default=60)
    parser.add_argument("--sites", type=int, default=200)
    parser.add_argument("--forgetd", type=pathlib.Path, default=ROOT / "target/release/forgetd")
    options = parser.parse_args()
    options.forgetd = options.forgetd.resolve()
    if os.geteuid() != 0:
        sys.exit("bench/soak.py starts servers as their own users and must be root")
    with tempfile.TemporaryDirectory(prefix="forgetd-soak-") as directory:
        # The servers' users look into it.
        os.chmod(directory, 0o755)
        soak = Soak(options, pathlib.Path(directory))
        ended, failures = soak.run()
        good = judge(soak, ended, failures)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
