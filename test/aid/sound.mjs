// test/aid/sound.mjs -- send sound as RTP/Opus, and listen to what was recorded.
// SPDX-License-Identifier: Apache-2.0
//
// The senders and the decoder are ffmpeg and GStreamer, not our code;
// `sendPackets` is for tests that kill what they send to.
import assert from 'node:assert/strict';
import {execFile, spawn} from 'node:child_process';
import dgram from 'node:dgram';
import fs from 'node:fs';
import {promisify} from 'node:util';

const exec = promisify(execFile);
export const RATE = 48000;

/** Run to its end; gives stdout as a Buffer. */
export async function tool(name, args, options = {}) {
  const {stdout} = await exec(name, args,
    {encoding: 'buffer', maxBuffer: 1 << 30, ...options});
  return stdout;
}

/** Start a sender in the background; .done resolves at its end. */
export function sender(t, name, args) {
  const child = spawn(name, args, {stdio: ['ignore', 'ignore', 'pipe']});
  const s = {child, text: '', ended: false};
  const began = Date.now();
  child.stderr.on('data', (d) => (s.text += d));
  s.done = new Promise((done) => child.once('close', (code, signal) => {
    s.ended = true;
    s.wall_ms = Date.now() - began;
    done({code, signal});
  }));
  t.after(async () => {
    if (!s.ended)
      child.kill('SIGKILL');
    await s.done;
  });
  return s;
}

/** ffmpeg sends a source in real time; `input` are its input options. */
export function ffmpegSend(t, input, port, output = []) {
  return sender(t, 'ffmpeg', ['-nostdin', '-hide_banner', '-loglevel', 'error',
    '-re', ...input, '-c:a', 'libopus', ...output, '-f', 'rtp',
    `rtp://127.0.0.1:${port}`]);
}

/** GStreamer sends; `source` and `opusenc` are pieces of a pipeline, `pay` are
 *  settings of its payloader. */
export function gstSend(t, source, port, opusenc = 'opusenc', pay = '') {
  return sender(t, 'gst-launch-1.0', ['-q', ...source.split(' '), '!',
    'audioconvert', '!', 'audioresample', '!', ...opusenc.split(' '), '!',
    'rtpopuspay', ...pay.split(' ').filter(Boolean), '!', 'udpsink', 'host=127.0.0.1',
    `port=${port}`, 'sync=true']);
}

/** Decode with ffmpeg: Int16Array of mono 48 kHz frames. */
export async function decode(file) {
  const raw = await tool('ffmpeg', ['-nostdin', '-hide_banner', '-loglevel',
    'error', '-i', file, '-f', 's16le', '-ac', '1', '-ar', String(RATE), '-']);
  return new Int16Array(raw.buffer, raw.byteOffset, raw.byteLength >> 1);
}

/** Root mean square of pcm[from..to) as a part of full scale. */
export function level(pcm, from = 0, to = pcm.length) {
  let sum = 0;
  for (let i = from; i < to; i++)
    sum += (pcm[i] / 32768) ** 2;
  return Math.sqrt(sum / Math.max(1, to - from));
}

/** First frame of the first 5 ms whose level is over `threshold`, or -1. */
export function onset(pcm, threshold = 0.02) {
  const step = RATE / 200;
  for (let at = 0; at + step <= pcm.length; at += step) {
    if (level(pcm, at, at + step) > threshold)
      return at;
  }
  return -1;
}

/** The loudest of these tones [Hz] in pcm[from..to), and how much of the
 *  power there is its (Goertzel). */
export function tone(pcm, candidates_hz, from = 0, to = pcm.length) {
  const n = to - from;
  let best = {hz: 0, share: 0};
  let power = 0;
  for (let i = from; i < to; i++)
    power += (pcm[i] / 32768) ** 2;
  for (const hz of candidates_hz) {
    const c = 2 * Math.cos(2 * Math.PI * hz / RATE);
    let a = 0, b = 0;
    for (let i = from; i < to; i++)
      [a, b] = [pcm[i] / 32768 + c * a - b, a];
    const share = 2 * (a * a + b * b - c * a * b) / n / Math.max(power, 1e-12);
    if (share > best.share)
      best = {hz, share};
  }
  return best;
}

/** The amplitude of a tone (full scale is 1) in each 10 ms; hz: a multiple of
 *  100, so that other such tones do not disturb. */
export function toneEnvelope(pcm, hz) {
  const step = RATE / 100;
  const c = 2 * Math.cos(2 * Math.PI * hz / RATE);
  return Array.from({length: Math.floor(pcm.length / step)}, (_, k) => {
    let a = 0, b = 0;
    for (let i = k * step; i < (k + 1) * step; i++)
      [a, b] = [pcm[i] / 32768 + c * a - b, a];
    return 2 * Math.sqrt(Math.max(0, a * a + b * b - c * a * b)) / step;
  });
}

/** The level of each 10 ms. */
export function envelope(pcm) {
  const step = RATE / 100;
  return Array.from({length: Math.floor(pcm.length / step)},
    (_, i) => level(pcm, i * step, (i + 1) * step));
}

