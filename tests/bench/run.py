"""The whole measurement of `make bench`: `safeurl bench`, the usual worker in Node, and the fetcher by itself.

One run, one table, as ratios. Ours and theirs take turns, so that the rest of the machine slows down both alike. Every
raw sample goes into the file named by --output. Redis, network and page server are this run's own and go with it.
"""

import argparse
import contextlib
import http.server
import ipaddress
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

from fetcher import measured_fetcher

HERE = Path(__file__).parent
PAGE = (HERE.parent / "demo" / "article.html").read_bytes()

# Ours and theirs take so many turns. One is one sample, because jobs end in bursts.
TURNS = 4
# Empty jobs for each scan: they are that much faster.
EMPTY_JOBS_A_SCAN = 100


def marks(samples):
    """Median, and the smallest measured value that 95 and 99 of 100 are not above."""
    ordered = sorted(samples)
    rank = lambda percent: ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
    return {"runs": len(ordered), "median": statistics.median(ordered), "p95": rank(95), "p99": rank(99)}


def series(name, what, unit, samples):
    return {"name": name, "what": what, "unit": unit, **marks(samples), "samples": samples}


def rate(ends):
    """Jobs a second, from moments in milliseconds since the beginning."""
    return len(ends) * 1000 / ends[-1]


class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(PAGE)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def redis(folder):
    """A Redis on a unix socket that keeps nothing."""
    socket = folder / "redis.sock"
    command = ["redis-server", "--port", "0", "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"]
    server = subprocess.Popen([*command, "--unixsocket", socket, "--dir", folder], stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 30
        while not socket.exists():
            if server.poll() is not None or time.monotonic() > until:
                sys.exit("error: Redis does not come up")
            time.sleep(0.01)
        yield socket
    finally:
        server.kill()
        server.wait()


def docker(*arguments):
    ran = subprocess.run(["docker", *arguments], capture_output=True, text=True)
    if ran.returncode != 0:
        sys.exit(f"error: docker {arguments[0]}: {ran.stderr.strip()}")
    return ran.stdout.strip()


@contextlib.contextmanager
def network(label):
    """A bridge without a way out, the page's server on its own address."""
    docker("network", "create", "--internal", "--label", f"safeurl.instance={label}", label)
    server = None
    try:
        config = json.loads(docker("network", "inspect", label))[0]["IPAM"]["Config"][0]
        address = config.get("Gateway") or str(next(ipaddress.ip_network(config["Subnet"]).hosts()))
        server = http.server.ThreadingHTTPServer((address.split("/")[0], 0), Page)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield config["Subnet"], f"http://{server.server_address[0]}:{server.server_address[1]}/"
    finally:
        if server:
            server.shutdown()
        for container in docker("ps", "-aq", "--filter", f"label=safeurl.instance={label}").split():
            subprocess.run(["docker", "rm", "-f", container], capture_output=True)
        docker("network", "rm", label)


def rival(arguments, order):
    """One run of the worker in Node."""
    order = json.dumps({"home": str(arguments.rivals), **order})
    ran = subprocess.run(["node", HERE / "rival.mjs", order], capture_output=True, text=True)
    answer = json.loads(ran.stdout) if ran.stdout else {"failed": ran.stderr.strip()}
    if ran.returncode != 0 or answer["failed"]:
        sys.exit(f"error: the worker in Node failed: {answer['failed']}")
    return answer


def bench(arguments, *more, **environment):
    """One run of ours."""
    command = [arguments.binary, "bench", "--json", "--runs", str(arguments.runs), "--dir", arguments.dir, *more]
    running = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True)
    try:
        said, _ = running.communicate()
    finally:
        # Killed, it could not take away what it made.
        if running.poll() is None:
            running.terminate()
            running.wait()
    if running.returncode != 0:
        sys.exit(f"error: safeurl bench ended with {running.returncode}")
    return json.loads(said)


def samples(report, name):
    return next(found["samples"] for found in report["measurements"] if found["name"] == name)


