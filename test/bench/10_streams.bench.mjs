// How many people one core records: every format, singles and mixes.
// SPDX-License-Identifier: Apache-2.0
//
// usage: node test/bench/10_streams.bench.mjs [--quick] [SCENARIO..]
//
// For each scenario the load is raised until a counter of the server says that
// something was late or lost; what was held before is printed.  The server has
// one media loop, so that is one core for sound; the senders are another process
// (test/bench/rtp_load).  In the same run the codecs alone are measured in a tight
// loop (test/bench/codec_loop): the ratio to them says what the recorder costs,
// and does not depend on how fast or busy the machine is.
import {execFileSync, spawn} from 'node:child_process';
import fs from 'node:fs';

import {startServer} from '../aid/tapeop.mjs';

const speech = 'assets/demo/alice.opus';
const aid = (name) => `build/release/test/bench/${name}`;
const quick = process.argv.includes('--quick');
const seconds = quick ? 6 : 12;
const warm_s = 4; // encoders are made when somebody first speaks

/** people: in a room; talk: percent of the time; codecs: what a person costs, in
 *  parts of one second of decoding or coding; from: where the load begins. */
const scenarios = {
  'mp3-48000': {text: 'single MP3, 48 kHz 64k', task: {mode: 'single'}, from: 80,
    codecs: [['mp3-48000', 1]]},
  'mp3-24000': {text: 'single MP3, 24 kHz 48k', task: {mode: 'single', sample_rate: 24000},
    from: 100, codecs: [['mp3-24000', 1]]},
  'mp3-16000': {text: 'single MP3, 16 kHz 32k', task: {mode: 'single', sample_rate: 16000},
    from: 120, codecs: [['mp3-16000', 1]]},
  'mp3-30': {text: 'single MP3, 48 kHz, 30 % talk', task: {mode: 'single'}, talk: 30, from: 180,
    codecs: [['mp3-48000', 0.3]]},
  'ogg': {text: 'single Ogg Opus, passthrough', task: {mode: 'single', format: 'ogg'}, from: 2000},
  'mix-10': {text: 'one MP3 mix, rooms of 10', task: {mode: 'mixed'}, people: 10, from: 150,
    codecs: [['decode', 0.9], ['mp3-48000', 0.1]]},
  'mix-ogg-10': {text: 'one Ogg mix, rooms of 10', task: {mode: 'mixed', format: 'ogg'}, people: 10,
    from: 200, codecs: [['decode', 0.9], ['opus', 0.1]]},
  'both-10': {text: 'singles and a mix, MP3, rooms of 10', task: {mode: 'both'}, people: 10,
    from: 60, codecs: [['mp3-48000', 1], ['mp3-48000', 0.1], ['decode', -0.1]]},
  'mix-300': {text: 'one MP3 mix, rooms of 300, 3 talk', task: {mode: 'mixed'}, people: 300,
    talkers: 3, from: 3000, codecs: [['decode', 0.01], ['mp3-48000', 1 / 300], ['decode', -1 / 300]]},
};

function cpu_s(pid) {
  const f = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(f[11]) + Number(f[12])) / 100;
}

const alone = {};
/** CPU seconds for a second of sound, of the codecs in a loop; now, as the
 *  machine is now. */
function codecs_s(parts) {
  let sum = 0;
  for (const [kind, share] of parts) {
    alone[kind] = Number(execFileSync(aid('codec_loop'), [kind, speech], {encoding: 'utf8'}));
    sum += alone[kind] * share;
  }
  return sum;
}

function load(ports, talk) {
  const child = spawn(aid('rtp_load'), [String(seconds + warm_s), String(talk), speech],
    {stdio: ['pipe', 'pipe', 'inherit']});
  let out = '';
  child.stdout.on('data', (d) => (out += d));
  child.stdin.end(ports.join('\n'));
  return new Promise((done) => child.once('close', () => {
    const [sent, took_s] = out.split(' ').map(Number);
    done({sent, took_s});
  }));
}

/** One run with so many streams. */
async function run(s, streams) {
  const cleanups = [];
  const server = await startServer({after: (fn) => cleanups.unshift(fn)},
    {range: '20000-33999', loops: 1});
  const people = s.people ?? 10;
  const rooms = Math.max(1, Math.round(streams / people));
  const ports = [];
  for (let i = 0; i < rooms * people; i++) {
    const {port} = await server.join(`room${i % rooms}`, `user${i}`);
    if (!s.talkers || Math.floor(i / rooms) < s.talkers)
      ports.push(port);
  }
  for (let i = 0; i < rooms; i++)
    await server.record(`room${i}`, s.task);
  const quiet_s = s.codecs ? codecs_s(s.codecs) : 0;
  const sending = load(ports, s.talk ?? 100);
  await new Promise((done) => setTimeout(done, warm_s * 1000));
  const [before_s, began, warm] = [cpu_s(server.proc.pid), Date.now(), await server.metrics()];
  const {sent, took_s} = await sending;
  const used_s = cpu_s(server.proc.pid) - before_s;
  const wall_s = (Date.now() - began) / 1000;
  await new Promise((done) => setTimeout(done, 1000));
  const m = await server.metrics();
  for (const name of ['loop_late', 'work_late', 'mix_late'])
    m[name] -= warm[name];
  const rss = Number(/VmRSS:\s+(\d+)/.exec(
    fs.readFileSync(`/proc/${server.proc.pid}/status`, 'utf8'))[1]) / 1024;
  const n = rooms * people;
  // before and after, as the machine's speed may change meanwhile
  const codecs = s.codecs ? (quiet_s + codecs_s(s.codecs)) / 2 : 0;
  for (const fn of cleanups)
    await fn();
  const late = m.loop_late + m.work_late + m.bytes_dropped + m.rtp_late + (m.rtp_packets < sent ? 1 : 0) +
    (m.mix_late ?? 0);
  return {streams: n, late, slow: took_s > (seconds + warm_s) * 1.1, mib: rss / n,
    busy: used_s / wall_s, each_s: used_s / wall_s / n, codecs,
    why: `${m.rtp_packets} of ${sent} packets, ${m.loop_late} late turns, ` +
      `${m.work_late} late works, ${m.rtp_lost} lost, ${m.rtp_late} late, ` +
      `${m.rtp_ring_full} for a full ring`};
}

const names = process.argv.slice(2).filter((a) => !a.startsWith('-'));
console.log(`| what | held on one media loop | CPU a stream | one core | times the codecs | MiB a stream |`);
console.log(`|---|---|---|---|---|---|`);
for (const name of names.length ? names : Object.keys(scenarios)) {
  const s = scenarios[name];
  let held = null;
  for (let n = s.from; ; n = Math.ceil(n * (quick ? 1.5 : 1.2))) {
    const r = await run(s, n);
    process.stderr.write(`${name}: ${r.streams} streams, ${(r.busy * 100).toFixed(0)} % of a core: ` +
      `${r.late ? 'LATE' : r.slow ? 'the sender was too slow' : 'held'} (${r.why})\n`);
    if (r.late || r.slow)
      break;
    held = r;
  }
  if (!held) {
    console.log(`| ${s.text} | less than ${s.from} | | | | |`);
    continue;
  }
  console.log(`| ${s.text} | ${held.streams} | ${(held.each_s * 1000).toFixed(2)} ms/s ` +
    `| ${(1 / held.each_s).toFixed(0)} ` +
    `| ${held.codecs ? (held.each_s / held.codecs).toFixed(2) : '-'} | ${held.mib.toFixed(2)} |`);
}
