// test/aid/golden.mjs -- bodies held against test/golden, key by key, type by type.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {readFileSync, readdirSync} from 'node:fs';

const root = new URL('../golden/', import.meta.url);

/** What is the same in every body of an event. */
const fixed = new Set(['CallbackCommand', 'EventGroupId', 'EventType', 'type', 'TrackType']);

function assertShape(got, want, at) {
  const kind = (v) => (v === null ? 'null' : Array.isArray(v) ? 'array' : typeof v);
  assert.equal(kind(got), kind(want), `${at} is ${kind(got)}, wanted is ${kind(want)}`);
  if (kind(want) === 'array') {
    assert.ok(got.length || !want.length, `${at} is empty`);
    got.forEach((v, i) => assertShape(v, want[0], `${at}[${i}]`));
  } else if (kind(want) === 'object') {
    assert.deepEqual(Object.keys(got), Object.keys(want), `keys of ${at}`);
    for (const key of Object.keys(want))
      assertShape(got[key], want[key], `${at}.${key}`);
  } else if (kind(want) === 'number') {
    assert.ok(Number.isInteger(got), `${at} is ${got}`);
  }
  if (fixed.has(at.split('.').at(-1)))
    assert.equal(got, want, at);
}

/** The events that the documents of a dialect show. */
export function goldenEvents(dialect) {
  return readdirSync(new URL(`${dialect}/`, root)).map((name) => name.replace('.json', '')).sort();
}

/** The body (text) is one of this event in this dialect. */
export function assertGolden(dialect, event, text) {
  const want = JSON.parse(readFileSync(new URL(`${dialect}/${event}.json`, root)));
  assertShape(JSON.parse(text), want, `${dialect}.${event}`);
  if (dialect === 'gme')
    assert.match(text, /"TaskID":\d+,/);
}
