// Chromium's audio element plays what was recorded, from the server itself: every
// format, from the beginning, from the middle (Range), to the end.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {test} from 'node:test';

import {noBrowser, startPage} from '../aid/browser.mjs';
import {ffmpegSend} from '../aid/sound.mjs';
import {startServer} from '../aid/tapeop.mjs';

/** In the page: play from `from` (a part of the whole) to the end. */
function play({url, from}) {
  return new Promise((done) => {
    const audio = new Audio();
    const tell = (how) => done({how, error: audio.error?.message ?? null,
      duration_s: audio.duration, at_s: audio.currentTime});
    audio.volume = 0;
    audio.onerror = () => tell('error');
    audio.onended = () => tell('ended');
    audio.onloadedmetadata = () => {
      audio.currentTime = from * audio.duration;
      audio.play().catch((e) => tell(String(e)));
    };
    audio.src = url;
    setTimeout(() => tell('never ended'), 50_000);
  });
}

test('chromium_plays_every_format', {skip: noBrowser}, async (t) => {
  const server = await startServer(t, {recording: {segment: '2s'}});
  const {port} = await server.join('room', 'a');
  const ways = [{}, {sample_rate: 24000}, {sample_rate: 16000}, {format: 'ogg'}];
  const tasks = [];
  for (const way of ways)
    tasks.push(await server.record('room', {mode: 'both', ...way}));
  await ffmpegSend(t, ['-f', 'lavfi', '-i', 'sine=440:duration=5'], port).done;
  const page = await startPage(t);
  await page.goto(server.url);
  for (const [i, task] of tasks.entries()) {
    const segments = await server.finish(task);
    for (const user of ['a', '0']) {
      // the second one begins in the midst of sound
      const s = segments.find((x) => x.user === user && x.seq === 1);
      for (const from of user === 'a' ? [0, 0.7] : [0.7]) {
        const url = `${server.url}/v1/segments/${s.segment_id}/audio`;
        const r = await page.evaluate(play, {url, from});
        const what = `${JSON.stringify(ways[i])} of ${user} from ${from}: ${JSON.stringify(r)}`;
        assert.equal(r.how, 'ended', what);
        assert.equal(r.error, null, what);
        // Chromium counts the pre-skip of an Ogg file (200 ms) to its length;
        // RFC 7845 section 4.3 does not, and neither does ffprobe
        const more = r.duration_s * 1000 - s.duration_ms;
        assert.ok(Math.abs(more) < 60 || (ways[i].format && Math.abs(more - 200) < 60),
          `${what}, ${s.duration_ms} ms`);
      }
    }
  }
  await server.stop();
});
