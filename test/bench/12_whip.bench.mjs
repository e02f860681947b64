// People who come by WHIP and speak: joins a second, and SRTP recordings a core.
// SPDX-License-Identifier: Apache-2.0
//
// usage: node test/bench/12_whip.bench.mjs [--quick] [--perf] [SESSIONS..]
//
// test/bench/whip_load joins a running server for real: HTTP, ICE, DTLS, SRTP with
// RED.  Each is recorded to a file of its own (single Ogg Opus, passthrough) on disk.
// The server, all threads of it, has one core, what loads it the other.  Before and
// behind each size as many are recorded by plain RTP (test/bench/rtp_load, as in
// 10_streams): the ratio says what WebRTC costs and depends less on the machine.
// CPU is that of the server's process in the kernel's books, not the wall's.
// --perf: where it goes while all speak, by `perf record` of the server.
import {execFileSync, spawn} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';

import {APP, startServer, tempDir, until} from '../aid/tapeop.mjs';
import {aid, child, cleanups, output, print, quick} from './http.mjs';

const speech = 'assets/demo/alice.opus';
const people = 10; // in a room
const joining = 32; // at a time
const warm_s = 4;
const seconds = quick ? 6 : 12;
const spoken_s = warm_s + seconds;
const wants_perf = process.argv.includes('--perf');
const server_core = 0, load_core = 1;
const KINDS = {media: 'sound', file: 'files', store: 'store'}; // threads; else: control

const sleep = (s) => new Promise((done) => setTimeout(done, s * 1000));
const pin = (core, pid) => execFileSync('taskset', ['-a', '-c', '-p', core, pid], {stdio: 'ignore'});
const on = (core, program, ...args) => ['taskset', ['-c', core, program, ...args].map(String)];

/** CPU time of each kind of thread [s], and of all. */
function cpuOf(pid) {
  const used = {all: 0};
  for (const task of fs.readdirSync(`/proc/${pid}/task`)) {
    const dir = `/proc/${pid}/task/${task}`;
    const s = Number(fs.readFileSync(`${dir}/schedstat`, 'utf8').split(' ')[0]) / 1e9;
    const name = fs.readFileSync(`${dir}/comm`, 'utf8').trim();
    const kind = KINDS[/^[a-z]+/.exec(name)?.[0]] ?? 'control';
    used[kind] = (used[kind] ?? 0) + s;
    used.all += s;
  }
  return used;
}

const less = (a, b) => Object.fromEntries(Object.keys(a).map((k) => [k, a[k] - (b[k] ?? 0)]));

const field = (pid, file, name) =>
  Number(new RegExp(`${name}:\\s+(\\d+)`).exec(fs.readFileSync(`/proc/${pid}/${file}`, 'utf8'))[1]);

/** Do `fn` for all, some at a time. */
async function each(list, fn, at_a_time = 16) {
  const left = [...list];
  const work = async () => {
    for (let x = left.shift(); x !== undefined; x = left.shift())
      await fn(x);
  };
  await Promise.all(Array.from({length: at_a_time}, work));
}

/** Packets and frames of an Ogg Opus file: RFC 3533, RFC 7845. */
function readOgg(file) {
  const bytes = fs.readFileSync(file);
  let packets = -2; // two are headers
  let frames = 0;
  for (let at = 0; at < bytes.length;) {
    const n = bytes[at + 26];
    frames = Number(bytes.readBigInt64LE(at + 6));
    let len = 27 + n;
    for (let i = 0; i < n; i++) {
      const lacing = bytes[at + 27 + i];
      packets += lacing < 255;
      len += lacing;
    }
    at += len;
  }
  return {packets, frames};
}

/** Datagrams that the kernel has dropped at this UDP port. */
function droppedAt(port) {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const line = fs.readFileSync('/proc/net/udp', 'utf8').split('\n')
    .find((l) => l.includes(`:${hex} `));
  return line ? Number(line.trim().split(/\s+/).at(-1)) : 0;
}

/** Sessions, made by whip_load: tell(line) gives what it says when that is done. */
async function joinByWhip(t, server, n) {
  const port = new URL(server.url).port;
  const load = child(t, ...on(load_core, aid('whip_load'), port, APP, n, people, joining, speech),
    ['pipe', 'pipe', 'inherit']);
  const lines = readline.createInterface({input: load.stdout})[Symbol.asyncIterator]();
  const tell = async (line) => {
    load.stdin.write(`${line}\n`);
    const {value, done} = await lines.next();
    if (done)
      throw new Error(`whip_load ended at ${line}`);
    return JSON.parse(value);
  };
  return {joined: await tell('join'), speak: () => tell(`speak ${spoken_s}`),
    leave: () => tell('leave')};
}

