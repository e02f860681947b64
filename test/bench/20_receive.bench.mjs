// How many callbacks a receiver takes: verified, committed, then answered.
// SPDX-License-Identifier: Apache-2.0
//
// usage: node test/bench/20_receive.bench.mjs [--quick]
//
// test/bench/http_load sends callbacks that it has made and signed before; each
// tells of something new, so each is verified, committed durably and only then
// answered.  In the same run the same bytes go to nginx, which reads and answers
// them and does nothing else: the ratio to it does not depend on how fast or busy
// the machine is.  Sender and receiver share the machine's cores, so the CPU time
// of each process is told beside the rate.
import fs from 'node:fs';
import path from 'node:path';

import {APP, KEY, TAPEOP, tempDir, until} from '../aid/tapeop.mjs';
import {child, cleanups, cpu_s, disk_ms, nginx, post, print, quick} from './http.mjs';

const connections = 256;
const events = quick ? 20_000 : 100_000;
const answer = '{"code":0}';

/** `tapeop receive`, which writes what it prints to a file. */
async function receiver(t, dir) {
  const key = path.join(dir, 'key');
  const [out, log] = ['out', 'log'].map((name) => path.join(dir, name));
  fs.writeFileSync(key, KEY);
  const proc = child(t, TAPEOP, ['receive', '--app', APP, '--key', `file:${key}`, '--json',
    '--listen', '127.0.0.1:0', '--data', path.join(dir, 'inbox')].map(String),
    ['ignore', fs.openSync(out, 'w'), fs.openSync(log, 'w')]);
  const port = await until('the receiver listens',
    () => /on http:\/\/127.0.0.1:(\d+)/.exec(fs.readFileSync(log, 'utf8'))?.[1]);
  return {pid: proc.pid, port, lines: () => fs.readFileSync(out, 'utf8').split('\n').length - 1};
}

/** One row: the same load against a server that `start` starts. */
async function run(text, start, times) {
  const t = cleanups();
  try {
    const server = await start(t, tempDir(t));
    if (!server)
      return null;
    const before_s = cpu_s(server.pid);
    const r = await post(t, server.port, {connections, events: events / times, times});
    r.server_us = (cpu_s(server.pid) - before_s) / r.requests * 1e6;
    r.load_us = r.cpu_s / r.requests * 1e6;
    if (r.not_200)
      throw new Error(`${text}: ${r.not_200} requests were refused`);
    if (server.lines)
      await until('each event is printed once', () => server.lines() === events / times);
    return {text, ...r};
  } finally {
    await t.end();
  }
}

const base = await run('nginx, answers only', (t, dir) => nginx(t, dir, answer), 1);
const rows = [base,
  await run('receiver, all new', receiver, 1),
  await run('receiver, half are repeats', receiver, 2)];

const t = cleanups();
const sync_ms = disk_ms(tempDir(t));
await t.end();

console.log(`\n${events} callbacks over ${connections} connections; ` +
  `to sync 4 KiB takes this disk ${sync_ms.toFixed(2)} ms:\n`);
const table = [['what', 'answered/s', 'of nginx', 'p50', 'p99', 'CPU of the server', 'one core',
  'CPU of the load'], Array(8).fill('---')];
for (const r of rows.filter(Boolean)) {
  table.push([r.text, r.per_s, base ? (r.per_s / base.per_s).toFixed(2) : '-',
    `${r.p50_ms.toFixed(1)} ms`, `${r.p99_ms.toFixed(1)} ms`, `${r.server_us.toFixed(1)} µs`,
    (1e6 / r.server_us).toFixed(0), `${r.load_us.toFixed(1)} µs`]);
}
print(table);
if (!base)
  console.log('\nnginx is not installed: no row beside it (tools/setup bench).');
