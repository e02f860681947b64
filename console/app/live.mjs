// What happens, as it happens: two streams of server-sent events, that come
// back by themselves.
// SPDX-License-Identifier: Apache-2.0
//
// /v1/live    the state of the rooms, some times a second: subscribe(fn)
// /v1/events  the log of events, from now on: events(kinds, fn)
//
// A stream is open while somebody has asked for it and the page can be seen.

const SILENCE_MS = 20_000; // of /v1/live: something comes every 5 s
const AGAIN_MS = [0, 500, 1000, 2000, 4000, 8000];

/** An EventSource that is opened anew when it was refused or went silent. */
class Stream {
  /** `where`: path and query, or a function of that; `check`: resolves when
   *  the server lets us in; `told(which, why)`: connecting, live or lost. */
  constructor({where, kinds, take, check, told = () => {}, silence_ms = Infinity}) {
    Object.assign(this, {where, kinds, take, check, told, silence_ms});
    this.source = null;
    this.timer = 0;
    this.failures = 0;
    this.last = 0;
  }

  open() {
    if (this.source || this.timer)
      return;
    this.told(this.failures > 1 || this.why ? 'lost' : 'connecting', this.why);
    const source = new EventSource(typeof this.where === 'function' ? this.where() : this.where);
    this.source = source;
    this.last = performance.now();
    source.onopen = () => {
      this.failures = 0;
      this.last = performance.now();
      this.told('live');
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
        this.why = undefined;
      } catch (e) { // opening fails, too
        this.why = e.message;
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

const EVENTS = ['started', 'completed', 'uploaded', 'task_started', 'task_stopped',
  'upload_started', 'upload_stopped', 'files_ready', 'upload_failing', 'task_failed', 'input_lost',
  'no_audio', 'disk_low'];

export class Live {
  constructor({check, told}) {
    this.subscribers = new Set(); // of the state
    this.followers = new Set(); // {kinds, fn} of events
    this.state = null; // the newest
    this.search = '';
    this.last_id = '';
    this.rooms = new Stream({check, told, silence_ms: SILENCE_MS, kinds: ['state'],
      where: () => `/v1/live?${new URLSearchParams(this.search ? {search: this.search} : {})}`,
      take: (e) => this.onState(JSON.parse(e.data))});
    this.log = new Stream({check, kinds: EVENTS,
      where: () => `/v1/events${this.last_id ? `?after=${this.last_id}` : ''}`,
      take: (e) => this.onEvent(e)});
    document.addEventListener('visibilitychange', () => this.match());
  }

  match() {
    const seen = document.visibilityState === 'visible';
    this.rooms.set(seen && this.subscribers.size > 0);
    this.log.set(seen && this.followers.size > 0);
  }

  onState(state) {
    this.state = state;
    for (const fn of [...this.subscribers])
      fn(state);
  }

  onEvent(message) {
    this.last_id = message.lastEventId;
    for (const {kinds, fn} of [...this.followers])
      if (!kinds || kinds.includes(message.type))
        fn({id: message.lastEventId, kind: message.type, ...JSON.parse(message.data)});
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
   * type, timestamp, data} as in GET /v1/events.  kinds: names, null: all.
   * Nothing is missed when the connection was lost.  Gives what ends it.
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
}