/** The same by plain RTP. */
async function joinByRtp(t, server, n) {
  const ports = [];
  for (let i = 0; i < n; i++)
    ports.push((await server.join(`room${Math.floor(i / people)}`, `user${i}`)).port);
  const speak = () => new Promise((done) => {
    const load = spawn(...on(load_core, aid('rtp_load'), spoken_s, 100, speech),
      {stdio: ['pipe', 'pipe', 'inherit']});
    let out = '';
    load.stdout.on('data', (d) => (out += d));
    load.stdin.end(ports.join('\n'));
    load.once('close', () => {
      const [sent, s] = out.split(' ').map(Number);
      done({sent, seconds: s});
    });
  });
  return {speak, leave: async () => {}};
}

/** Every recording is there, and has what was said: what is wrong with them. */
async function checkFiles(server, tasks, n) {
  const wrong = [];
  let found = 0;
  await each(tasks, (id) => server.ask(200, 'DELETE', `/v1/tasks/${id}`));
  await each(tasks, async (id) => {
    await until(`task ${id} is finished`, async () => (await server.task(id)).finished_ms);
    for (const s of await server.segments(id)) {
      const {packets, frames} = readOgg(server.file(s));
      found++;
      // a file may end up to some seconds behind the last word, with silence
      if (packets < spoken_s * 50 || Math.abs(frames / 48 - s.duration_ms) > 50 ||
          s.duration_ms < spoken_s * 1000 - 20 || s.duration_ms > spoken_s * 1000 + 5000)
        wrong.push(`${s.file}: ${packets} packets, ${s.duration_ms} ms`);
    }
  });
  if (found !== n)
    wrong.push(`${found} files instead of ${n}`);
  return wrong;
}

const FAULTS = ['srtp_refused', 'srtp_replayed', 'webrtc_bad', 'webrtc_early', 'webrtc_other',
  'webrtc_strangers', 'webrtc_no_consent', 'webrtc_handshakes_failed', 'rtp_bad', 'rtp_bad_opus',
  'rtp_stranger', 'rtp_duplicate', 'rtp_late', 'rtp_lost', 'rtp_recovered_red', 'rtp_ring_full',
  'rtp_no_memory', 'bytes_dropped', 'loop_late', 'work_late', 'track_late'];

/** What was not as it should be, in words. */
function faultsOf(m, spoke, dropped, dropped_warm) {
  const all = FAULTS.filter((name) => m[name]).map((name) => `${name} ${m[name]}`);
  if (m.rtp_packets !== spoke.sent)
    all.push(`${m.rtp_packets} packets of ${spoke.sent}`);
  if (dropped)
    all.push(`${dropped} dropped by the kernel, ${dropped_warm} of them in the first ${warm_s} s`);
  if (spoke.seconds > spoken_s * 1.05)
    all.push(`the load was too slow: ${spoke.seconds} s`);
  return all;
}

/** Look at the server for that long, and say where its time goes: by thread and
 *  library, then by function. */
async function profile(t, pid, for_s) {
  const file = path.join(tempDir(t), 'perf.data');
  await output(t, 'perf', ['record', '-q', '-e', 'cpu-clock', '-F', 499, '-o', file, '-p', pid,
    '--', 'sleep', for_s], 'ignore');
  for (const keys of ['comm,dso', 'comm,sym']) {
    const text = await output(t, 'perf', ['report', '--stdio', '--no-children', '-F',
      `overhead,${keys}`, '-i', file], 'ignore');
    process.stderr.write(text.split('\n').filter((l) => /^ +\d/.test(l)).slice(0, 30).join('\n') + '\n');
  }
}

