// kill -9 at every named place of the code while two people are recorded.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {test} from 'node:test';

import {crashPoints, startStage} from '../aid/crash.mjs';
import {sql} from '../aid/truth.mjs';

/** Reached only after another crash: 20_recovery kills there; or when somebody
 *  erases: 45_erase does; or makes an endpoint or an app: 46_endpoints and 47_apps do; or what
 *  was kept long enough goes: 47_retention does; or when storage fails: peer/52_trtc_events does;
 *  or of a bucket: 70_s3 does. */
const later = (name) =>
  /^(recovery|erase|retention|endpoint|app|s3)\.|^segment\.failing$|^task\.left$/.test(name);

// The first time, and once more in the midst of a roll-over; every commit of a
// task's beginning.
const cases = crashPoints().filter((name) => !later(name)).flatMap((name) =>
  (name.startsWith('store.commit') ? [1, 2, 3, 4, 5, 6, 7, 9] : [1, 4])
    .map((n) => (name.startsWith('task.') ? `${name}:1` : `${name}:${n}`)));

test('kill_9_at_each_step_of_a_segment_loses_and_doubles_nothing', {concurrency: 5},
  (t) => Promise.all([...new Set(cases)].map((where) => t.test(where, async (t) => {
    const stage = await startStage(t);
    await stage.server.stop();
    const known = await stage.dieAt(where);
    await stage.goOn({known});
    for (const {id} of await sql(stage.server, 'SELECT CAST(id AS TEXT) id FROM task')) {
      const {segments} = await stage.truth(id);
      if (id === known.task)
        assert.ok(segments.length >= known.seqs, 'what was closed is still there');
    }
    await stage.server.stop();
  }))));
