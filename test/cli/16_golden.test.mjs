// test/cli/16_golden.test.mjs -- the body of each event in each dialect is the one of the documents.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {test} from 'node:test';

import {assertGolden, goldenEvents} from '../aid/golden.mjs';
import {command} from '../aid/tapeop.mjs';

const env = {KEY: 'whsec_dGVzdCBzZWNyZXQgb2YgMjQgYnl0ZXMh'};
const print = (t, event, dialect, ...more) => command(t, ['trigger', event, '--dialect', dialect,
  '--to', 'http://127.0.0.1/x', '--key', 'env:KEY', '--print', ...more], {env});
const bodyOf = (out) => out.trimEnd().split('\n').at(-1);

for (const dialect of ['gme', 'live', 'trtc', 'standard']) {
  test(`${dialect}_bodies_are_those_of_the_documents`, async (t) => {
    const events = goldenEvents(dialect);
    assert.ok(events.length >= 3);
    for (const event of events) {
      const {code, out, text} = await print(t, event, dialect);
      assert.equal(code, 0, text);
      assertGolden(dialect, event, bodyOf(out));
    }
  });
}

test('there_is_a_golden_body_for_every_event_that_a_dialect_has', async (t) => {
  // every event there is, as the program says, and not as the folder does
  const {out: help} = await command(t, ['trigger', '--help']);
  const events = /^ +EVENT +([^;]*);/m.exec(help)[1].match(/[a-z_]{3,}/g);
  assert.deepEqual([...events].sort(), goldenEvents('standard'));
  for (const dialect of ['gme', 'live', 'trtc', 'standard']) {
    const missing = [];
    for (const event of events) {
      const {code, text} = await print(t, event, dialect);
      if (code)
        assert.match(text, /this dialect has no word for/);
      else if (event !== 'test' && !goldenEvents(dialect).includes(event))
        missing.push(event);
    }
    assert.deepEqual(missing, [], dialect);
  }
});

test('the_mix_has_the_user_that_each_dialect_gives_it', async (t) => {
  const users = async (event, dialect) => JSON.parse(bodyOf(
    (await print(t, event, dialect, '--user', '0')).out));
  const gme = await users('started', 'gme');
  assert.deepEqual([gme.UserID, gme.RecordMode], ['0', 1]);
  assert.equal((await users('started', 'trtc')).EventInfo.Payload.UserId, '');
  const {FileMessage: [file]} = (await users('files_ready', 'live')).EventInfo.Payload;
  assert.deepEqual([file.UserId, file.MediaId], ['', 'mix']);
  const {data} = await users('uploaded', 'standard');
  assert.deepEqual([data.user, data.mode], ['0', 'mixed']);
});
