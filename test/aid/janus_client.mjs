// test/aid/janus_client.mjs -- speak the Janus API over plain HTTP.
// SPDX-License-Identifier: Apache-2.0
//
// Runs in Node and in a web page alike: nothing but fetch.  A request is a
// POST; what Janus says later comes through a long poll of the session.

let count = 0;
const newId = () => `t${++count}-${Math.random().toString(36).slice(2)}`;

async function post(url, body) {
  const answer = await fetch(url, {
    method: 'POST',
    headers: {'content-type': 'application/json'},
    body: JSON.stringify({transaction: newId(), ...body}),
  });
  const json = await answer.json();
  if (json.janus === 'error')
    throw new Error(`${json.error.code}: ${json.error.reason}`);
  return json;
}

/** A plugin's own errors are in its data. */
function checked(event) {
  const data = event.plugindata?.data;
  if (data?.error)
    throw new Error(`${data.error_code}: ${data.error}`);
  return {data, jsep: event.jsep};
}

/**
 * A session; url: e.g. http://127.0.0.1:8088/janus.
 *
 * .attach(plugin)   a handle of it
 * .events           all that came unasked, oldest first
 * .close()
 */
export async function openSession(url) {
  const {data: {id}} = await post(url, {janus: 'create'});
  const session = {id, url: `${url}/${id}`, events: [], closed: false};
  const waiting = new Map(); // by transaction
  const stopping = new AbortController();

  const poll = async () => {
    while (!session.closed) {
      let events;
      try {
        const answer = await fetch(`${session.url}?maxev=10`, {signal: stopping.signal});
        events = [await answer.json()].flat();
      } catch {
        break; // closed, or Janus has ended
      }
      for (const e of events) {
        const done = waiting.get(e.transaction);
        if (done) {
          waiting.delete(e.transaction);
          done(e);
        } else if (e.janus !== 'keepalive') {
          session.events.push(e);
        }
      }
    }
  };
  session.polling = poll();

  session.attach = async (plugin) => {
    const {data} = await post(session.url, {janus: 'attach', plugin});
    const handle = {id: data.id, url: `${session.url}/${data.id}`};
    /** Ask the plugin: {data, jsep}, of the answer or of the event that
     *  comes later. */
    handle.ask = async (body, jsep) => {
      const transaction = newId();
      const event = new Promise((done) => waiting.set(transaction, done));
      try {
        const now = await post(handle.url, {janus: 'message', transaction, body, jsep});
        return checked(now.janus === 'ack' ? await event : now);
      } finally {
        waiting.delete(transaction);
      }
    };
    handle.trickle = (candidate) => post(handle.url, {janus: 'trickle', candidate});
    return handle;
  };

  session.close = async () => {
    if (session.closed)
      return;
    session.closed = true;
    stopping.abort();
    await post(session.url, {janus: 'destroy'}).catch(() => {});
    await session.polling;
  };
  return session;
}
