// A stand-in for the worker of an installation as it was before ours: on the official client, it moves rows of the
// existing tables by version-checked UPDATEs, fetches, and writes a result and an audit row. It knows no column of ours.
//
//   node older_worker.mjs FOLDER-OF-THE-CLIENT SOCKET QUEUE DATABASE-URL
//
// It says when it takes jobs, and ends with its input, after the jobs that it has.

import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const [home, path, name, database] = process.argv.slice(2);
const { Worker } = createRequire(resolve(home, 'package.json'))('bullmq');

const argument = value =>
  value === null ? { type: 'null' } : Number.isInteger(value) ? { type: 'integer', value: String(value) } : { type: 'text', value };

// Statements with their values, one after the other; the answer is what the first selects and what each changed.
async function run(...statements) {
  const requests = statements.map(([sql, ...args]) => ({ type: 'execute', stmt: { sql, args: args.map(argument) } }));
  const body = JSON.stringify({ requests: [...requests, { type: 'close' }] });
  const { results } = await (await fetch(`${database}/v2/pipeline`, { method: 'POST', body })).json();
  const failed = results.find(({ type }) => type !== 'ok');
  if (failed) throw new Error(failed.error.message);
  const answers = results.slice(0, -1).map(({ response }) => response.result);
  return { rows: answers[0].rows.map(row => row.map(cell => cell.value)), changed: answers.map(answer => answer.affected_row_count) };
}

async function move(job, from, to, version) {
  const { changed } = await run([
    'UPDATE scan_jobs SET state = ?, version = version + 1, updated_at = unixepoch() WHERE id = ? AND state = ? AND version = ?',
    to, job, from, version,
  ]);
  if (changed[0] !== 1) throw new Error(`${job} is not ${from} at ${version} any more`);
}

async function scan({ data: { jobId, url } }) {
  const { rows } = await run(['SELECT version FROM scan_jobs WHERE id = ?', jobId]);
  const version = Number(rows[0][0]);
  await move(jobId, 'QUEUED', 'FETCHING', version);
  const page = await fetch(url);
  const hash = createHash('sha256').update(await page.text()).digest('hex');
  await move(jobId, 'FETCHING', 'ANALYZING', version + 1);
  await run(
    ['INSERT INTO scan_results (job_id, risk_score, categories, content_hash, http_status, model_used, reasoning, indicators)'
      + " VALUES (?, 0, '[]', ?, ?, 'older', 'none', '[]')", jobId, hash, page.status],
    ['INSERT INTO audit_logs (id, scan_job_id, url_accessed, content_hash, http_status) VALUES (?, ?, ?, ?, ?)',
      `audit-${jobId}`, jobId, url, hash, page.status],
  );
  await move(jobId, 'ANALYZING', 'COMPLETED', version + 2);
  return { riskScore: 0 };
}

const worker = new Worker(name, scan, { connection: { path, maxRetriesPerRequest: null }, name: 'older', concurrency: 2 });
worker.on('error', error => console.error(error));
worker.on('failed', (job, error) => console.error(job?.id, error));
await worker.waitUntilReady();
console.log('taking jobs');
for await (const _ of process.stdin);
await worker.close();
process.exit(0);
