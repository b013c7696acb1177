#!/usr/bin/env python3
"""What `forgetd run` costs while nothing is to be done: start, memory and processor time with many sites.

    cargo build --release && bench/daemon.py            # 1,000 sites, an idle minute without and with metrics
    bench/daemon.py --sites 1000 --idle 60 --forgetd target/release/forgetd [--json]
    bench/daemon.py --sites 100 --look                  # the day's look at every store instead: how long, how much memory

Every site has a SQLite store of its own with a table of visitors and three rules. Approvals are required, as by
default, so that what settings switch off is counted and then waits. The daemon is measured from outside: the time from
its start to `READY=1` on a notification socket, and /proc. The day's look at every store is no idling: it is done before
the sites are there, and the next one comes a day later.
"""

import argparse
import json
import os
import pathlib
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PATIENCE = 120  # seconds
LONGEST_LOOK = 3600  # seconds

METRICS = """[metrics]
listen = "unix:{directory}/metrics.sock"
textfile = "{directory}/forgetd.prom"
"""

SITE = """domain = "{domain}"
time-zone = "Europe/Prague"
schedule = "{minute} 3 * * *"

[settings]
store-ip = false

[[processor]]
id = "smartsupp"
chat-key = "8f3c2a"
features = ["chat"]
agreement = 2026-01-10

[retention]
visit = "6 months"
contact = "2 years"
conversation = "2 years"
"visit.location" = "30 days"

[store.chat]
kind = "sqlite"
path = "{database}"

[[store.chat.table]]
name = "visitors"
key = "id"
time = {{ column = "last_seen", format = "unix-seconds" }}
holds = "ssupp.vid"

[store.chat.table.columns]
ip = "visit.ip-address"
city = "visit.location"
"""


def write_installation(directory):
    config = directory / "config"
    (config / "sites").mkdir(parents=True)
    (config / "processors").mkdir()
    for name in ["categories.toml", "processors/smartsupp.toml"]:
        shutil.copyfile(ROOT / "config" / name, config / name)
    (config / "forgetd.toml").write_text(
        f'state-dir = "{directory / "state"}"\n[controller]\nname = "Shop s.r.o."\n'
    )
    readable(config)
    return config


def write_sites(config, directory, sites):
    template = directory / "template.db"
    with sqlite3.connect(template) as database:
        database.execute("CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen INTEGER NOT NULL, ip TEXT, city TEXT)")
        rows = [(int(time.time()) - n * 3600, f"198.51.100.{n % 250}", "Brno") for n in range(100)]
        database.executemany("INSERT INTO visitors (last_seen, ip, city) VALUES (?, ?, ?)", rows)
    database.close()
    for number in range(sites):
        domain = f"shop-{number}.example"
        store = directory / f"{domain}.db"
        shutil.copyfile(template, store)
        text = SITE.format(domain=domain, minute=number % 60, database=store)
        (config / "sites" / f"{domain}.toml").write_text(text)
    readable(config)


def readable(config):
    for path in [config, *config.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def environment_of_the_unit():
    """How the C library is told to handle memory."""
    lines = (ROOT / "systemd/forgetd.service").read_text().splitlines()
    words = [word for line in lines if line.startswith("Environment=") for word in line.split("=", 1)[1].split()]
    return dict(word.split("=", 1) for word in words)


def start(forgetd, config, directory):
    """Starts the daemon; returns it with the seconds until it was ready."""
    path = directory / "notify"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(path))
        notify.settimeout(PATIENCE)
        began = time.monotonic()
        with open(directory / "forgetd.log", "a") as log:
            environment = {**os.environ, **environment_of_the_unit(), "NOTIFY_SOCKET": str(path)}
            daemon = subprocess.Popen([forgetd, "--config", config, "run"], stderr=log, env=environment)
        while b"READY=1" not in notify.recv(4096).splitlines():
            pass
        return daemon, time.monotonic() - began


def stop(daemon):
    daemon.terminate()
    if daemon.wait(PATIENCE) != 0:
        sys.exit("the daemon did not end well")


def processor_ticks(pid):
    """User and system time in clock ticks: fields 14 and 15 of stat, counted after the name in parentheses."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def status(path, name):
    lines = dict(line.split(":", 1) for line in path.read_text().splitlines())
    return int(lines[name].split()[0])


def wake_ups(pid):
    """How often a thread of the daemon gave up waiting."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return sum(status(task / "status", "voluntary_ctxt_switches") for task in tasks)


