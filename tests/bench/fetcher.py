"""The fetcher by itself, outside of a container: how soon it sends, what it needs for pages of several sizes."""

import json
import os
import socket
import subprocess
import sys
import threading
import time

PARAGRAPH = b'<p>Tide tables for <a href="/harbour/%06d">harbour %06d</a>, as they are read.</p>\n'

SIZES = {"1 KB": 1_000, "1 MB": 1_000_000, "10 MB": 10_000_000}


def page(size):
    """A page of short paragraphs with a link each, of exactly this size."""
    head, foot = b"<!doctype html><title>Harbours</title>\n", b"<p>End.</p>\n"
    body, number = [head], 0
    room = size - len(head) - len(foot)
    while room >= len(PARAGRAPH % (number, number)):
        body.append(PARAGRAPH % (number, number))
        room -= len(body[-1])
        number += 1
    return b"".join([*body, b" " * room, foot])


class Server:
    """One page on loopback, and when its first request began to arrive."""

    def __init__(self, body):
        self.size = len(body)
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n"
        self.answer += b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.first_byte = None
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                stream, _ = self.listener.accept()
            except OSError:
                return
            with stream:
                head = stream.recv(65536)
                if self.first_byte is None:
                    self.first_byte = time.monotonic()
                while head and b"\r\n\r\n" not in head:
                    head += stream.recv(65536)
                try:
                    stream.sendall(self.answer)
                except OSError:
                    # It closed early; its report says what it has.
                    pass

    def close(self):
        self.listener.close()


def fetched(program, server):
    """One fetch: start to first byte sent (ms), processor time (ms), peak of memory (MiB)."""
    server.first_byte = None
    url = f"http://127.0.0.1:{server.listener.getsockname()[1]}/page"
    egress = {"bridge": {"allowNetworks": ["127.0.0.1/32"], "hosts": {}, "resolvers": [], "nat64Recheck": False}}
    invocation = {"attempt": "bench/1", "url": url, "method": "GET", "headers": [], "userAgent": "bench"}
    invocation |= {"timeoutMs": 60000, "maxRedirects": 0, "bodyCap": 10 << 20, "outputCap": 64 << 20}
    invocation |= {"respectRobots": False, "evidence": False, "egress": egress}
    line = json.dumps(invocation).encode() + b"\n"
    # The line is there before the program is.
    read, write = os.pipe()
    os.write(write, line)
    os.close(write)
    begun = time.monotonic()
    process = subprocess.Popen([program, "--serve"], stdin=read, stdout=subprocess.PIPE, env={})
    os.close(read)
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0 or server.first_byte is None:
        sys.exit(f"error: the fetcher ended with {process.returncode}")
    report = json.loads(said.split(b"\n", 2)[2])
    exchange = report["requests"][0]
    if exchange["status"] != 200 or exchange["size"] != server.size:
        sys.exit(f"error: the fetcher did not get the page: {exchange['error']}")
    # Its own word: the kernel's of a child counts what its parent had before the child became this program.
    peak = report["usage"]["peakMemoryBytes"] / 1048576
    return (server.first_byte - begun) * 1000, (used.ru_utime + used.ru_stime) * 1000, peak


def measured_fetcher(binary, folder, runs):
    """Series as (name, what, unit, samples)."""
    staged = folder / "fetcher"
    subprocess.run([binary, "image", "stage", staged], check=True, stdout=subprocess.DEVNULL)
    program = next(staged.rglob("safeurl-fetcher"))
    servers = {name: Server(page(size)) for name, size in SIZES.items()}
    took = {name: [] for name in SIZES}
    for _ in range(runs):
        for name, server in servers.items():
            took[name].append(fetched(program, server))
    for server in servers.values():
        server.close()
    column = lambda name, number: [one[number] for one in took[name]]
    yield "fetcherFirstByte", "fetcher: start to first byte sent", "ms", column("1 KB", 0)
    for name in SIZES:
        yield f"fetcherPeak{name.replace(' ', '')}", f"fetcher: peak of memory, page of {name}", "MiB", column(name, 2)
    small, large = column("1 KB", 1), column("10 MB", 1)
    megabytes = (SIZES["10 MB"] - SIZES["1 KB"]) / 1e6
    yield "fetcherCpu", "fetcher: processor time for a MB of HTML", "ms", [
        (more - less) / megabytes for more, less in zip(large, small)
    ]
    yield "fetcherBinary", "fetcher: size of the program", "MiB", [program.stat().st_size / 1048576]
    image = json.loads(subprocess.check_output([binary, "image", "show", "--json"]))["digest"]
    size = subprocess.check_output(["docker", "image", "inspect", "-f", "{{.Size}}", image])
    yield "fetcherImage", "fetcher: size of the image", "MiB", [int(size) / 1048576]
