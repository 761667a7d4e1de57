"""The official BullMQ client for Python as a program that is told what to do: a JSON request a line on stdin, a JSON
answer a line on stdout. It speaks as node/driver.mjs does; what this client lacks answers with an error.

    python driver.py '{"socket": "/tmp/x/redis.sock", "prefix": "bull", "queue": "q"}'

It ends with its input.
"""

import asyncio
import inspect
import json
import os
import sys
import time
import warnings
from importlib.metadata import version

from bullmq import FlowProducer, Queue, QueueEvents, Worker
from bullmq.custom_errors import UnrecoverableError

warnings.simplefilter("ignore")

# redis-py times a reply out after 5 s, which is as long as an idle worker waits for a job.
WAIT = 60

EVENTS = [
    "active", "added", "cleaned", "completed", "deduplicated", "delayed", "drained", "duplicated", "failed", "paused",
    "progress", "removed", "resumed", "retries-exhausted", "stalled", "waiting", "waiting-children",
]


def plain(job):
    """The fields under the names that Node's toJSON has."""
    if job is None:
        return None
    # Absent is told by None, as it is read: 0 stands for no time here.
    return {
        "id": job.id,
        "name": job.name,
        "data": job.data,
        "opts": {key: value for key, value in job.opts.items() if value is not None},
        "progress": job.progress,
        "delay": job.delay,
        "priority": job.priority,
        "timestamp": job.timestamp,
        "attemptsMade": job.attemptsMade,
        "attemptsStarted": job.attemptsStarted,
        "stalledCounter": job.stalledCounter,
        "failedReason": job.failedReason,
        "stacktrace": job.stacktrace,
        "returnvalue": job.returnvalue,
        "processedOn": job.processedOn or None,
        "finishedOn": job.finishedOn or None,
        "parentKey": job.parentKey,
        "repeatJobKey": job.repeatJobKey,
    }


