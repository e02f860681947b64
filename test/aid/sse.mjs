// test/aid/sse.mjs -- a client of server-sent events that hides nothing.
// SPDX-License-Identifier: Apache-2.0
import http from 'node:http';

/** Blocks as the standard reads them: {event, data, id} of each. */
function* blocksOf(text) {
  for (const block of text.split('\n\n')) {
    const fields = {};
    for (const line of block.split('\n')) {
      const [, field, value] = /^([a-z]+): ?(.*)$/.exec(line) ?? [];
      if (field)
        fields[field] = field === 'data' && fields.data !== undefined ?
          `${fields.data}\n${value}` : value;
    }
    yield fields;
  }
}

/**
 * Listen to /v1/events of a receiver (or server): answers 200, or throws.
 *
 * query      "?after=.."; last: the Last-Event-ID header; token: of an admin;
 *            headers: more; path: another one
 *
 * .events    {id, data (parsed)} of each without a name
 * .refused   of each `refused`; .states: of each `state`
 * .lastId    the newest id, also of blocks without data
 * .ended     resolves when the connection is gone
 */
export function listen(t, {url}, {query = '', last, token, headers, path = '/v1/events'} = {}) {
  const stream = {events: [], refused: [], states: [], lastId: undefined, comments: 0};
  return new Promise((done, fail) => {
    const request = http.get(`${url}${path}${query}`, {agent: false,
      headers: {...(last !== undefined && {'Last-Event-ID': last}),
        ...(token && {Authorization: `Bearer ${token}`}), ...headers}}, (answer) => {
      if (answer.statusCode !== 200) {
        request.destroy();
        fail(new Error(`answered ${answer.statusCode}`));
        return;
      }
      let text = '';
      stream.type = answer.headers['content-type'];
      answer.setEncoding('utf8');
      answer.on('data', (d) => {
        text += d;
        const end = text.lastIndexOf('\n\n');
        if (end < 0)
          return;
        for (const {event, data, id} of blocksOf(text.slice(0, end))) {
          if (id !== undefined)
            stream.lastId = id;
          if (data === undefined)
            continue;
          const one = {id, data: JSON.parse(data)};
          if (event === 'refused')
            stream.refused.push(one);
          else if (event === 'state')
            stream.states.push(one.data);
          else if (stream.onEvent)
            stream.onEvent(one);
          else
            stream.events.push(one);
        }
        text = text.slice(end + 2);
      });
      answer.on('error', () => {});
      stream.ended = new Promise((gone) => answer.on('close', gone));
      done(stream);
    });
    stream.close = () => request.destroy();
    request.on('error', fail);
    t.after(stream.close);
  });
}
