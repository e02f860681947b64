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
  child.stderr.on('data', (d) => (s.text += d));
  s.done = new Promise((done) => child.once('close', (code, signal) => {
    s.ended = true;
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
    'rtpopuspay', ...pay.split(' ').filter(Boolean), '!', 'udpsink', 'host=127.0.0.1', `port=${port}`, 'sync=true']);
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
 * Send Opus packets of 20 ms over and over until .stop(), paced by the clock;
 * what a dead server's port answers is ignored.
 */
export function sendPackets(t, packets, port, {type = 111, ssrc = 0x5eed} = {}) {
  const socket = dgram.createSocket('udp4');
  const began = process.hrtime.bigint();
  let sent = 0;
  socket.on('error', () => {});
  const timer = setInterval(() => {
    const due = Number((process.hrtime.bigint() - began) / 20_000_000n);
    for (; sent <= due; sent++) {
      const head = Buffer.alloc(12);
      head[0] = 0x80;
      head[1] = type;
      head.writeUInt16BE(sent & 0xffff, 2);
      head.writeUInt32BE((sent * 960) >>> 0, 4);
      head.writeUInt32BE(ssrc, 8);
      socket.send(Buffer.concat([head, packets[sent % packets.length]]), port,
        '127.0.0.1', () => {});
    }
  }, 10);
  const s = {
    sent: () => sent,
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