class Driver:
    def __init__(self, setting):
        self.name = setting["queue"]
        self.base = {
            "connection": {"unix_socket_path": setting["socket"], "socket_timeout": WAIT},
            "prefix": setting["prefix"],
        }
        self.main = Queue(self.name, self.base)
        self.errors_seen = []
        self.seen = []
        self.observer = None
        self.workers = {}
        self.log = []
        self.gate = asyncio.Event()
        self.taken = {}
        self.hand = None
        self.flows = None

    def version(self):
        return version("bullmq")

    async def ready(self):
        await self.main.client.ping()

    async def add(self, name, data, opts=None):
        return plain(await self.main.add(name, data, opts or {}))

    async def addBulk(self, jobs):
        return [plain(job) for job in await self.main.addBulk(jobs)]

    async def addFlow(self, flow):
        if self.flows is None:
            self.flows = FlowProducer(opts=self.base)

        def tree(node):
            return {"id": node["job"].id, "children": [tree(child) for child in node.get("children") or []]}

        return tree(await self.flows.add(flow))

    async def getJob(self, id):
        return plain(await self.main.getJob(id))

    async def found(self, id):
        job = await self.main.getJob(id)
        if job is None:
            raise Exception(f"there is no job {id}")
        return job

    async def queue(self, method, args=()):
        return await called(getattr(self.main, method), args)

    async def job(self, id, method, args=()):
        return await called(getattr(await self.found(id), method), args)

    async def logs(self, id):
        return (await self.main.getJobLogs(id))["logs"]

    async def ids(self, types):
        return [job.id for job in await self.main.getJobs(types, 0, -1, True)]

    async def obliterate(self, force=False):
        await self.main.obliterate(force)

    async def schedule(self, id, repeat, template):
        job = await self.main.upsertJobScheduler(id, repeat, template["name"], template.get("data"), template.get("opts"))
        return plain(job)

    async def workersCount(self):
        return await self.main.get_workers_count()

    async def observe(self):
        self.observer = QueueEvents(self.name, {**self.base, "lastEventId": "0-0"})
        self.observer.on("error", lambda error: self.errors_seen.append(f"events: {error!r}"))
        for event in EVENTS:
            self.observer.on(event, self.keep(event))
        while not self.observer.running:
            await asyncio.sleep(0.01)

    def keep(self, event):
        def kept(*args):
            fields = args[0] if len(args) > 1 else {}
            self.seen.append({"event": event, "id": args[-1], **fields})

        return kept

    def events(self):
        return {"events": self.seen, "running": bool(self.observer and self.observer.running)}

    def errors(self):
        return self.errors_seen

    async def startWorker(self, label="w", plan=None, opts=None):
        async def process(job, token):
            chosen = {**(plan or {}), **((job.data or {}).get("plan") or {})}
            self.log.append(
                {
                    "worker": label,
                    "id": job.id,
                    "name": job.name,
                    "attemptsMade": job.attemptsMade,
                    "at": int(time.time() * 1000),
                    "token": token,
                }
            )
            if "progress" in chosen:
                await job.updateProgress(chosen["progress"])
            for line in chosen.get("lines", []):
                await job.log(line)
            if chosen.get("sleep"):
                await asyncio.sleep(chosen["sleep"] / 1000)
            if chosen.get("hold"):
                await self.gate.wait()
            if chosen.get("unrecoverable"):
                raise UnrecoverableError(chosen["unrecoverable"])
            fail = chosen.get("fail", 0)
            if fail is True or (fail is not False and job.attemptsMade < fail):
                raise Exception(f"boom {job.attemptsMade}")
            if chosen.get("children"):
                return await job.getChildrenValues()
            return chosen.get("value")

        worker = Worker(self.name, process, {**self.base, "name": label, **(opts or {})})
        # A failing processor is told here too; that is no error of the run.
        worker.on("error", lambda error, job=None: job or self.errors_seen.append(f"worker {label}: {error!r}"))
        self.workers[label] = worker
        while not worker.running:
            await asyncio.sleep(0.01)

    async def stopWorker(self, label="w", force=False):
        await self.workers.pop(label).close(force)

    def processed(self):
        return self.log

    def release(self):
        self.gate.set()
        self.gate = asyncio.Event()

    async def take(self, token, opts=None):
        if self.hand is None:
            self.hand = Worker(self.name, None, {**self.base, "autorun": False, **(opts or {})})
        # Not getNextJob: it waits when there is nothing, as often as it found nothing before.
        job = await self.hand.moveToActive(token)
        if job is not None:
            self.taken[job.id] = job
        return plain(job)

    async def finish(self, id, token, value=None, error=None):
        job = self.taken.get(id) or await self.found(id)
        if error is not None:
            await job.moveToFailed(Exception(error), token)
        else:
            await job.moveToCompleted(value, token)

    async def checkStalled(self, interval, max=1):
        stalled = []
        checker = Worker(self.name, None, {**self.base, "autorun": False, "stalledInterval": interval, "maxStalledCount": max})
        checker.on("stalled", stalled.append)
        checker.on("error", lambda error: self.errors_seen.append(f"checker: {error!r}"))
        await checker.runStalledJobsCheck()
        await checker.close()
        return stalled


async def called(method, args):
    answer = method(*args)
    return await answer if inspect.isawaitable(answer) else answer


async def answered(driver, request):
    operation = request.pop("op")
    try:
        answer = getattr(driver, operation)(**request)
        return {"ok": await answer if inspect.isawaitable(answer) else answer}
    except Exception as error:
        return {"error": str(error) or repr(error)}


async def main():
    driver = Driver(json.loads(sys.argv[1]))
    reader = asyncio.StreamReader(limit=64 * 1024 * 1024)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: driver.errors_seen.append(f"unhandled: {context}"))
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        print(json.dumps(await answered(driver, json.loads(line))), flush=True)
    # What still waits for Redis is not waited for.
    os._exit(0)


asyncio.run(main())
