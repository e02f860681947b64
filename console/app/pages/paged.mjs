// A list that comes page by page, and is read anew as things happen.
// SPDX-License-Identifier: Apache-2.0
const PAGE = 50;
const READ_MAX = 1000; // rows that the API gives at once
const SOON_MS = 500;
const REST = 10; // times as long as reading took

/** How long [ms] to leave the server alone after what took so long. */
export const rest = (took_ms) => Math.max(SOON_MS, REST * took_ms);

/**
 * Reads one after the other, so that neither a click on "Show more" nor what
 * happened is lost while another read is under way.
 *
 * read    async ({limit, after}) -> {rows, next}; `after` is not given for the
 *         first page, `next` is null behind the last
 * show    (rows, next) all that is listed, and whether there is more
 * fail    (error)
 * signal  nothing is read or told once it is aborted
 */
export function paged({read, show, fail, signal}) {
  let rows = [], next = null, search = 0, timer = 0, took_ms = 0, turn = Promise.resolve();

  /** At least `wanted` rows behind `after`, if there are so many and they are
   *  still wanted. */
  async function readRows(wanted, after) {
    const mine = search;
    const found = [];
    do {
      const page = await read({limit: Math.min(READ_MAX, Math.max(PAGE, wanted - found.length)),
        after});
      found.push(...page.rows);
      after = page.next ?? undefined;
    } while (after && found.length < wanted && mine === search);
    return {found, after};
  }

  async function load(append) {
    const mine = search;
    const begin = performance.now();
    if (signal.aborted || (append && !next))
      return;
    try {
      const {found, after} = append ? await readRows(PAGE, next) :
        await readRows(rows.length, undefined);
      if (mine !== search || signal.aborted)
        return;
      rows = append ? [...rows, ...found] : found;
      next = after;
      took_ms = performance.now() - begin;
      show(rows, next);
    } catch (fault) {
      if (mine === search && !signal.aborted)
        fail(fault);
    }
  }
  const inTurn = (append) => (turn = turn.then(() => load(append)));
  const refresh = () => inTurn(false);

  function later(ms) {
    timer ||= setTimeout(() => {
      timer = 0;
      refresh();
    }, ms);
  }

  return {
    refresh,
    more: () => inTurn(true),
    /** Something happened; however much it is, it is read once. */
    soon: () => later(rest(took_ms)),
    /** Other rows are wanted; what is being read is not. */
    restart(ms = 0) {
      search++;
      rows = [];
      next = null;
      clearTimeout(timer);
      timer = 0;
      turn = Promise.resolve();
      later(ms);
    },
    end: () => clearTimeout(timer),
  };
}
