// What a list of the console reads while it is read anew, searched and paged.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {test} from 'node:test';

import {paged} from '../../console/app/pages/paged.mjs';
import {until} from '../aid/tapeop.mjs';

/** A server with rows 1..n, whose answers are held back until `answer()`. */
function startList({n = 2500} = {}) {
  const held = [], shown = [], faults = [], asked = [];
  const stop = new AbortController();
  const all = {rows: Array.from({length: n}, (_, i) => i + 1)};
  const list = paged({signal: stop.signal,
    read: (page) => new Promise((resolve, reject) => {
      asked.push(page);
      const at = page.after ?? 0;
      const rows = all.rows.slice(at, at + page.limit);
      const next = at + page.limit < all.rows.length ? at + page.limit : null;
      held.push((fault) => (fault ? reject(fault) : resolve({rows, next})));
    }),
    show: (rows, next) => shown.push([rows.length, !!next]),
    fail: (fault) => faults.push(fault.message)});
  const settle = () => new Promise((done) => setImmediate(done));
  /** The next answer comes; or a fault. */
  const answer = async (fault) => {
    await settle();
    held.shift()(fault);
    await settle();
  };
  return {list, all, shown, faults, asked, held, stop, answer, settle};
}

test('more_is_not_lost_while_it_is_read_anew', async () => {
  const s = startList();
  s.list.refresh();
  await s.answer();
  s.list.refresh();
  s.list.more();
  s.list.refresh();
  s.list.more();
  for (let i = 0; i < 4; i++)
    await s.answer();
  assert.deepEqual(s.shown, [[50, true], [50, true], [100, true], [100, true], [150, true]]);
  assert.equal(s.held.length, 0);
});

test('what_is_listed_stays_listed_beyond_what_the_api_gives_at_once', async () => {
  const s = startList();
  s.list.refresh();
  await s.answer();
  for (let i = 0; i < 49; i++) {
    s.list.more();
    await s.answer();
  }
  assert.deepEqual(s.shown.at(-1), [2500, false]);
  s.list.more();
  await s.settle();
  assert.equal(s.held.length, 0, 'behind the last is nothing');
  s.asked.length = 0;
  s.list.refresh();
  for (let i = 0; i < 3; i++)
    await s.answer();
  assert.deepEqual(s.asked.map((p) => [p.limit, p.after]),
    [[1000, undefined], [1000, 1000], [500, 2000]]);
  assert.deepEqual(s.shown.at(-1), [2500, false]);
});

test('another_search_begins_with_a_page_and_the_one_before_is_not_shown', async () => {
  const s = startList();
  s.list.refresh();
  await s.answer();
  s.list.more();
  await s.answer();
  s.list.refresh();
  await s.settle();
  s.list.restart();
  s.list.more(); // of a list that is not there yet
  s.all.rows = [1, 2, 3];
  await until('it is asked, and waits for nobody', () => s.held.length === 2);
  s.held.reverse();
  await s.answer();
  await s.answer();
  assert.deepEqual(s.shown, [[50, true], [100, true], [3, false]]);
  assert.equal(s.held.length, 0);
});

test('however_much_happens_is_read_once', async () => {
  const s = startList();
  s.list.refresh();
  await s.answer();
  for (let i = 0; i < 10; i++)
    s.list.soon();
  await until('it is read anew', () => s.asked.length === 2);
  await s.answer();
  s.list.soon();
  s.list.end();
  s.list.restart(); // is soon, too
  await until('it is read anew', () => s.asked.length === 3);
  s.list.end();
});

test('a_fault_is_told_and_the_next_read_goes_on', async () => {
  const s = startList();
  s.list.refresh();
  await s.answer();
  s.list.more();
  await s.answer(new Error('away'));
  s.list.more();
  await s.answer();
  assert.deepEqual([s.shown, s.faults], [[[50, true], [100, true]], ['away']]);
});

test('a_page_that_was_left_reads_and_tells_nothing_more', async () => {
  const s = startList();
  s.list.refresh();
  s.list.more();
  await s.settle();
  s.stop.abort();
  await s.answer(new Error('aborted'));
  assert.deepEqual([s.shown, s.faults, s.held], [[], [], []]);
});
