// How many people one core records: single MP3 tracks, everybody talking.
// SPDX-License-Identifier: Apache-2.0
//
// usage: node test/bench/10_streams.bench.mjs [STREAMS] [SECONDS]
//
// The senders are this process; what is measured is the CPU time of the server,
// so the machine need not be quiet, but late turns or losses make it void.
// Beside it, the codecs alone: ffmpeg decodes the same speech and encodes it to
// the same kind of MP3 (both libraries are the same), without a server.
import {spawnSync} from 'node:child_process';
import dgram from 'node:dgram';
import fs from 'node:fs';

import {oggPackets} from '../aid/sound.mjs';
import {startServer} from '../aid/tapeop.mjs';

const streams = Number(process.argv[2] ?? 100);
const seconds = Number(process.argv[3] ?? 20);
const rooms = Math.ceil(streams / 10);
const speech = 'assets/demo/alice.opus';

const cleanups = [];
const t = {after: (fn) => cleanups.unshift(fn)};

function cpu_s(pid) {
  const f = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(f[11]) + Number(f[12])) / 100;
}

/** CPU seconds for a second of speech, of the codecs in a loop. */
function codecs_s() {
  const {stderr} = spawnSync('ffmpeg', ['-nostdin', '-hide_banner', '-benchmark',
    '-threads', '1', '-stream_loop', '19', '-i', speech, '-threads', '1', '-ac', '1',
    '-c:a', 'libmp3lame', '-b:a', '64k', '-compression_level', '7', '-reservoir', '0',
    '-f', 'null', '-'], {encoding: 'utf8'});
  const used = Number(/utime=([\d.]+)s/.exec(stderr)[1]);
  const times = [...stderr.matchAll(/time=(\d+):(\d+):([\d.]+)/g)].at(-1);
  return used / (Number(times[1]) * 3600 + Number(times[2]) * 60 + Number(times[3]));
}

const server = await startServer(t, {range: '30000-39999'});
const packets = oggPackets(speech);
const ports = [];
for (let i = 0; i < streams; i++)
  ports.push((await server.join(`room${i % rooms}`, `user${i}`)).port);
for (let i = 0; i < rooms; i++)
  await server.record(`room${i}`);

const socket = dgram.createSocket('udp4');
await new Promise((done) => socket.bind(0, '127.0.0.1', done));
const before_s = cpu_s(server.proc.pid);
const began = Date.now();
let sent = 0;
while (Date.now() - began < seconds * 1000) {
  for (const due = (Date.now() - began) / 20; sent < due; sent++) {
    for (const [i, port] of ports.entries()) {
      const head = Buffer.alloc(12);
      head[0] = 0x80;
      head[1] = 111;
      head.writeUInt16BE(sent & 0xffff, 2);
      head.writeUInt32BE((sent * 960) >>> 0, 4);
      head.writeUInt32BE(i, 8);
      socket.send([head, packets[(sent + i * 7) % packets.length]], port, '127.0.0.1');
    }
  }
  await new Promise((done) => setTimeout(done, 5));
}
const wall_s = (Date.now() - began) / 1000;
const used_s = cpu_s(server.proc.pid) - before_s;
const m = await server.metrics();
const rss = Number(/VmRSS:\s+(\d+)/.exec(
  fs.readFileSync(`/proc/${server.proc.pid}/status`, 'utf8'))[1]) / 1024;
socket.close();
for (const fn of cleanups)
  await fn();

const a_stream = used_s / wall_s / streams;
const alone = codecs_s();
console.log(`${streams} streams for ${wall_s.toFixed(0)} s: ${m.rtp_packets} packets, ` +
  `${m.rtp_lost} lost, ${m.loop_late} late turns`);
console.log(`one core records   ${(1 / a_stream).toFixed(0)} streams`);
console.log(`codecs alone       ${(1 / alone).toFixed(0)} (ffmpeg, the same run)`);
console.log(`times the codecs   ${(a_stream / alone).toFixed(2)}`);
console.log(`memory             ${rss.toFixed(0)} MiB, ${(rss / streams).toFixed(2)} a stream`);
if (m.rtp_lost || m.loop_late)
  console.log('VOID: it was late; use fewer streams');