/** One run: so many join by `kind`, are recorded, speak, are looked at. */
async function measure(t, kind, n) {
  const server = await startServer(t, {range: '10000-19999', loops: 1,
    media: {max_sessions: 10000}});
  const {pid} = server.proc;
  pin(server_core, pid);
  const rss = field(pid, 'status', 'VmRSS');
  const before = cpuOf(pid);
  const load = await (kind === 'whip' ? joinByWhip : joinByRtp)(t, server, n);
  const joining_cpu = less(cpuOf(pid), before);
  const held = field(pid, 'status', 'VmRSS') - rss;
  const tasks = [];
  for (let i = 0; i < Math.ceil(n / people); i++)
    tasks.push(await server.record(`room${i}`, {format: 'ogg'}));
  const {inputs: [{port}]} = (await server.ask(200, 'GET', '/v1/rooms')).rooms[0];
  const dropped_now = () => kind === 'whip' ? droppedAt(port) : 0;
  await sleep(1);
  const speaking = load.speak();
  await sleep(warm_s);
  const dropped_warm = dropped_now();
  const [cpu, began, warm, written] = [cpuOf(pid), performance.now(), await server.metrics(),
    field(pid, 'io', 'write_bytes')];
  await (wants_perf ? profile(t, pid, seconds - 2) : sleep(seconds - 1));
  const used = less(cpuOf(pid), cpu);
  const took_s = (performance.now() - began) / 1000;
  const write_bytes = field(pid, 'io', 'write_bytes') - written;
  const spoke = await speaking;
  await sleep(1);
  const m = await server.metrics();
  const grown = field(pid, 'status', 'VmRSS') - rss;
  const dropped = dropped_now();
  // a turn may be late while a thousand files are opened; a packet may not
  const wrong = [...faultsOf({...m, loop_late: m.loop_late - warm.loop_late,
    work_late: m.work_late - warm.work_late}, spoke, dropped, dropped_warm),
    ...(await checkFiles(server, tasks, n))];
  const left = await load.leave();
  if (left?.wrong)
    wrong.push(`the peers got ${left.wrong} datagrams that are none of theirs`);
  await server.stop();
  const r = {kind, n, ...load, spoke, m, wrong, joining_cpu, used, took_s,
    join_kib: held / n, kib: grown / n, each_s: used.all / took_s / n,
    recorded: (m.bytes_recorded - warm.bytes_recorded) / took_s,
    written: write_bytes / took_s};
  const parts = (cpu_of, by) => Object.entries(cpu_of).filter(([k]) => k !== 'all')
    .map(([k, s]) => `${k} ${(s * by).toFixed(3)}`).join(', ');
  process.stderr.write(`${kind} ${n}: ${(used.all / took_s * 100).toFixed(0)} % of a core ` +
    `(ms/s a person: ${parts(used, 1000 / took_s / n)}), ${m.rtp_packets} of ${spoke.sent} packets, ` +
    `the load late by ${spoke.late_ms ?? '-'} ms, ${wrong.length ? wrong.slice(0, 5).join('; ') : 'nothing lost'}` +
    `; late turns ${m.loop_late} (${warm.loop_late} at first)` +
    `${kind === 'whip' ? `; a join, ms: ${parts(joining_cpu, 1000 / n)}` : ''}\n`);
  return r;
}

async function run(kind, n) {
  const t = cleanups();
  try {
    return await measure(t, kind, n);
  } finally {
    await t.end();
  }
}

const asked = process.argv.slice(2).filter((a) => !a.startsWith('-')).map(Number);
const sizes = asked.length ? asked : quick ? [200] : [500, 1500, 2500];
const joins = [], recordings = [];

pin(load_core, process.pid);
for (const n of sizes) {
  const plain = [await run('rtp', n)];
  const r = await run('whip', n);
  plain.push(await run('rtp', n));
  const {joined, spoke, m} = r;
  const rtp_s = (plain[0].each_s + plain[1].each_s) / 2;
  joins.push([n, (n / joined.seconds).toFixed(0), `${(r.joining_cpu.all / n * 1000).toFixed(2)} ms`,
    ...['control', 'sound', 'store'].map((k) => `${((r.joining_cpu[k] ?? 0) / n * 1000).toFixed(2)} ms`),
    (n / r.joining_cpu.all).toFixed(0), `${joined.p50_ms} ms`, `${joined.p99_ms} ms`,
    `${(joined.cpu_s / n * 1000).toFixed(2)} ms`]);
  recordings.push([n, spoke.sent, m.rtp_packets, r.wrong.length ? r.wrong.slice(0, 3).join('; ') : 'none',
    `${(r.each_s * 1000).toFixed(3)} ms/s`, (1 / r.each_s).toFixed(0),
    (r.each_s / rtp_s).toFixed(2), `${r.join_kib.toFixed(0)} KiB`, `${r.kib.toFixed(0)} KiB`,
    `${(r.recorded / 1e6).toFixed(2)} MB/s`, `${(r.written / 1e6).toFixed(2)} MB/s`]);
}
print([['joins', 'a second', 'CPU of the server a join', 'control loop', 'media loop', 'store',
  'one core, a second', 'p50', 'p99', 'CPU of the load'], Array(10).fill('---'), ...joins]);
console.log('');
print([['recordings', 'packets sent', 'taken in', 'lost, late, wrong', 'CPU each', 'one core',
  'times plain RTP', 'memory, joined', 'recorded', 'sound', 'written'],
Array(11).fill('---'), ...recordings]);
