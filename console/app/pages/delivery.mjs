// One delivery: what was sent, what of it is signed, and every attempt.
// SPDX-License-Identifier: Apache-2.0
import {button, el, name, table, time, words} from '../widgets.mjs';
import {block, requestText, stateBadge} from './callbacks.mjs';

function attempts(log) {
  return table('Attempts', [
    {title: '#', class: 'number', cell: (a) => String(a.n)},
    {title: 'Sent', cell: (a) => time(a.at_ms)},
    {title: 'Took', class: 'number', cell: (a) => `${a.duration_ms} ms`},
    {title: 'Status', cell: (a) => (a.status ? String(a.status) : 'no answer')},
    {title: 'Outcome', cell: (a) => el('span', {}, a.error || 'taken')},
    {title: 'Answer', cell: (a) => (a.answer ? el('code', {}, a.answer) : '')},
  ], log);
}

function signature(s) {
  if (!s)
    return [el('p', {class: 'note'}, 'It is not signed: the endpoint has no key.')];
  return [
    el('p', {}, `${s.algorithm} of ${s.over}, with the key. It goes out as `, el('b', {}, s.where),
      '. Hash these bytes in your backend, and compare.'),
    block('Signature base', s.base, 'base'), block(s.where, s.value, 'value')];
}

export async function mountDelivery(root, ctx, id) {
  const {api, live, path, toast, signal} = ctx;
  const head = el('div', {class: 'bar'});
  const facts = el('p', {class: 'soft'});
  const log = el('div', {class: 'attempts'});
  const sent = el('section', {class: 'request', 'aria-label': 'Request'});
  let shown = '', timer = 0, moved = '';

  async function replay() {
    try {
      await api.post(path`/v1/deliveries/${id}/replay`);
      toast('It goes out again.');
      await load();
    } catch (e) {
      toast(e.message, 'bad');
    }
  }

  function show(d) {
    const can = ['dead', 'expired'].includes(d.state);
    head.replaceChildren(el('h2', {}, words(d.kind), ' to ', name(d.endpoint || 'a removed endpoint')),
      stateBadge(d.state), ...(can ? [button('Replay', replay, {class: 'main right'})] : []));
    facts.replaceChildren(`delivery ${d.delivery_id} · event ${d.event_id} · happened `,
      time(d.event_ms), ' · recording ', el('a', {href: `#/recordings/${d.task_id}`}, d.task_id),
      ...(d.state === 'pending' ? [' · due ', time(d.due_ms)] : []),
      ...(d.last_error ? [` · ${d.last_error}`] : []));
    log.replaceChildren(d.attempts_log.length ? attempts(d.attempts_log) :
      el('p', {class: 'note'}, 'None was made yet.'));
    const r = d.request;
    sent.replaceChildren(...(r ? [
      el('h3', {}, r.sent ? `Request of attempt ${r.attempt}` : 'What would be sent now'),
      block('Request', requestText(r), 'sent'), el('h3', {}, 'Signature'), ...signature(r.signature)] :
      [el('p', {class: 'note'}, 'What was sent cannot be shown any more: the endpoint, or the ' +
        'event, is gone.')]));
  }

  async function load() {
    const d = await api.get(path`/v1/deliveries/${id}`, {}, {signal});
    const text = JSON.stringify(d.state === 'pending' && !d.attempts_log.length ?
      {...d, request: null} : d); // one that waits is made anew each time
    if (text === shown)
      return;
    shown = text;
    show(d);
  }

  await load();
  root.append(el('p', {}, el('a', {href: '#/deliveries'}, 'All deliveries')), head, facts,
    el('h3', {}, 'Attempts'), log, sent);
  const end = live.subscribe(({deliveries}) => {
    const now = JSON.stringify(deliveries);
    if (now !== moved)
      timer ||= setTimeout(() => {
        timer = 0;
        load().catch(() => {});
      }, moved ? 500 : 0);
    moved = now;
  });
  return () => {
    end();
    clearTimeout(timer);
  };
}
