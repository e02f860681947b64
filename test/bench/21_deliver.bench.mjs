// How many callbacks a sender delivers, and how soon: committed, signed, sent,
// answered, committed.
// SPDX-License-Identifier: Apache-2.0
//
// usage: node test/bench/21_deliver.bench.mjs [--quick]
//
// test/bench/deliver_load is that part of `tapeop serve` which tells of events,
// without the sound: it commits an event with its delivery, signs, POSTs, reads the
// answer, and commits the outcome before the next event of the same task goes out.
// In the same run test/bench/http_load sends as many callbacks, signed before,
// to the same target and keeps nothing: the ratio to it does not depend on how
// fast or busy the machine is.  The target shares the machine's cores, so the CPU
// time of each process is told beside the rate.
import fs from 'node:fs';
import path from 'node:path';

import {tempDir} from '../aid/tapeop.mjs';
import {aid, child, cleanups, cpu_s, disk_ms, output, post, print, quick} from './http.mjs';

const n = quick ? 20_000 : 100_000;
const connections = 204; // what four endpoints may have under way
const calm = {n: quick ? 2000 : 10_000, rate: 1000};

/** A target that says yes. */
async function startSink(t, ...args) {
  const proc = child(t, aid('http_load'), ['sink', ...args], ['pipe', 'pipe', 'inherit']);
  let out = '';
  proc.stdout.setEncoding('utf8').on('data', (d) => (out += d));
  await new Promise((done) => proc.stdout.once('data', done));
  return {
    pid: proc.pid,
    port: Number(out),
    /** Its lines but the first two: "ID TIME". */
    end: async () => {
      proc.stdin.end();
      await proc.ended;
      return out.trim().split('\n').slice(2);
    },
  };
}

/** What deliver_load says: JSON, then lines. */
async function deliver(t, port, events, rate) {
  const dir = tempDir(t);
  const log = path.join(dir, 'log'); // a line a delivery, as serve writes
  try {
    const [json, ...lines] = (await output(t, aid('deliver_load'), [dir, port, events, rate],
      fs.openSync(log, 'w'))).trim().split('\n');
    return {...JSON.parse(json), lines};
  } catch (e) {
    throw new Error(fs.readFileSync(log, 'utf8').slice(-500), {cause: e});
  }
}

async function run(fn) {
  const t = cleanups();
  try {
    return await fn(t);
  } finally {
    await t.end();
  }
}

/** One row: `send` sends n callbacks to a new target. */
const row = (text, send) => run(async (t) => {
  const sink = await startSink(t);
  const before_s = cpu_s(sink.pid);
  const r = await send(t, sink.port);
  return {text, per_s: r.per_s, sender_us: r.cpu_s / n * 1e6,
    target_us: (cpu_s(sink.pid) - before_s) / n * 1e6,
    writes: r.commits ? (2 * n / r.commits).toFixed(0) : '-'};
});

const base = await row('POST alone, nothing kept', (t, port) =>
  post(t, port, {connections, events: n}));
const durable = await row('durable deliveries', (t, port) => deliver(t, port, n, 0));
const sync_ms = await run(async (t) => disk_ms(tempDir(t)));

console.log(`\n${n} callbacks to 4 endpoints, of 2000 tasks; ` +
  `to sync 4 KiB takes this disk ${sync_ms.toFixed(2)} ms:\n`);
print([['what', 'delivered/s', 'of POST alone', 'CPU of the sender', 'one core',
  'CPU of the target', 'writes a commit'], Array(7).fill('---'),
...[base, durable].map((r) => [r.text, r.per_s, (r.per_s / base.per_s).toFixed(2),
  `${r.sender_us.toFixed(1)} µs`, (1e6 / r.sender_us).toFixed(0),
  `${r.target_us.toFixed(1)} µs`, r.writes])]);

await run(async (t) => {
  const sink = await startSink(t, 'times');
  const {lines} = await deliver(t, sink.port, calm.n, calm.rate);
  const came = new Map((await sink.end()).map((l) => l.split(' ').map(Number)));
  const waits = lines.map((l) => l.split(' ').map(Number))
    .map(([id, added, committed]) => [came.get(id) - added, came.get(id) - committed]);
  const ms = (which, share) => {
    const sorted = waits.map((w) => w[which]).sort((a, b) => a - b);
    return (sorted[Math.floor(sorted.length * share)] / 1000).toFixed(2);
  };
  console.log(`\nAt ${calm.rate} events a second, until the target has the first byte:\n`);
  print([['from', 'p50', 'p99'], Array(3).fill('---'),
    ["the event's commit", `${ms(1, 0.5)} ms`, `${ms(1, 0.99)} ms`],
    ['the event', `${ms(0, 0.5)} ms`, `${ms(0, 0.99)} ms`]]);
});
