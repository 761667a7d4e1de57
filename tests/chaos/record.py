"""What the run writes down for the auditor, one JSON object a line."""

import json
import threading
import time
from pathlib import Path


def now_ms():
    """The wall clock that the database's clock is compared with."""
    return time.time_ns() // 1_000_000


class Record:
    """The folder with the lines; any thread may add one."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lock = threading.Lock()

    def add(self, name, /, **line):
        line.setdefault("at_ms", now_ms())
        with self.lock, open(self.folder / f"{name}.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def write(self, name, value):
        (self.folder / f"{name}.json").write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def lines(folder, name):
    """The lines that were added, or none."""
    try:
        text = (Path(folder) / f"{name}.jsonl").read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text.splitlines()]


def value(folder, name):
    """What was written under a name."""
    return json.loads((Path(folder) / f"{name}.json").read_text(encoding="utf-8"))
