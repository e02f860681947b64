// test/aid/whip.mjs -- what tests of WHIP share: a server, a relay, beeps on the clock.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import net from 'node:net';
import path from 'node:path';

import {startEndpoint} from './endpoint.mjs';
import {RATE, decode, toneEnvelope, tool} from './sound.mjs';
import {APP, rtpRange, startServer, tempDir, until} from './tapeop.mjs';

export const ROOM = 'lobby';

/** Ports that stay the same over restarts, below those that the kernel gives to
 *  whoever asks for any: one for UDP and TCP, and "first-last" for inputs. */
async function freePorts() {
  for (let i = 0; i < 20; i++) {
    const [port, last] = (await rtpRange()).split('-').map(Number);
    const probe = net.createServer();
    const free = await new Promise((done) => {
      probe.once('error', () => done(false));
      probe.listen(port, '127.0.0.1', () => done(true));
    });
    if (free) {
      await new Promise((done) => probe.close(done));
      return {port, range: `${port + 1}-${last}`};
    }
  }
  throw new Error('no free port');
}

/**
 * A server with an endpoint of gme, and ports that are known beforehand:
 * .udp_port of WebRTC, .whip(user) the URL to POST to; .endpoint.
 */
export async function startWhipServer(t, {media, ...options} = {}) {
  const endpoint = await startEndpoint(t);
  const {port: udp_port, range} = await freePorts();
  const server = await startServer(t, {loops: 1, range, listen: `127.0.0.1:${udp_port}`,
    callbacks: [{name: 'backend', url: endpoint.url, dialect: 'gme'}],
    media: {udp_port, ...media}, ...options});
  server.endpoint = endpoint;
  server.udp_port = udp_port;
  server.whip = (user, room = ROOM) => `${server.url}/whip/${APP}/${room}/${user}`;
  /** The inputs of the room. */
  server.inputs = async (room = ROOM) => (await server.ask(200, 'GET', '/v1/rooms')).rooms
    .find((r) => r.room === room)?.inputs ?? [];
  /** Wait until this user is connected and heard: the input. */
  server.hears = (user, room) => until(`${user} sends`, async () => {
    const input = (await server.inputs(room)).find((i) => i.user === user);
    return input?.session === 'connected' && input.packets > 0 && input;
  });
  return server;
}

/** How far RTP time stamps and arrival go apart, within what is sent in one go: a
 *  sender that the machine has kept waiting is late from then on. */
function startWander() {
  const of = new Map(); // SSRC -> {at, first, min, max}
  let most = 0;
  return {
    take(packet, at) {
      const late = at - packet.readUInt32BE(4) / 48;
      const ssrc = packet.readUInt32BE(8);
      let s = of.get(ssrc);
      if (!s || at - s.at > 1000)
        of.set(ssrc, s = {min: late, max: late});
      Object.assign(s, {at, min: Math.min(s.min, late), max: Math.max(s.max, late)});
      most = Math.max(most, s.max - s.min);
    },
    ms: () => Math.round(most),
  };
}

/**
 * A relay between a WebRTC peer and the server, both ways.  `plan(n, packet)`:
 * does the n-th packet of media of the peer get through?
 * {port, media, dropped, trace, wandered(), move(), cut}: trace is {at, ts} of each
 * packet of media that got through, `at` in Unix ms; wandered() is how far [ms] the
 * peer's clock and ours went apart; move() gives the peer another address, as a NAT
 * or another network does; while .cut is true nothing gets through.
 */
export async function startWebRtcRelay(t, to, plan = () => true) {
  const near = dgram.createSocket('udp4');
  const wander = startWander();
  const relay = {media: 0, dropped: 0, moves: 0, trace: [], cut: false, wandered: wander.ms};
  let far, peer;
  const open = async () => {
    const socket = dgram.createSocket('udp4');
    socket.on('error', () => {});
    socket.on('message', (packet) => peer && !relay.cut &&
      near.send(packet, peer.port, peer.address));
    await new Promise((done) => socket.bind(0, '127.0.0.1', done));
    return socket;
  };
  near.on('error', () => {});
  near.on('message', (packet, from) => {
    peer = from;
    if (relay.cut)
      return;
    // RFC 7983: 128 to 191 is RTP or RTCP; RFC 5761: types 64 to 95 are RTCP
    const isMedia = packet[0] >= 128 && packet[0] < 192 && !((packet[1] & 127) >= 64 &&
      (packet[1] & 127) <= 95);
    if (isMedia)
      wander.take(packet, performance.now());
    if (isMedia && !plan(relay.media++, packet)) {
      relay.dropped++;
      return;
    }
    if (isMedia)
      relay.trace.push({at: Date.now(), ts: packet.readUInt32BE(4)});
    far.send(packet, to, '127.0.0.1', () => {});
  });
  far = await open();
  await new Promise((done) => near.bind(0, '127.0.0.1', done));
  relay.port = near.address().port;
  relay.move = async () => {
    const old = far;
    far = await open();
    relay.moves++;
    old.close();
  };
  t.watch?.(relay.wandered);
  t.after(() => {
    near.close();
    far.close();
  });
  return relay;
}

/** A minute of 100 ms of 1 kHz each second, from 0.5 s on, and the noise of a room
 *  all the time: nobody's microphone is at -127 dB while it is on.  Louder than 25 dB
 *  below the ticks it is sound for Opus, and not left out by DTX. */
export async function ticksFile(t, noise = 0.02) {
  const file = path.join(tempDir(t), 'ticks.wav');
  await tool('ffmpeg', ['-nostdin', '-v', 'error', '-f', 'lavfi', '-i',
    `aevalsrc='0.4*sin(2*PI*1000*t)*between(mod(t,1),0.5,0.6)+${noise}*(random(0)-0.5)':s=${RATE}:d=60`, file]);
  return file;
}

/** When [Unix ms] the ticks of these segments begin. */
export async function ticksOf(server, segments) {
  const found = [];
  for (const s of segments) {
    const levels = toneEnvelope(await decode(server.file(s)), 1000);
    levels.forEach((v, i) => {
      if (v > 0.1 && !(levels[i - 1] > 0.1))
        found.push({at: s.start_ms + 10 * i, in_file: 10 * i, seq: s.seq});
    });
  }
  return found;
}

/** Ticks lie on one clock, whatever was between them, as far as the sender's did. */
export function checkOnClock(ticks, wandered_ms = 0) {
  assert.ok(ticks.length > 1, 'there are ticks');
  for (const tick of ticks) {
    const off = ((tick.at - ticks[0].at + 500) % 1000 + 1000) % 1000 - 500;
    assert.ok(Math.abs(off) <= 60 + wandered_ms,
      `a tick is ${off} ms off, the sender ${wandered_ms}: ${JSON.stringify(ticks)}`);
  }
}

/** How long [ms] the longest pause between ticks is. */
export const longestPause = (ticks) =>
  Math.max(...ticks.slice(1).map((tick, i) => tick.at - ticks[i].at));
