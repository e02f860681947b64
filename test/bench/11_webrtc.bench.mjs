// What WebRTC adds to a recording: joins, packets, memory, without sockets.
// SPDX-License-Identifier: Apache-2.0
//
// usage: node test/bench/11_webrtc.bench.mjs [--quick]
//
// test/bench/webrtc_loop is a port of src/intake with its peers in one process:
// checks, handshakes, then everybody speaks. Each packet of one session comes
// after one of every other, so nothing of a session is in the cache any more.
import {execFileSync} from 'node:child_process';

const quick = process.argv.includes('--quick');
const sizes = quick ? [300] : [300, 2500];

console.log('| sessions | a join | of which the peer | joins a core and second | a packet ' +
  '| of a core, all speaking | a session holds |');
console.log('|---|---|---|---|---|---|---|');
for (const n of sizes) {
  const out = execFileSync('build/release/test/bench/webrtc_loop', [String(n)], {encoding: 'utf8'});
  const of = Object.fromEntries(out.trim().split('\n').map((l) => l.split(' ')));
  const ours_ms = of.join_ms - of.join_peer_ms;
  console.log(`| ${n} | ${of.join_ms} ms | ${of.join_peer_ms} ms | ${(1000 / ours_ms).toFixed(0)} ` +
    `| ${of.packet_us} us | ${(of.packet_us * 50 * n / 1e4).toFixed(0)} % | ${of.session_kib} KiB |`);
}
