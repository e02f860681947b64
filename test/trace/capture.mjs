// test/trace/capture.mjs -- record what real senders send, packet by packet.
// SPDX-License-Identifier: Apache-2.0
//
// usage: node test/trace/capture.mjs [NAME...]      (in the top folder)
//
// Writes test/trace/NAME.trace; nothing named: all that are listed at the end.
// Needs what packages.txt lists for tests, a quiet machine, and 12 s a trace.
// test/unit/intake_capture_test.c replays them through the intake.
//
// FORMAT  Lines of text up to an empty one, then records to the end.
//   tapeop-trace 1
//   sender: what it was, with versions
//   how: what was done
//   sound: beeps | speech        beeps: 100 ms of 1 kHz each second
//   wall_us: N                   from the first packet to the end of the capture
//   (empty line)
//   record: u32 microseconds since the packet before (the first: 0),
//           u16 bytes, the datagram.  Big endian.
import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import dgram from 'node:dgram';
import fs from 'node:fs';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';

import {startPublisher} from '../aid/browser.mjs';
import {startJanus} from '../aid/janus.mjs';
import {ffmpegSend, gstSend, tool} from '../aid/sound.mjs';
import {tempDir, until} from '../aid/tapeop.mjs';

const SECONDS = 12;
const here = path.dirname(new URL(import.meta.url).pathname);
const first = (name, args) => execFileSync(name, args, {encoding: 'utf8'}).split('\n')[0];

/** A UDP port that keeps what comes. */
async function openSink(t) {
  const socket = dgram.createSocket({type: 'udp4', recvBufferSize: 1 << 20});
  const sink = {records: []};
  socket.on('message', (bytes) =>
    sink.records.push({at_us: process.hrtime.bigint() / 1000n, bytes}));
  await new Promise((done) => socket.bind(0, '127.0.0.1', done));
  sink.port = socket.address().port;
  sink.close = () => {
    sink.end_us = process.hrtime.bigint() / 1000n;
    socket.close();
    sink.close = () => {};
  };
  t.after(() => sink.close());
  return sink;
}

function traceOf(sink, facts) {
  const [head] = sink.records;
  const lines = Object.entries({...facts, wall_us: sink.end_us - head.at_us})
    .map(([key, value]) => `${key}: ${value}\n`);
  let before = head.at_us;
  const parts = [Buffer.from(`tapeop-trace 1\n${lines.join('')}\n`)];
  for (const {at_us, bytes} of sink.records) {
    const record = Buffer.alloc(6);
    record.writeUInt32BE(Number(at_us - before));
    record.writeUInt16BE(bytes.length, 4);
    parts.push(record, bytes);
    before = at_us;
  }
  return Buffer.concat(parts);
}

/** How late packets were at worst, by their own clock: a busy machine. */
function worstJitter(sink) {
  const late = sink.records.map(({at_us, bytes}) =>
    Number(at_us) / 1000 - bytes.readUInt32BE(4) / 48);
  return Math.max(...late.slice(1).map((v, i) => v - late[i]));
}

/** 100 ms of 1 kHz each second, from 0.5 s on. */
async function beepsWav(t, seconds) {
  const file = path.join(tempDir(t), 'beeps.wav');
  await tool('ffmpeg', ['-nostdin', '-v', 'error', '-f', 'lavfi', '-i',
    `aevalsrc='0.4*sin(2*PI*1000*t)*between(mod(t,1),0.5,0.6)':s=48000:d=${seconds}`, file]);
  return file;
}

async function speechWav(t) {
  const file = path.join(tempDir(t), 'speech.wav');
  await tool('ffmpeg', ['-nostdin', '-v', 'error', '-i', 'assets/demo/alice.opus', '-ar',
    '48000', file]);
  return file;
}

const ffmpeg = (...options) => async (t, sink) => {
  const s = ffmpegSend(t, ['-i', await beepsWav(t, SECONDS)], sink.port,
    ['-b:a', '24k', '-payload_type', '111', ...options]);
  assert.equal((await s.done).code, 0, s.text);
  return {sender: first('ffmpeg', ['-version']).replace(/ Copyright.*/, ''),
    how: `libopus ${options.join(' ')}`, sound: 'beeps'};
};

const gstreamer = (opusenc, pay) => async (t, sink) => {
  const s = gstSend(t, `filesrc location=${await beepsWav(t, SECONDS)} ! wavparse`, sink.port,
    `opusenc ${opusenc}`, `pt=111 ${pay}`);
  assert.equal((await s.done).code, 0, s.text);
  return {sender: first('gst-launch-1.0', ['--version']).replace('gst-launch-1.0 version', 'GStreamer'),
    how: `opusenc ${opusenc} ! rtpopuspay ${pay}`, sound: 'beeps'};
};

