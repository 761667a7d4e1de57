"""The Redis of a run, and what is in its queue."""

import os
import socket

from server import Server

QUEUE = "scan-jobs"
BASE = f"bull:{QUEUE}:"
LISTS = ("wait", "paused", "active")
SORTED = ("prioritized", "delayed", "waiting-children", "completed", "failed")

# What a restart leaves: everything; what is older than a second, and all of it when only Redis died; nothing.
KEEPS = {
    "always": ["--appendonly", "yes", "--appendfsync", "always"],
    "everysec": ["--appendonly", "yes", "--appendfsync", "everysec"],
    "nothing": ["--appendonly", "no"],
}


class Redis(Server):
    """One server on a unix socket in the run's folder."""

    def __init__(self, folder, keeps):
        super().__init__(folder, "redis")
        self.keeps = keeps
        self.socket = f"{folder}/redis.sock"
        # How often a restart has emptied it.
        self.wiped = 0
        os.mkdir(f"{folder}/redis")

    def start(self):
        place = ("--port", "0", "--unixsocket", self.socket, "--dir", f"{self.folder}/redis")
        manner = ("--save", "", "--maxmemory-policy", "noeviction", *KEEPS[self.keeps])
        self.launch(["redis-server", *place, *manner])

    def kill(self):
        super().kill()
        self.wiped += self.keeps == "nothing"

    def cut(self):
        """Closes every connection but the one that asks for it."""
        self.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def answers(self):
        try:
            return self.ask("PING") == "PONG"
        except (OSError, RedisError):
            return False

    def ask(self, *words):
        """The answer to one command, on a connection of its own."""
        with Connection(self.socket) as connection:
            return connection.ask(*words)

    def picture(self):
        """Every entry, where its id is, and the locks."""
        with Connection(self.socket) as connection:
            lists = {name: connection.ask("LRANGE", BASE + name, "0", "-1") for name in LISTS}
            lists |= {name: connection.ask("ZRANGE", BASE + name, "0", "-1") for name in SORTED}
            entries, locks = {}, {}
            for key in connection.ask("KEYS", BASE + "*"):
                id, kind = key.removeprefix(BASE), connection.ask("TYPE", key)
                if id.endswith(":lock"):
                    locks[id.removesuffix(":lock")] = connection.ask("GET", key)
                elif kind == "hash" and id != "meta":
                    flat = connection.ask("HGETALL", key)
                    entries[id] = dict(zip(flat[::2], flat[1::2]))
        return {"lists": lists, "entries": entries, "locks": locks, "wiped": self.wiped, "keeps": self.keeps}


class RedisError(Exception):
    """What Redis says instead of an answer."""


class Connection:
    """The protocol of Redis, as little as is needed here."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(5)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def ask(self, *words):
        parts = [word.encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
        return self.answer()

    def answer(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("Redis hung up")
        kind, rest = line[:1], line[1:-2].decode()
        if kind == b"-":
            raise RedisError(rest)
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if int(rest) < 0:
            return None
        if kind == b"$":
            return self.file.read(int(rest) + 2)[:-2].decode(errors="replace")
        return [self.answer() for _ in range(int(rest))]