def processor_ms(pid):
    """The same from the scheduler, which counts in nanoseconds: a tick is longer than an idle minute's work."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6


def settle(pid):
    """Waits until what the start had to do is done: three seconds without work. Returns how long that took."""
    began, quiet_since, last = time.monotonic(), time.monotonic(), processor_ticks(pid)
    while time.monotonic() - quiet_since < 3:
        time.sleep(0.1)
        now = processor_ticks(pid)
        if now != last:
            quiet_since, last = time.monotonic(), now
        if time.monotonic() - began > PATIENCE:
            sys.exit("the daemon does not come to rest")
    return quiet_since - began


def look_before_there_is_anything(forgetd, config, directory):
    """The first look comes seconds after the start."""
    log = directory / "state/audit/log.jsonl"
    daemon, _ = start(forgetd, config, directory)
    began = time.monotonic()
    while b'"kind":"drift.checked"' not in log.read_bytes():
        time.sleep(0.2)
        if time.monotonic() - began > PATIENCE:
            sys.exit("the daemon does not look at the stores")
    stop(daemon)


def memory(pid):
    process = pathlib.Path(f"/proc/{pid}/status")
    return {name: round(status(process, key) / 1024, 1) for name, key in [("rss_mib", "VmRSS"), ("peak_rss_mib", "VmHWM")]}


def measure_idle(forgetd, config, directory, idle):
    daemon, started = start(forgetd, config, directory)
    settle(daemon.pid)
    # The thread pool gives its last thread up after ten seconds.
    time.sleep(11)
    spent, wakes = processor_ms(daemon.pid), wake_ups(daemon.pid)
    time.sleep(idle)
    figures = {
        "start_s": round(started, 2),
        **memory(daemon.pid),
        "cpu_ms": round(processor_ms(daemon.pid) - spent, 1),
        "wake_ups": wake_ups(daemon.pid) - wakes,
    }
    stop(daemon)
    return figures


def measure_look(forgetd, sites, directory):
    """From ten seconds after the first start, when the daemon begins to look, until it has written what it found."""
    config = write_installation(directory)
    write_sites(config, directory, sites)
    daemon, _ = start(forgetd, config, directory)
    time.sleep(9)
    before, spent, began = memory(daemon.pid)["rss_mib"], processor_ms(daemon.pid), time.monotonic()
    log, halfway = directory / "state/audit/log.jsonl", [before]
    while b'"kind":"drift.checked"' not in log.read_bytes():
        time.sleep(1)
        halfway.append(memory(daemon.pid)["rss_mib"])
        if time.monotonic() - began > LONGEST_LOOK:
            sys.exit("the look does not come to its end")
    figures = {
        "sites": sites,
        "look_s": round(time.monotonic() - began - 1),
        "rss_mib_before": before,
        "rss_mib_halfway": halfway[len(halfway) // 2],
        "rss_mib_most": max(halfway),
        "rss_mib_after": memory(daemon.pid)["rss_mib"],
        "cpu_ms": round(processor_ms(daemon.pid) - spent),
    }
    stop(daemon)
    return figures


def measure(forgetd, sites, idle, directory):
    config = write_installation(directory)
    look_before_there_is_anything(forgetd, config, directory)
    write_sites(config, directory, sites)
    daemon, first_start = start(forgetd, config, directory)
    settled = settle(daemon.pid)
    figures = {
        "sites": sites,
        "idle_s": idle,
        "first_start_s": round(first_start, 2),
        "settled_after_s": round(settled, 2),
    }
    stop(daemon)
    figures["without_metrics"] = measure_idle(forgetd, config, directory, idle)
    with open(config / "forgetd.toml", "a") as file:
        file.write(METRICS.format(directory=directory))
    figures["with_metrics"] = measure_idle(forgetd, config, directory, idle)
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sites", type=int, default=1000)
    parser.add_argument("--idle", type=int, default=60, help="seconds")
    parser.add_argument("--forgetd", type=pathlib.Path, default=ROOT / "target/release/forgetd")
    parser.add_argument("--look", action="store_true", help="measure the day's look at every store")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="forgetd-bench-") as directory:
        if options.look:
            print(json.dumps(measure_look(options.forgetd.resolve(), options.sites, pathlib.Path(directory))))
            return
        figures = measure(options.forgetd.resolve(), options.sites, options.idle, pathlib.Path(directory))
    if options.json:
        print(json.dumps(figures))
        return
    print(f"{figures['sites']} sites with a store and three rules each")
    print(f"start with new sites, all recorded  {figures['first_start_s']:8.2f} s")
    for name in ["without_metrics", "with_metrics"]:
        idle = figures[name]
        print(f"{name.replace('_', ' ')}, {figures['idle_s']} s idle:")
        print(f"  start                            {idle['start_s']:8.2f} s")
        print(f"  resident memory                  {idle['rss_mib']:8.1f} MiB (peak {idle['peak_rss_mib']})")
        print(f"  processor time                   {idle['cpu_ms']:8.1f} ms")
        print(f"  wake-ups                         {idle['wake_ups']:8}")


if __name__ == "__main__":
    main()
