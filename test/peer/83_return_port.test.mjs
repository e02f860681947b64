// A sender nobody can answer: its port is closed whenever it does not send, so
// whatever a server sent there would come back as ICMP "port unreachable".
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import {setTimeout as sleep} from 'node:timers/promises';

import {testInRealTime} from '../aid/calm.mjs';
import {RATE, decode, likeness, oggPackets, rtpPacket} from '../aid/sound.mjs';
import {startServer, until} from '../aid/tapeop.mjs';

const SPEECH = 'assets/demo/alice.opus';
const packets = oggPackets(SPEECH);
const PACKETS = 150;

/** What asks for an answer, if anything does. */
const sender_report = Buffer.concat([Buffer.from('80c8000600005eed', 'hex'), Buffer.alloc(20)]);

/** Open a socket on the port (0: any), send, close it.  Gives the port. */
async function sendOnce(from, to, ...datagrams) {
  const socket = await until('the port is free', () => new Promise((done, fail) => {
    const s = dgram.createSocket('udp4');
    s.once('error', fail);
    s.bind(from, '127.0.0.1', () => done(s));
  }));
  const {port} = socket.address();
  for (const bytes of datagrams)
    await new Promise((done) => socket.send(bytes, to, '127.0.0.1', done));
  await new Promise((done) => socket.close(done));
  return port;
}

testInRealTime('a_sender_whose_port_is_closed_is_recorded_and_may_come_back', async (t) => {
  const server = await startServer(t, {recording: {mic_off_after: '1s'}});
  const {port, input_id} = await server.join('room', 'me');
  const task = await server.record('room');
  let own = 0;
  const speak = async (first) => {
    const began = Date.now();
    for (let n = 0; n < PACKETS; n++) {
      await sleep(Math.max(0, began + 20 * n - Date.now()));
      const more = n % 25 === 0 ? [sender_report] : [];
      own = await sendOnce(own, port, rtpPacket(packets[n], first + n), ...more);
    }
    return Date.now() - began;
  };
  const closed = async (n) => {
    const all = await until(`${n} files are closed`, async () => {
      const now = await server.segments(task);
      return now.length >= n && now.every((s) => s.state === 'closed') && now;
    });
    assert.equal(all.length, n);
  };

  const took = [await speak(0)];
  await closed(1);
  assert.equal((await server.task(task)).state, 'running');
  took.push(await speak(PACKETS));
  await closed(2);
  const {sender, packets: taken, lost} = await until('all is counted', async () => {
    const input = await server.ask(200, 'GET', `/v1/inputs/${input_id}`);
    return input.packets === 2 * PACKETS && input;
  });
  assert.deepEqual([taken, lost], [2 * PACKETS, 0]);
  assert.ok(JSON.stringify(sender).includes(String(own)), `${JSON.stringify(sender)}, ${own}`);

  const said = (await decode(SPEECH)).subarray(0, PACKETS * RATE / 50);
  const segments = await server.finish(task);
  assert.equal(segments.length, 2);
  for (const [i, s] of segments.entries()) {
    const pcm = await decode(server.file(s));
    const {share} = likeness(said, pcm);
    assert.ok(share > 0.9, `${share} alike`);
    const long = pcm.length * 1000 / RATE;
    assert.ok(long > 20 * PACKETS - 100 && long < took[i] + 300, `${long} ms of ${took[i]}`);
  }
  const m = await server.metrics();
  assert.equal(m.rtp_stranger + m.rtp_bad + m.rtp_bad_opus, 0);
  assert.equal(m.rtcp_packets, 2 * Math.ceil(PACKETS / 25));
  await server.stop();
});
