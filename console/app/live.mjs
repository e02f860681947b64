// What happens, as it happens: streams of server-sent events, that come back by
// themselves.
// SPDX-License-Identifier: Apache-2.0
//
// /v1/live    the state of the rooms, some times a second: subscribe(fn)
// /v1/events  the log of events, from now on: events(kinds, fn)
//             that of a task, from its first: story(task, fn)
//
// A stream is open while somebody has asked for it and the page can be seen: a
// browser has six connections to a server, for all of its tabs.

import {Refused} from './login.mjs';

const SILENCE_MS = 20_000; // of /v1/live: something comes every 5 s
const AGAIN_MS = [0, 500, 1000, 2000, 4000, 8000];

/** All kinds of events, as callbacks have them. */
export const KINDS = ['task_started', 'started', 'completed', 'uploaded', 'upload_started',
  'upload_stopped', 'files_ready', 'task_stopped', 'task_failed', 'input_lost', 'no_audio',
  'disk_low', 'upload_failing'];

/** Throws when the server refuses it, with what it says; an EventSource does
 *  not tell. */
async function refusal(where) {
  const enough = new AbortController();
  try {
    const answer = await fetch(where, {cache: 'no-store', signal: enough.signal});
    if (!answer.ok)
      throw Object.assign(new Error((await answer.json()).detail), {status: answer.status});
  } finally {
    enough.abort();
  }
}

/** An EventSource that is opened anew when it was refused or went silent. */
class Stream {
  /** `where()`: path and query; `check`: resolves when the server lets us in;
   *  `told(which, why)`: connecting, live or lost; `opened()`; `forget()`: where
   *  it went on is of another database. */
  constructor({where, kinds, take, check, told = () => {}, opened = () => {},
    forget = () => {}, silence_ms = Infinity}) {
    Object.assign(this, {where, kinds, take, check, told, opened, forget, silence_ms});
    this.source = null;
    this.timer = 0;
    this.failures = 0;
    this.last = 0;
  }

  open() {
    if (this.source || this.timer)
      return;
    this.told(this.failures > 1 || this.why ? 'lost' : 'connecting', this.why);
    const source = new EventSource(this.where());
    this.source = source;
    this.last = performance.now();
    source.onopen = () => {
      this.failures = 0;
      this.last = performance.now();
      this.told('live');
      this.opened();
    };
    for (const kind of this.kinds)
      source.addEventListener(kind, (e) => {
        this.last = performance.now();
        this.take(e);
      });
    source.onerror = () => {
      const refused = source.readyState === EventSource.CLOSED; // not just away
      if (!refused || this.failures) // the first time it may be the login
        this.told('lost', this.why);
      if (refused)
        this.again();
    };
    if (this.silence_ms < Infinity)
      this.watch = setInterval(() => {
        if (performance.now() - this.last > this.silence_ms) {
          this.told('lost', this.why);
          this.again();
        }
      }, 1000);
  }

  /** Try once more, after a while, and after a login where one is needed. */
  again() {
    this.close();
    const wait = AGAIN_MS[Math.min(this.failures++, AGAIN_MS.length - 1)];
    this.timer = setTimeout(async () => {
      try {
        await this.check();
        await refusal(this.where());
        this.why = undefined;
      } catch (e) { // opening fails, too
        this.why = e.status || e instanceof Refused ? e.message : undefined;
        if (e.status === 409)
          this.forget();
      }
      this.timer = 0;
      if (this.wanted)
        this.open();
    }, wait * (0.5 + Math.random()));
  }

  close() {
    this.source?.close();
    this.source = null;
    clearInterval(this.watch);
    clearTimeout(this.timer);
    this.timer = 0;
  }

  /** Open when `on`, else closed. */
  set(on) {
    this.wanted = on;
    if (on)
      this.open();
    else
      this.close();
  }
}

/** {id, kind, type, timestamp, data} of a message of /v1/events. */
const eventOf = (e) => ({id: e.lastEventId, kind: e.type, ...JSON.parse(e.data)});

export class Live {
  constructor({check, told}) {
    this.subscribers = new Set(); // of the state
    this.followers = new Set(); // {kinds, fn} of events
    this.state = null; // the newest
    this.search = '';
    this.ahead_ms = 0; // the server's clock, of this machine's
    this.last_id = '';
    this.check = check;
    this.rooms = new Stream({check, told, silence_ms: SILENCE_MS, kinds: ['state'],
      where: () => `/v1/live?${new URLSearchParams(this.search ? {search: this.search} : {})}`,
      take: (e) => this.onState(JSON.parse(e.data))});
    const log = new Stream({check, kinds: KINDS, forget: () => (this.last_id = ''),
      where: () => `/v1/events${this.last_id ? `?after=${this.last_id}` : ''}`,
      opened: () => this.last_id || this.followers.forEach(({fn}) => fn({kind: 'begin'})),
      take: (e) => this.onEvent(e)});
    this.streams = new Map([ // to: has somebody asked for it?
      [this.rooms, () => this.subscribers.size > 0],
      [log, () => this.followers.size > 0]]);
    document.addEventListener('visibilitychange', () => this.match());
  }

  match() {
    const seen = document.visibilityState === 'visible';
    for (const [stream, isAsked] of this.streams)
      stream.set(seen && isAsked());
  }

  /** What the server's clock says [Unix ms]. */
  now() {
    return Date.now() + this.ahead_ms;
  }

  onState(state) {
    this.state = state;
    this.ahead_ms = state.now_ms - Date.now();
    for (const fn of [...this.subscribers])
      fn(state);
  }

  onEvent(message) {
    this.last_id = message.lastEventId;
    for (const {kinds, fn} of [...this.followers])
      if (!kinds || kinds.includes(message.type))
        fn(eventOf(message));
  }

  /** Have `fn(state)` called with each new state of the rooms, and with the
   *  newest at once.  Gives the function that ends it. */
  subscribe(fn) {
    this.subscribers.add(fn);
    this.match();
    if (this.state)
      fn(this.state);
    return () => {
      this.subscribers.delete(fn);
      this.match();
    };
  }

  /** Only rooms (or users) whose names have this in them; '': all. */
  find(search) {
    if (search === this.search)
      return;
    this.search = search;
    this.state = null;
    this.rooms.close();
    this.match();
  }

  /**
   * Have `fn(event)` called for each event of the log from now on: {id, kind,
   * type, timestamp, data} as in GET /v1/events; and for {kind: 'begin'} when
   * something before may have been missed: look again then.  kinds: names,
   * null: all.  Gives what ends it.
   */
  events(kinds, fn) {
    const follower = {kinds, fn};
    this.followers.add(follower);
    this.match();
    return () => {
      this.followers.delete(follower);
      if (!this.followers.size)
        this.last_id = '';
      this.match();
    };
  }

  /** Have `fn(event)` called for each event of a task, from its first on.
   *  Gives what ends it. */
  story(task, fn) {
    let after = '0';
    const stream = new Stream({check: this.check, kinds: KINDS,
      where: () => `/v1/events?${new URLSearchParams({task, after})}`,
      take: (e) => {
        after = e.lastEventId;
        fn(eventOf(e));
      }});
    this.streams.set(stream, () => true);
    this.match();
    return () => {
      this.streams.delete(stream);
      stream.set(false);
    };
  }
}
