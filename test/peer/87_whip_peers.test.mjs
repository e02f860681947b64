// test/peer/87_whip_peers.test.mjs -- WebRTC stacks that are not Chromium come by WHIP:
// werift (TypeScript), GStreamer's webrtcbin.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {spawn, spawnSync} from 'node:child_process';
import {describe, test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';

import {inRealTime} from '../aid/calm.mjs';
import {oggPackets, rtpPacket, tool} from '../aid/sound.mjs';
import {OUTER, tempDir, until} from '../aid/tapeop.mjs';
import {ticket} from '../aid/ticket.mjs';
import {checkTruth} from '../aid/truth.mjs';
import {ROOM, checkOnClock, startWhipServer, ticksFile, ticksOf} from '../aid/whip.mjs';

const werift = await import('werift').catch(() => null);
const noWerift = werift ? false : 'werift is not installed (tools/setup test)';
const PYTHON = '/usr/bin/python3';
const gst = spawnSync(PYTHON, ['-c', 'import gi; gi.require_version("GstWebRTC", "1.0"); ' +
  'from gi.repository import GstWebRTC']);
const nice = spawnSync('gst-inspect-1.0', ['nicesrc']);
const noGst = gst.status === 0 && nice.status === 0 ? !OUTER && 'no network interface' :
  'python3-gst-1.0, gir1.2-gst-plugins-bad-1.0 and gstreamer1.0-nice are not installed (packages.txt)';

/** Who gives no sign of life for 30 s is given up; libnice checks no more once it is
 *  connected, so its packets have to be one. */
const PAST_CONSENT_MS = 36_000;

const startServer = (t, media) => startWhipServer(t, {recording: {mic_off: 'split'}, media});

/** Record whoever sends ticks for so long: as many as there were, on one clock. */
async function record(server, leave, for_ms = 5000) {
  await server.hears('alice');
  const task = await server.record(ROOM);
  const began = Date.now();
  await sleep(for_ms);
  const long = Date.now() - began;
  await leave();
  await until('the room is left', async () => (await server.inputs()).length === 0);
  await server.ask(200, 'DELETE', `/v1/tasks/${task}`);
  const {segments} = await checkTruth(server, server.endpoint, task);
  assert.equal(segments.length, 1);
  assert.ok(segments[0].duration_ms > long - 500 && segments[0].duration_ms < long + 1500,
    `${segments[0].duration_ms} ms of ${long} ms`);
  const ticks = await ticksOf(server, segments);
  checkOnClock(ticks);
  assert.ok(ticks.length >= Math.floor(long / 1000) - 1, JSON.stringify(ticks));
  const m = await server.metrics();
  assert.equal(m.rtp_bad + m.rtp_bad_opus + m.rtp_stranger, 0);
}

/** Opus packets of 20 ms of the ticks. */
async function tickPackets(t) {
  const file = `${tempDir(t)}/ticks.opus`;
  await tool('ffmpeg', ['-nostdin', '-v', 'error', '-i', await ticksFile(t), '-c:a', 'libopus',
    '-b:a', '32k', '-frame_duration', '20', file]);
  return oggPackets(file);
}

async function byWerift(t) {
  const {MediaStreamTrack, RTCPeerConnection, RTCRtpCodecParameters} = werift;
  const [server, packets] = await Promise.all([startServer(t), tickPackets(t)]);
  const pc = new RTCPeerConnection({codecs: {audio: [new RTCRtpCodecParameters({
    mimeType: 'audio/opus', clockRate: 48000, channels: 2, payloadType: 96})]}});
  const track = new MediaStreamTrack({kind: 'audio'});
  pc.addTransceiver(track, {direction: 'sendonly'});
  await pc.setLocalDescription(await pc.createOffer());
  const answer = await fetch(server.whip('alice'), {method: 'POST', body: pc.localDescription.sdp,
    headers: {'content-type': 'application/sdp', authorization: `Bearer ${ticket({user: 'alice'})}`}});
  const sdp = await answer.text();
  assert.equal(answer.status, 201, sdp);
  await pc.setRemoteDescription({type: 'answer', sdp});
  await until('werift is connected', () => pc.connectionState === 'connected');

  const began = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    for (const due = (performance.now() - began) / 20; sent <= due; sent++)
      track.writeRtp(rtpPacket(packets[sent % packets.length], sent, {type: 96}));
  }, 10);
  t.after(() => {
    clearInterval(timer);
    return pc.close();
  });
  await record(server, async () => {
    const gone = await fetch(new URL(answer.headers.get('location'), server.url), {method: 'DELETE'});
    assert.equal(gone.status, 200);
  });
}

async function byGStreamer(t) {
  const [server, wav] = await Promise.all([
    // libnice has no candidate of 127.0.0.1, and pairs none with it
    startServer(t, {address: OUTER, bind: '0.0.0.0'}), ticksFile(t)]);
  const child = spawn(PYTHON, ['test/aid/whip_gst.py', server.whip('alice'),
    ticket({user: 'alice'}), wav]);
  let [out, text] = ['', ''];
  child.stdout.on('data', (d) => (out += d));
  child.stderr.on('data', (d) => (text += d));
  const ended = new Promise((done) => child.once('close', done));
  t.after(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  await until('webrtcbin is connected', () => {
    assert.equal(child.exitCode, null, text);
    return /sending/.test(out);
  });
  await record(server, async () => {
    child.stdin.end();
    await until('it has left', () => /left 200/.test(out));
  }, PAST_CONSENT_MS);
}

describe('whip_peers', () => {
  test('werift_is_recorded', {skip: noWerift}, (t) => inRealTime(t, byWerift));
  test('gstreamer_webrtcbin_is_recorded', {skip: noGst}, (t) => inRealTime(t, byGStreamer));
});
