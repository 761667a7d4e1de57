// What people run today, in the usual way: a worker of BullMQ's own client that makes a container for each job with
// dockerode, on a bridge network, waits for its end and reads its log. Or the same worker with a job that is nothing.
//
//   node rival.mjs '{"home": "target/bench/node", "socket": "/tmp/x/redis.sock", "kind": "scan", "jobs": 50,
//                    "concurrency": 5, "image": "sha256:…", "network": "…", "subnet": "…", "url": "http://…/", "label": "…"}'
//
// It fills a queue of its own, works through it, prints one line of JSON (when the work began and each job ended, and what
// the process used) and ends.

import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const order = JSON.parse(process.argv[2]);
const load = createRequire(resolve(order.home, 'package.json'));
const { Queue, Worker } = load('bullmq');

const connection = { path: order.socket, maxRetriesPerRequest: null };
const name = `rival-${randomUUID()}`;
const queue = new Queue(name, { connection });

// Jobs are added in blocks, because one call for all of them would be one script.
for (let from = 0; from < order.jobs; from += 500) {
  const block = Array.from({ length: Math.min(500, order.jobs - from) });
  await queue.addBulk(block.map(() => ({ name: 'job', data: { url: order.url } })));
}

async function scan(docker, job) {
  const attempt = `${job.id}/1`;
  const container = await docker.createContainer({
    Image: order.image,
    Cmd: ['--serve'],
    OpenStdin: true,
    StdinOnce: true,
    Labels: { 'safeurl.instance': order.label },
    HostConfig: {
      NetworkMode: order.network,
      Memory: order.memory,
      NanoCpus: order.nanoCpus,
      PidsLimit: 64,
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
    },
  });
  try {
    const stdin = await container.attach({ stream: true, stdin: true, hijack: true });
    await container.start();
    const invocation = {
      attempt,
      url: job.data.url,
      method: 'GET',
      headers: [],
      userAgent: 'rival',
      timeoutMs: 20000,
      maxRedirects: 10,
      bodyCap: 10485760,
      outputCap: 8388608,
      respectRobots: false,
      evidence: false,
      // Our fetcher denies a network of this kind by itself.
      egress: { bridge: { allowNetworks: [order.subnet], hosts: {}, resolvers: [], nat64Recheck: false } },
    };
    stdin.write(`${JSON.stringify(invocation)}\n`);
    const { StatusCode } = await container.wait();
    if (StatusCode !== 0) throw new Error(`the container ended with ${StatusCode}`);
    const log = frames(await container.logs({ stdout: true, stderr: false }));
    // The ready line, the header, the report.
    const report = JSON.parse(log.split('\n')[2]);
    if (report.attempt !== attempt || report.requests[0].status !== 200) throw new Error('the page was not fetched');
    return { status: report.requests[0].status, sha256: report.requests[0].sha256 };
  } finally {
    await container.remove({ force: true });
  }
}

// Each piece of a log has a head of eight bytes, the last four of which are its length.
function frames(log) {
  const pieces = [];
  for (let at = 0; at + 8 <= log.length; ) {
    const end = at + 8 + log.readUInt32BE(at + 4);
    pieces.push(log.subarray(at + 8, end));
    at = end;
  }
  return Buffer.concat(pieces).toString();
}

let work = async () => {};
if (order.kind === 'scan') {
  const Docker = load('dockerode');
  const docker = new Docker();
  work = job => scan(docker, job);
}

const ends = [];
let failed;
const worker = new Worker(name, work, { connection, concurrency: order.concurrency, autorun: false });
const over = new Promise(done => {
  worker.on('completed', () => {
    ends.push(performance.now());
    if (ends.length === order.jobs) done();
  });
  worker.on('failed', (_, error) => {
    failed ??= error.message;
    done();
  });
});
await worker.waitUntilReady();
const begun = performance.now();
const before = process.cpuUsage();
const running = worker.run();
await over;
const used = process.cpuUsage(before);
const resident = process.memoryUsage().rss;
await worker.close();
await running;
await queue.obliterate({ force: true });
await queue.close();
const said = JSON.stringify({
  failed: failed ?? null,
  ends: ends.map(at => at - begun),
  cpuMs: (used.user + used.system) / 1000 / order.jobs,
  residentMiB: resident / 1048576,
});
// An exit does not wait for what a pipe has not taken yet.
process.stdout.write(`${said}\n`, () => process.exit(failed ? 1 : 0));
