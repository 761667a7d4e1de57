// The official BullMQ client for Node as a program that is told what to do: a JSON request a line on stdin, a JSON answer
// a line on stdout. The same file drives 5.x and 6.x; the folder that the client is loaded from says which.
//
//   node driver.mjs '{"home": "target/interop/node6", "socket": "/tmp/x/redis.sock", "prefix": "bull", "queue": "q"}'
//
// It ends with its input.

import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';

const { home, socket, prefix, queue: name } = JSON.parse(process.argv[2]);
const { FlowProducer, Queue, QueueEvents, RateLimitError, UnrecoverableError, Worker } =
  createRequire(resolve(home, 'package.json'))('bullmq');

// A worker needs a connection that repeats without end; the others may share the setting.
const connection = { path: socket, maxRetriesPerRequest: null };
const base = { connection, prefix };

const queue = new Queue(name, base);
const errors = [];
queue.on('error', error => errors.push(`queue: ${error.message}`));

/* What was observed. */

const NAMES = [
  'active', 'added', 'cleaned', 'completed', 'deduplicated', 'delayed', 'drained', 'duplicated', 'failed', 'paused',
  'progress', 'removed', 'resumed', 'retries-exhausted', 'stalled', 'waiting', 'waiting-children',
];
let observer;
const seen = [];

// From the beginning of the stream, so that nothing is missed between the start and the first command.
async function observe() {
  observer = new QueueEvents(name, { ...base, lastEventId: '0-0' });
  observer.on('error', error => errors.push(`events: ${error.stack}`));
  for (const event of NAMES) {
    observer.on(event, (...args) => {
      const id = args.pop();
      seen.push({ event, id, ...(args[0] ?? {}) });
    });
  }
  await observer.waitUntilReady();
}

/* Workers. */

const workers = new Map();
const processed = [];
let release;
let released = new Promise(done => (release = done));

function processor(label, standing) {
  return async (job, token) => {
    const plan = { ...standing, ...(job.data?.plan ?? {}) };
    processed.push({ worker: label, id: job.id, name: job.name, attemptsMade: job.attemptsMade, at: Date.now(), token });
    if (plan.progress !== undefined) await job.updateProgress(plan.progress);
    for (const line of plan.lines ?? []) await job.log(line);
    // A scan as safeurl does it, in small: for the control that has no safeurl in it.
    if (plan.scan) {
      for (const stage of ['fetching', 'analyzing']) {
        await job.updateProgress({ stage });
        await job.log(stage);
      }
      new URL(job.data.url);
      plan.value = { job: { id: job.data.jobId }, page: { status: (await fetch(job.data.url)).status } };
    }
    if (plan.sleep) await new Promise(done => setTimeout(done, plan.sleep));
    if (plan.hold) await released;
    if (plan.limit && job.attemptsStarted <= 1) {
      await queue.rateLimit(plan.limit);
      throw new RateLimitError();
    }
    if (plan.unrecoverable) throw new UnrecoverableError(plan.unrecoverable);
    if (plan.fail === true || job.attemptsMade < (plan.fail ?? 0)) throw new Error(`boom ${job.attemptsMade}`);
    if (plan.children) return await job.getChildrenValues();
    return plan.value;
  };
}

async function startWorker({ label = 'w', plan = {}, opts = {} }) {
  const worker = new Worker(name, processor(label, plan), { ...base, name: label, ...opts });
  worker.on('error', error => errors.push(`worker ${label}: ${error.message}`));
  workers.set(label, worker);
  await worker.waitUntilReady();
}

async function stopWorker({ label = 'w', force = false }) {
  await workers.get(label).close(force);
  workers.delete(label);
}

// Jobs that a test takes and ends by hand, with tokens of its choice.
const taken = new Map();
let hand;
async function byHand(opts = {}) {
  hand ??= new Worker(name, null, { ...base, autorun: false, ...opts });
  hand.on('error', error => errors.push(`hand: ${error.message}`));
  await hand.waitUntilReady();
  return hand;
}

/* Answers. */

function plain(job) {
  return job === undefined || job === null ? null : JSON.parse(JSON.stringify(job.toJSON()));
}

async function found(id) {
  const job = await queue.getJob(id);
  if (!job) throw new Error(`there is no job ${id}`);
  return job;
}

function tree({ job, children = [] }) {
  return { id: job.id, children: children.map(tree) };
}

const flows = () => (flows.made ??= new FlowProducer(base));

const operations = {
  version: () => createRequire(resolve(home, 'package.json'))('bullmq/package.json').version,
  ready: async () => void (await queue.waitUntilReady()),
  add: async ({ name, data, opts }) => plain(await queue.add(name, data, opts)),
  addBulk: async ({ jobs }) => (await queue.addBulk(jobs)).map(plain),
  addFlow: async ({ flow }) => tree(await flows().add(flow)),
  getJob: async ({ id }) => plain(await queue.getJob(id)),
  // A method of the queue or of a job as it is.
  queue: async ({ method, args = [] }) => await queue[method](...args),
  job: async ({ id, method, args = [] }) => {
    const answer = await (await found(id))[method](...args);
    return typeof answer === 'object' && answer?.queue ? plain(answer) : answer;
  },
  logs: async ({ id }) => (await queue.getJobLogs(id)).logs,
  ids: async ({ types }) => (await queue.getJobs(types, 0, -1, true)).map(job => job.id),
  obliterate: async ({ force = false }) => void (await queue.obliterate({ force })),
  schedule: async ({ id, repeat, template }) => plain(await queue.upsertJobScheduler(id, repeat, template)),
  workersCount: async () => await queue.getWorkersCount(),

  observe,
  events: () => ({ events: seen, running: observer?.running ?? false }),
  errors: () => errors,
  closing: () => closing,

  startWorker,
  stopWorker,
  processed: () => processed,
  release: () => {
    release();
    released = new Promise(done => (release = done));
  },
  take: async ({ token, opts }) => {
    const job = await (await byHand(opts)).getNextJob(token, { block: false });
    if (job) taken.set(job.id, job);
    return plain(job);
  },
  // `id` need not be one that was taken here: ending a job of somebody else is what shows that it is refused.
  finish: async ({ id, token, value, error }) => {
    const job = taken.get(id) ?? (await found(id));
    if (error !== undefined) await job.moveToFailed(new Error(error), token, false);
    else await job.moveToCompleted(value, token, false);
  },
  checkStalled: async ({ interval, max = 1 }) => {
    const checker = new Worker(name, null, { ...base, autorun: false, stalledInterval: interval, maxStalledCount: max });
    const stalled = [];
    checker.on('stalled', id => stalled.push(id));
    checker.on('error', error => errors.push(`checker: ${error.message}`));
    await checker.waitUntilReady();
    await checker.moveStalledJobsToWait();
    await checker.close();
    return stalled;
  },
};

// A worker is asked to end in good order like any other program.
let closing = false;
process.on('SIGTERM', async () => {
  closing = true;
  for (const worker of workers.values()) await worker.close();
  process.exit(0);
});

/* The conversation: requests are answered in their order. */

process.on('unhandledRejection', error => errors.push(`unhandled: ${error?.stack ?? error}`));

async function answer(line) {
  const { op, ...args } = JSON.parse(line);
  try {
    if (!operations[op]) throw new Error(`the driver knows no ${op}`);
    return { ok: (await operations[op](args)) ?? null };
  } catch (error) {
    return { error: String(error?.message ?? error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(await answer(line)) + '\n');
}
process.exit(0);
