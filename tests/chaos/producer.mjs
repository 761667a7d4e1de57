// Adds entries with the official client, as the program that users speak to does: a JSON request a line on stdin
// ({"n": 1, "data": {...}, "opts": {...}}), a JSON answer a line on stdout ({"n": 1, "id": "7"} or {"n": 1, "error": "..."}).
//
//   node producer.mjs FOLDER-OF-THE-CLIENT SOCKET QUEUE
//
// It ends with its input.

import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';

const [home, path, name] = process.argv.slice(2);
const { Queue } = createRequire(resolve(home, 'package.json'))('bullmq');
const queue = new Queue(name, { connection: { path, maxRetriesPerRequest: null } });
// It connects again by itself.
queue.on('error', () => {});

const say = line => process.stdout.write(JSON.stringify(line) + '\n');

for await (const line of createInterface({ input: process.stdin })) {
  const { n, data, opts } = JSON.parse(line);
  queue.add('scan', data, opts).then(({ id }) => say({ n, id }), error => say({ n, error: error.message }));
}
process.exit(0);