def usual_worker(arguments, socket, found):
    """(c): scans by the worker that people run today, in turns with ours."""
    label = f"safeurl-bench-{uuid.uuid4().hex[:8]}"
    image = json.loads(subprocess.check_output([arguments.binary, "image", "show", "--json"]))["digest"]
    jobs = max(1, arguments.scans // TURNS)
    ours, theirs, resident, cpu = [], [], [], []
    with network(label) as (subnet, url):
        order = {"kind": "scan", "socket": str(socket), "jobs": jobs, "concurrency": 5, "image": image, "url": url}
        order |= {"network": label, "subnet": subnet, "label": label, "memory": 512 << 20, "nanoCpus": 500_000_000}
        for _ in range(TURNS):
            answer = rival(arguments, order)
            theirs.append(rate(answer["ends"]))
            resident.append(answer["residentMiB"])
            cpu.append(answer["cpuMs"])
            ours += samples(bench(arguments, "--only", "throughput", "--scans", str(jobs)), "throughput")
    found += [
        series("throughputInTurns", "cold scans, 5 at once, in turns with the next", "1/s", ours),
        series("usualWorker", "usual worker: official BullMQ, dockerode, bridge, 5 at once", "1/s", theirs),
        series("usualWorkerResident", "usual worker, resident", "MiB", resident),
        series("usualWorkerCpu", "usual worker, processor time for a scan", "ms", cpu),
    ]


def empty_jobs(arguments, socket, found):
    """(d): the official worker with a job that is nothing, in turns with our queue in the same Redis."""
    ours, jobs = {}, max(10, arguments.scans * EMPTY_JOBS_A_SCAN // TURNS)
    theirs = {5: [], 100: []}
    for _ in range(TURNS):
        for at_once, all_rates in theirs.items():
            order = {"kind": "empty", "socket": str(socket), "jobs": jobs, "concurrency": at_once}
            all_rates.append(rate(rival(arguments, order)["ends"]))
        # Ours does ten jobs for each scan, three times each.
        scans = str(max(1, jobs // 30))
        report = bench(arguments, "--only", "bullmq", "--scans", scans, REDIS_URL=f"unix://{socket}")
        for measured in report["measurements"]:
            ours.setdefault(measured["name"], (measured, []))[1].extend(measured["samples"])
    for name, (measured, all_samples) in ours.items():
        found.append(series(name, measured["what"], measured["unit"], all_samples))
    for at_once, all_rates in theirs.items():
        what = f"official worker of BullMQ, empty job, {at_once} at once"
        found.append(series(f"officialWorker{at_once}", what, "1/s", all_rates))


RATIOS = [
    ("throughputToUsual", "scans for each of the usual worker", "throughputInTurns", "usualWorker"),
    ("bullmqToOfficial5", "jobs of our queue in Redis for each of the official worker, 5 at once", "bullmq5", "officialWorker5"),
    ("bullmqToOfficial100", "  and 100 at once", "bullmq100", "officialWorker100"),
]


def ratios(found):
    by_name = {one["name"]: one["median"] for one in found}
    for name, what, of, by in RATIOS:
        if of in by_name and by_name.get(by):
            yield {"name": name, "what": what, "of": of, "by": [by], "ratio": by_name[of] / by_name[by]}


def shown(number):
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.1f}" if abs(number) >= 10 else f"{number:.2f}"


def table(report):
    rows = [(f"{one['what']} ({one['unit']})", one) for one in report["measurements"]]
    width = max(len(text) for text in [*(text for text, _ in rows), *(one["what"] for one in report["ratios"])])
    lines = [f"{'':{width}}  {'median':>9} {'p95':>9} {'p99':>9} {'runs':>5}"]
    for text, one in rows:
        cells = " ".join(f"{shown(one[mark]):>9}" for mark in ("median", "p95", "p99"))
        lines.append(f"{text:{width}}  {cells} {one['runs']:>5}")
    lines.append("")
    lines += [f"{one['what']:{width}}  {one['ratio']:>9.2f}" for one in report["ratios"]]
    return "\n".join(lines)


def arguments_of_process():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True, help="the release binary")
    parser.add_argument("--rivals", required=True, type=Path, help="folder with the packages of the worker in Node")
    parser.add_argument("--output", required=True, type=Path, help="file for every raw sample")
    parser.add_argument("--dir", default=".", help="folder for databases, on the disk that is to be measured")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--scans", type=int, default=200)
    parser.add_argument("more", nargs="*", help="behind --: further arguments of the main `safeurl bench`")
    arguments = parser.parse_args()
    arguments.binary, arguments.dir = str(Path(arguments.binary).resolve()), str(Path(arguments.dir).resolve())
    arguments.rivals = arguments.rivals.resolve()
    return arguments


def main():
    # A signal ends it like an error, so that what was begun is taken away.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arguments = arguments_of_process()
    subprocess.run([arguments.binary, "image", "build"], check=True, stdout=subprocess.DEVNULL)
    report = bench(arguments, "--scans", str(arguments.scans), *arguments.more)
    found = report["measurements"]
    # A socket's path is short.
    with tempfile.TemporaryDirectory(prefix="safeurl-bench-") as folder, redis(Path(folder)) as socket:
        usual_worker(arguments, socket, found)
        empty_jobs(arguments, socket, found)
        found += [series(*one) for one in measured_fetcher(arguments.binary, Path(folder), arguments.runs)]
    report["ratios"] += ratios(found)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(report))
    print(table(report))
    print(f"\nevery sample: {arguments.output}")


if __name__ == "__main__":
    main()
