"""The database of a run: a file, or a libSQL server with one; and how another program than ours speaks to it."""

import http.client
import json
import os
import socket
import sqlite3

from server import Server


class File:
    """A file on the run's volume."""

    def __init__(self, volume):
        self.path = f"{volume}/scans.db"
        self.url = f"file:{self.path}"

    def rows(self, sql):
        with Connected(self.path) as database:
            return database.execute(sql).fetchall()

    def write(self, *statements):
        """All of them or none, each a text with its values."""
        with Connected(self.path) as database:
            for sql, *values in statements:
                database.execute(sql, values)

    def keep(self, target):
        copy(self.path, target)

    def stop(self):
        """A file does not run."""


class Served(Server):
    """The same behind sqld, which may be killed."""

    def __init__(self, folder, volume, program):
        super().__init__(folder, "sqld")
        self.data = f"{volume}/sqld"
        self.program = program
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self):
        place = ("--db-path", self.data, "--http-listen-addr", f"127.0.0.1:{self.port}")
        self.launch([self.program, "--no-welcome", *place])

    def answers(self):
        try:
            return self.rows("SELECT 1") == [(1,)]
        except sqlite3.OperationalError:
            return False

    def rows(self, sql):
        return self.ask((sql,))[0]

    def write(self, *statements):
        self.ask(("BEGIN IMMEDIATE",), *statements, ("COMMIT",))

    def ask(self, *statements):
        """What each of them selects; the first that fails ends it, and its transaction with it."""
        steps = [
            {"stmt": {"sql": sql, "args": [{"type": "text", "value": str(value)} for value in values]}}
            | ({"condition": {"type": "ok", "step": number - 1}} if number else {})
            for number, (sql, *values) in enumerate(statements)
        ]
        asked = {"requests": [{"type": "batch", "batch": {"steps": steps}}, {"type": "close"}]}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", "/v2/pipeline", json.dumps(asked))
            answer = json.loads(connection.getresponse().read())
            result = answer["results"][0]["response"]["result"]
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            raise sqlite3.OperationalError(f"sqld: {error}") from error
        finally:
            connection.close()
        for error in filter(None, result["step_errors"]):
            raise sqlite3.OperationalError(f"sqld: {error}")
        return [[tuple(map(value, row)) for row in step["rows"]] for step in result["step_results"]]

    def keep(self, target):
        """Once it has stopped."""
        copy(f"{self.data}/dbs/default/data", target)


def value(cell):
    if cell["type"] == "integer":
        return int(cell["value"])
    return cell.get("value")


class Connected:
    """A connection that commits and closes at its end."""

    def __init__(self, path):
        self.database = sqlite3.connect(path, timeout=5)

    def __enter__(self):
        # As another program would: nothing is promised that is not on the volume.
        self.database.execute("PRAGMA foreign_keys = ON")
        return self.database

    def __exit__(self, kind, *_):
        try:
            self.database.commit() if kind is None else self.database.rollback()
        finally:
            self.database.close()


def copy(path, target):
    with sqlite3.connect(os.fspath(path)) as source, sqlite3.connect(os.fspath(target)) as kept:
        source.backup(kept)
    source.close()
    kept.close()