async function audiobridge(t, sink) {
  const janus = await startJanus(t, ['audiobridge']);
  const bridge = await janus.session.attach('janus.plugin.audiobridge');
  await bridge.ask({request: 'create', room: 1, sampling_rate: 48000,
    allow_rtp_participants: true, default_bitrate: 24000});
  const {data} = await bridge.ask({request: 'join', room: 1, rtp: {payload_type: 111}});
  const s = ffmpegSend(t, ['-i', await beepsWav(t, SECONDS)], data.rtp.port,
    ['-payload_type', '111']);
  const {data: {stream_id}} = await bridge.ask({request: 'rtp_forward', room: 1,
    host: '127.0.0.1', port: sink.port, ptype: 111, always_on: true});
  assert.equal((await s.done).code, 0, s.text);
  await bridge.ask({request: 'stop_rtp_forward', room: 1, stream_id});
  return {sender: `Janus 1.1.2 AudioBridge`, how: 'rtp_forward, always_on, one RTP participant',
    sound: 'beeps'};
}

/** Wait until the way is settled, and it is between two beeps. */
async function settle(browser) {
  await sleep(1000);
  const ms = Date.now() - await browser.opened();
  await sleep(((850 - ms) % 1000 + 1000) % 1000);
}

/** A browser in a VideoRoom, forwarded; `act(browser)` is what its user does. */
const videoroom = (how, act, {dtx = false, speech = false} = {}) => async (t, sink) => {
  const wav = speech ? await speechWav(t) : await beepsWav(t, 30);
  const [janus, browser] = await Promise.all([startJanus(t, ['videoroom']),
    startPublisher(t, wav)]);
  const control = await janus.session.attach('janus.plugin.videoroom');
  await control.ask({request: 'create', room: 1});
  const id = await browser.publish({url: janus.url, room: 1, dtx});
  await settle(browser);
  const {data: {forwarders: [{stream_id}]}} = await control.ask({request: 'rtp_forward', room: 1,
    publisher_id: id, host: '127.0.0.1', streams: [{mid: '0', port: sink.port}]});
  await until('it comes in', () => sink.records.length);
  await act(browser);
  await control.ask({request: 'stop_rtp_forward', room: 1, publisher_id: id, stream_id});
  return {sender: `Chromium ${browser.version}, Janus 1.1.2 VideoRoom`,
    how: `${how}${dtx ? ', usedtx=1' : ''}`, sound: speech ? 'speech' : 'beeps'};
};

/** A browser through NoSIP, which knows RED. */
const nosip = (how, act, {dtx = false, speech = false} = {}) => async (t, sink) => {
  const wav = speech ? await speechWav(t) : await beepsWav(t, 30);
  const [janus, browser] = await Promise.all([startJanus(t, ['nosip']), startPublisher(t, wav)]);
  await browser.bridge({url: janus.url, port: sink.port, red: true, dtx});
  await until('it comes in', () => sink.records.length);
  await settle(browser);
  sink.records.length = 0;
  await until('it comes in', () => sink.records.length);
  await act(browser);
  sink.close();
  return {sender: `Chromium ${browser.version}, Janus 1.1.2 NoSIP`,
    how: `${how}, red/48000/2 (63) of opus (111)${dtx ? ', usedtx=1' : ''}`,
    sound: speech ? 'speech' : 'beeps'};
};

const talk = () => sleep(SECONDS * 1000);
const muted = async (browser) => {
  await sleep(4000);
  await browser.mute(true);
  await sleep(4000);
  await browser.mute(false);
  await sleep(4000);
};
const held = async (browser) => {
  await sleep(4000);
  await browser.hold(true);
  await sleep(6000);
  await browser.hold(false);
  await sleep(4000);
};

const traces = {
  ffmpeg_20ms: ffmpeg('-frame_duration', '20'),
  ffmpeg_60ms: ffmpeg('-frame_duration', '60'),
  gstreamer_dtx: gstreamer('audio-type=voice dtx=true bitrate-type=vbr bitrate=24000', 'dtx=true'),
  gstreamer_fec: gstreamer('audio-type=voice inband-fec=true packet-loss-percentage=10 bitrate=24000', ''),
  janus_audiobridge: audiobridge,
  chromium_plain: videoroom('speaks', talk),
  chromium_dtx: videoroom('speaks', talk, {dtx: true}),
  chromium_mute: videoroom('track.enabled = false for 4 s', muted),
  chromium_mute_dtx: videoroom('track.enabled = false for 4 s', muted, {dtx: true}),
  chromium_hold: videoroom('replaceTrack(null) for 6 s', held),
  chromium_speech: videoroom('speaks', talk, {speech: true}),
  chromium_red: nosip('speaks', talk),
  chromium_red_dtx: nosip('track.enabled = false for 4 s', muted, {dtx: true}),
};

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(traces);
for (const name of names) {
  assert.ok(traces[name], `${name} is none of: ${Object.keys(traces).join(' ')}`);
  const after = [];
  const t = {after: (fn) => after.unshift(fn)};
  try {
    const sink = await openSink(t);
    const facts = await traces[name](t, sink);
    sink.close();
    const bytes = traceOf(sink, facts);
    fs.writeFileSync(path.join(here, `${name}.trace`), bytes);
    console.log(`${name}: ${sink.records.length} packets, ${bytes.length} bytes, ` +
      `${worstJitter(sink).toFixed(1)} ms late at worst`);
  } finally {
    for (const fn of after)
      await fn();
  }
}
process.exit(0);