/** How alike two envelopes are where `b` comes `lag` steps later: their
 *  normalised cross-correlation, means taken off. */
function alikeAt(a, b, lag) {
  const from = Math.max(0, -lag);
  const n = Math.min(a.length - from, b.length - from - lag);
  let [ma, mb] = [0, 0];
  for (let i = from; i < from + n; i++)
    [ma, mb] = [ma + a[i] / n, mb + b[i + lag] / n];
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = from; i < from + n; i++) {
    const [x, y] = [a[i] - ma, b[i + lag] - mb];
    [ab, aa, bb] = [ab + x * y, aa + x * x, bb + y * y];
  }
  return ab / Math.sqrt(aa * bb + 1e-12);
}

/** The best place of sound `b` on sound `a`: {share, lag_ms}. */
export function likeness(a, b, lag_max_ms = 300) {
  const [x, y] = [envelope(a), envelope(b)];
  let best = {share: -1, lag_ms: 0};
  for (let lag = -lag_max_ms / 10; lag <= lag_max_ms / 10; lag++) {
    const share = alikeAt(x, y, lag);
    if (share > best.share)
      best = {share, lag_ms: 10 * lag};
  }
  return best;
}

/** The packets of an Ogg Opus file, without its two headers. */
export function oggPackets(file) {
  const bytes = fs.readFileSync(file);
  const packets = [];
  let part = [];
  for (let at = 0; at < bytes.length;) {
    assert.equal(bytes.toString('latin1', at, at + 4), 'OggS');
    const lacing = bytes.subarray(at + 27, at + 27 + bytes[at + 26]);
    let from = at + 27 + lacing.length;
    for (const len of lacing) {
      part.push(bytes.subarray(from, from + len));
      from += len;
      if (len < 255) {
        packets.push(Buffer.concat(part));
        part = [];
      }
    }
    at = from;
  }
  return packets.slice(2);
}

/**
 * A network that does what `plan(n, packet)` says with the n-th packet: a list
 * of waits [ms], one a copy; [] loses it, [0, 0] doubles it, [60] delays it.
 * Gives {port, sent, dropped, doubled, delayed}.
 */
export async function startRelay(t, to, plan) {
  const socket = dgram.createSocket('udp4');
  const relay = {sent: 0, dropped: 0, doubled: 0, delayed: 0};
  const timers = new Set();
  const pass = (packet) => socket.send(packet, to, '127.0.0.1', () => {});
  socket.on('error', () => {});
  socket.on('message', (packet) => {
    const waits = plan(relay.sent++, packet);
    relay.dropped += waits.length === 0;
    relay.doubled += Math.max(0, waits.length - 1);
    for (const ms of waits) {
      if (ms === 0) {
        pass(packet);
        continue;
      }
      relay.delayed++;
      const timer = setTimeout(() => {
        timers.delete(timer);
        pass(packet);
      }, ms);
      timers.add(timer);
    }
  });
  await new Promise((done) => socket.bind(0, '127.0.0.1', done));
  relay.port = socket.address().port;
  t.after(() => {
    timers.forEach(clearTimeout);
    socket.close();
  });
  return relay;
}

/** An RTP packet; `n` counts its place: 20 ms each. */
export function rtpPacket(payload, n, {type = 111, ssrc = 0x5eed} = {}) {
  const head = Buffer.alloc(12);
  head[0] = 0x80;
  head[1] = type;
  head.writeUInt16BE(n & 0xffff, 2);
  head.writeUInt32BE((n * 960) >>> 0, 4);
  head.writeUInt32BE(ssrc, 8);
  return Buffer.concat([head, payload]);
}

/**
 * Send Opus packets of 20 ms over and over until .stop(), paced by the clock;
 * what a dead server's port answers is ignored.  .reached(n): n are sent;
 *  .send(bytes): something else from the same address.
 */
export function sendPackets(t, packets, port, {type = 111, ssrc = 0x5eed} = {}) {
  const socket = dgram.createSocket('udp4');
  const began = process.hrtime.bigint();
  const waiting = [];
  let sent = 0;
  socket.on('error', () => {});
  const timer = setInterval(() => {
    const due = Number((process.hrtime.bigint() - began) / 20_000_000n);
    for (; sent <= due; sent++)
      socket.send(rtpPacket(packets[sent % packets.length], sent, {type, ssrc}), port,
        '127.0.0.1', () => {});
    waiting.filter((w) => w.n <= sent).forEach((w) => w.done());
  }, 10);
  const s = {
    began_ms: Date.now(),
    sent: () => sent,
    send: (bytes) => new Promise((done) => socket.send(bytes, port, '127.0.0.1', done)),
    reached: (n) => new Promise((done) => waiting.push({n, done})),
    stop: () => {
      clearInterval(timer);
      if (!s.stopped)
        socket.close();
      s.stopped = true;
    },
  };
  t.after(s.stop);
  return s;
}
