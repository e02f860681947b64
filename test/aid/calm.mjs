// test/aid/calm.mjs -- what only a machine that keeps up can show.
// SPDX-License-Identifier: Apache-2.0
import {test} from 'node:test';

async function part(name, run) {
  try {
    return await run();
  } catch (e) {
    e.message = `${name}: ${e.message}`;
    throw e;
  }
}

/** Others mix and speak in real time: when the machine has stood still meanwhile,
 *  that is heard, and proves nothing.  Then try again.  t.watch(ms): another who
 *  knows for how long it did; t.part(name, run): says so where that fails. */
export async function inRealTime(t, once, tries = 5) {
  for (let left = tries - 1;; left--) {
    const after = [], watched = [];
    let [worst, before] = [0, performance.now()];
    const timer = setInterval(() => {
      const now = performance.now();
      worst = Math.max(worst, now - before - 20);
      before = now;
    }, 20);
    try {
      return await once({
        after: (fn) => after.unshift(fn),
        watch: (ms) => watched.push(ms),
        part,
        diagnostic: (text) => t.diagnostic(text),
      });
    } catch (e) {
      worst = Math.max(worst, ...watched.map((ms) => ms()));
      if (worst < 100 || left === 0)
        throw e;
      t.diagnostic(`once more, the machine stood still for ${Math.round(worst)} ms: ${e.message}`);
    } finally {
      clearInterval(timer);
      for (const fn of after)
        await fn();
    }
  }
}

/** A test that is such a one. */
export const testInRealTime = (name, run) => test(name, (t) => inRealTime(t, run));
