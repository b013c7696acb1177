"""The stores of `bench/soak.py`: files, tables of two servers of its own, directories."""

import os
import pathlib
import shutil
import sqlite3
import subprocess
import time

BASE = 400  # records that stay, in every store
FRESH = 5  # expired ones that come each minute
OLD = 400 * 24 * 3600  # seconds: past every period that is declared

TABLE = """[[store.s.table]]
name = "{name}"
key = "id"
time = {{ column = "last_seen", format = "unix-seconds" }}"""


def run(*command, text=None):
    done = subprocess.run([str(word) for word in command], input=text, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]}: {done.stderr.strip()[-400:]}")


class Server:
    """A server that is stopped and started."""

    def __init__(self, user, command, client):
        self.command = ["setpriv", "--reuid", user, "--regid", user, "--init-groups", *command]
        self.client = client
        self.process = None

    def begin(self):
        self.process = subprocess.Popen(
            [str(word) for word in self.command],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )
        until = time.monotonic() + 120
        while True:
            try:
                return self.sql("SELECT 1;")
            except RuntimeError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def end(self, kill=False):
        if self.process is None:
            return
        # All processes of a killed PostgreSQL go, as in a crash of the machine.
        os.killpg(self.process.pid, 9) if kill else self.process.send_signal(2 if "postgres" in self.command[2] else 15)
        self.process.wait(120)

    def sql(self, text):
        run(*self.client, text=text)


class Stores:
    def __init__(self, directory, sites):
        self.directory = directory
        self.sites = sites
        self.away = {"postgres": [], "mysql": []}
        self.servers = {}

    def kind(self, number):
        return ("sqlite", "postgres", "sqlite", "mysql" if number % 8 == 3 else "directory")[number % 4]

    def rule(self, number):
        name = {"directory": ""}.get(self.kind(number), f"/v{number}")
        return f"site-{number}.example/s{name}"

    def path(self, number):
        return self.directory / f"store-{number}"

    def declared(self, number):
        table = TABLE.format(name=f"v{number}")
        kind, directory = self.kind(number), self.directory
        if kind == "sqlite":
            return f'kind = "sqlite"\npath = "{self.path(number)}"\n{table}'
        if kind == "postgres":
            return f'kind = "postgres"\nurl = "postgresql://forgetd@/postgres?host={directory}"\n{table}'
        if kind == "mysql":
            return f'kind = "mysql"\nurl = "mysql://forgetd@localhost/soak?socket={directory}/mysql.sock"\n{table}'
        return f'kind = "directory"\npath = "{self.path(number)}"\npattern = "*"\nage = "mtime"\nsettle = "none"'

    def of(self, kind):
        return [number for number in range(self.sites) if self.kind(number) == kind]

    def begin(self):
        self.begin_postgres()
        self.begin_mariadb()
        for number in self.of("directory"):
            self.path(number).mkdir()
            for name in range(BASE):
                (self.path(number) / f"young-{name}").touch()
        self.insert(BASE, 0, create=True)

    def begin_postgres(self):
        programs = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
        data = self.owned("postgres")
        as_user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups"]
        run(*as_user, programs / "initdb", "-A", "trust", "-U", "forgetd", "-D", data / "data")
        sockets = f"unix_socket_directories={data},{self.directory}"
        os.chown(self.directory, data.stat().st_uid, -1)
        command = [programs / "postgres", "-D", data / "data", "-c", sockets, "-c", "listen_addresses="]
        client = ["psql", "-q", "-h", data, "-U", "forgetd", "-d", "postgres", "-v", "ON_ERROR_STOP=1"]
        self.servers["postgres"] = Server("postgres", command, client)
        self.servers["postgres"].begin()

    def begin_mariadb(self):
        data = self.owned("mysql")
        run("mariadb-install-db", "--no-defaults", "--user=mysql", f"--datadir={data}/data", "--skip-test-db",
            "--auth-root-authentication-method=normal")
        socket = self.directory / "mysql.sock"
        self.directory.chmod(0o1777)
        command = ["mariadbd", "--no-defaults", f"--datadir={data}/data", f"--socket={socket}", "--skip-networking"]
        self.servers["mysql"] = Server("mysql", command, ["mariadb", "--no-defaults", "-uroot", f"--socket={socket}"])
        self.servers["mysql"].begin()
        self.servers["mysql"].sql("CREATE DATABASE soak; CREATE USER forgetd@localhost; GRANT ALL ON soak.* TO forgetd@localhost; GRANT SHOW VIEW ON *.* TO forgetd@localhost;")

    def owned(self, user):
        data = self.directory / f"server-{user}"
        data.mkdir()
        shutil.chown(data, user, user)
        return data

    def insert(self, many, age, create=False):
        """Records that are so old, into the tables of every store."""
        now = int(time.time()) - age
        for number in self.of("sqlite"):
            with sqlite3.connect(self.path(number), timeout=30) as database:
                if create:
                    database.execute(f"CREATE TABLE v{number} (id INTEGER PRIMARY KEY, last_seen INTEGER NOT NULL)")
                    database.execute(f"CREATE INDEX i{number} ON v{number} (last_seen)")
                database.executemany(f"INSERT INTO v{number} (last_seen) VALUES (?)", [(now,)] * many)
            database.close()
        for kind, serial in [("postgres", "BIGSERIAL"), ("mysql", "BIGINT AUTO_INCREMENT")]:
            text = ["USE soak;"] if kind == "mysql" else []
            for number in self.of(kind):
                if create:
                    text.append(f"CREATE TABLE v{number} (id {serial} PRIMARY KEY, last_seen BIGINT NOT NULL);")
                    text.append(f"CREATE INDEX i{number} ON v{number} (last_seen);")
                rows = ",".join([f"({now})"] * many)
                text.append(f"INSERT INTO v{number} (last_seen) VALUES {rows};")
            self.servers[kind].sql("\n".join(text))

    def feed(self):
        self.insert(FRESH, OLD)
        then = time.time() - OLD
        for number in self.of("directory"):
            for name in range(FRESH):
                # Born old elsewhere: whoever looks never sees it young.
                made, put = self.directory / "made", self.path(number) / f"old-{time.time_ns()}-{name}"
                made.touch()
                os.utime(made, (then, then))
                made.rename(put)

    def restart(self, kill):
        for kind, server in self.servers.items():
            gone = time.time()
            server.end(kill)
            time.sleep(3)
            server.begin()
            self.away[kind].append((gone, time.time()))

    def end(self):
        for server in self.servers.values():
            server.end(kill=True)
