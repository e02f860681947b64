// Callbacks of an app: who is told, in which dialect, of what; keys, test events.
// SPDX-License-Identifier: Apache-2.0
import {button, confirm, el, field, name, select, time, words} from '../widgets.mjs';
import {form} from '../forms.mjs';
import {KINDS} from '../live.mjs';

const DIALECTS = [['gme', 'gme: GME server-side recording'],
  ['trtc', 'trtc: TRTC cloud recording'],
  ['live', 'live: recording status changes of the live SDK'],
  ['standard', 'standard: Standard Webhooks, all that is known']];

// What each dialect has a word for; a test compares it with the server's "all".
const TRTC = ['started', 'task_started', 'task_stopped', 'upload_started', 'upload_stopped',
  'upload_failing', 'files_ready'];
export const EVENTS = {
  gme: ['started', 'completed', 'uploaded'],
  live: TRTC,
  trtc: TRTC,
  standard: KINDS,
};
const KEY_HINTS = {
  gme: 'signs the callbacks; without one the key of the app does',
  live: 'the callback key; without one there is no Sign',
  trtc: 'signs the callbacks; without one anybody can forge them',
  standard: 'whsec_ and the base64 of 24 to 64 bytes, or whsk_ for Ed25519',
};

const keyInput = () => el('input', {type: 'password', maxlength: 4096, autocomplete: 'off',
  spellcheck: 'false', 'data-field': 'key'});
const urlInput = (value = '') => el('input', {type: 'url', maxlength: 2083, value,
  'data-field': 'url', autocomplete: 'off', spellcheck: 'false',
  placeholder: 'https://example.com/recording'});

/** Is it certainly one that nothing is sent to unless that is permitted? */
const isPrivateUrl = (url) => /^https?:\/\/(localhost|127\.[\d.]+|10\.[\d.]+|192\.168\.[\d.]+|\[::1\])[:/]/
  .test(`${url}/`);

/** How it does, in a few words. */
function state(ep) {
  const says = !ep.enabled ? ['off', ''] : ep.gone ? ['it answered 410: gone', 'run'] :
    ep.breaker !== 'closed' ? ['failing', 'run'] : ep.pending ? ['waiting', 'wait'] : ['on', 'good'];
  const more = [ep.pending ? `${ep.pending} pending` : '', ep.failing_since_ms ? 'failing since ' : '']
    .filter(Boolean).join(', ');
  return el('span', {class: 'line'}, el('span', {class: `badge ${says[1]}`}, says[0]),
    el('span', {class: 'soft'}, more, ...ep.failing_since_ms ? [time(ep.failing_since_ms)] : []));
}

// ---- a test event ------------------------------------------------------------------------

function tested(result) {
  const headers = Object.entries(result.request.headers).map(([k, v]) => `${k}: ${v}`).join('\n');
  return el('div', {class: `tested ${result.delivered ? 'good' : 'bad'}`},
    el('p', {class: 'line'}, el('span', {class: `badge ${result.delivered ? 'good' : 'run'}`},
      result.delivered ? 'it took the test event' : 'it did not take the test event'),
    el('span', {class: 'soft'}, [result.status ? `HTTP ${result.status}` : '',
      `${result.duration_ms} ms`].filter(Boolean).join(', '))),
    result.error ? el('p', {class: 'fault'}, result.error) : '',
    el('details', {}, el('summary', {}, 'What was sent and answered'),
      el('pre', {}, `POST ${result.request.url}\n${headers}\n\n${result.request.body}`),
      el('pre', {}, result.answer || '(no answer)')));
}

// ---- one endpoint --------------------------------------------------------------------------

/** Have an endpoint told of these events.  Of who asks while it is being changed
 *  the last is sent behind it; the page is drawn as they want it until then. */
function wish(ep, page, events) {
  const {wished} = page;
  const mine = wished.get(ep.endpoint_id) ?? {};
  mine.events = events;
  wished.set(ep.endpoint_id, mine);
  mine.sent ??= (async () => {
    try {
      let sent;
      do {
        sent = mine.events;
        await page.api.patch(page.path`/v1/endpoints/${ep.endpoint_id}`, {events: sent});
      } while (mine.events !== sent);
    } finally {
      wished.delete(ep.endpoint_id);
    }
  })();
  return mine.sent;
}

/** A switch per webhook: changed as soon as it is pressed. */
function switches(ep, page, disabled) {
  const key = (kind) => `${ep.endpoint_id} ${kind}`;
  const now = page.wished.get(ep.endpoint_id)?.events ?? ep.events;
  const boxes = EVENTS[ep.dialect].map((kind) => el('input', {type: 'checkbox', value: kind,
    role: 'switch', disabled, checked: now.includes(kind), 'data-key': key(kind)}));
  const fault = el('p', {class: 'fault', role: 'alert'});
  const fieldset = el('fieldset', {class: 'switches'}, el('legend', {}, 'Webhooks'),
    ...boxes.map((box) => el('label', {class: 'choice'}, box, words(box.value))), fault);
  fieldset.addEventListener('change', async (event) => {
    const events = boxes.filter((b) => b.checked).map((b) => b.value);
    fault.textContent = '';
    if (!events.length) {
      event.target.checked = true;
      fault.textContent = 'At least one: to send nothing, switch the endpoint off.';
      return;
    }
    try {
      await wish(ep, page, events);
      await page.refresh(event.target.dataset.key);
    } catch (e) {
      event.target.checked = !event.target.checked;
      fault.textContent = e.message;
    }
  });
  return fieldset;
}

function changeForm(ep, page) {
  const url = urlInput(ep.url);
  const dialect = select(DIALECTS, ep.dialect, {'data-field': 'dialect'});
  const key = keyInput();
  const timeout = el('input', {type: 'text', maxlength: 16, value: ep.timeout,
    'data-field': 'timeout', autocomplete: 'off'});
  const retry = el('input', {type: 'text', maxlength: 512, value: ep.retry,
    'data-field': 'retry', autocomplete: 'off', spellcheck: 'false'});
  const isPrivate = el('input', {type: 'checkbox', checked: ep.allow_private,
    'data-field': 'allow_private'});
  const extended = el('input', {type: 'checkbox', checked: ep.extended, 'data-field': 'extended'});
  return form({what: `Change ${ep.name}`, text: 'Save', key: `save ${ep.endpoint_id}`}, [
    field('URL', url, 'shown without its query: give the whole URL to change it'),
    field('Dialect', dialect),
    field('Token or key', key, ep.has_key ? 'there is one; leave this empty to keep it' :
      KEY_HINTS[ep.dialect]),
    field('Timeout', timeout, 'of one attempt, such as 5s'),
    field('Retries', retry, 'tencent, standard, or times such as 1s,10s,5m'),
    el('label', {class: 'choice'}, isPrivate, 'It may be on a private address'),
    el('label', {class: 'choice'}, extended, 'Put all that is known into the body'),
  ], async () => {
    const changes = {
      ...url.value !== ep.url ? {url: url.value} : {},
      // what one dialect is told another may have no word for
      ...dialect.value !== ep.dialect ? {dialect: dialect.value, events: 'all', verdict: null} : {},
      ...key.value ? {key: key.value} : {},
      ...timeout.value !== ep.timeout ? {timeout: timeout.value} : {},
      ...retry.value !== ep.retry ? {retry: retry.value} : {},
      allow_private: isPrivate.checked,
      extended: extended.checked,
    };
    await page.api.patch(page.path`/v1/endpoints/${ep.endpoint_id}`, changes);
    await page.refresh(`save ${ep.endpoint_id}`);
    page.toast(`${ep.name} is changed.`);
  });
}

function endpointCard(ep, page, {row}) {
  const kept = ep.source === 'api';
  const where = page.path`/v1/endpoints/${ep.endpoint_id}`;
  const result = el('div', {role: 'status'});
  const on = el('input', {type: 'checkbox', role: 'switch', checked: ep.enabled, disabled: !kept,
    'data-key': `on ${ep.endpoint_id}`});
  on.addEventListener('change', () => page.call(page.api.patch(where, {enabled: on.checked}),
    `${ep.name} is ${on.checked ? 'on' : 'off'}.`, on.dataset.key));
  const test = button('Send a test event', async () => {
    result.replaceChildren();
    try {
      result.append(tested(await page.api.post(`${where}/test`)));
    } catch (e) {
      page.toast(e.message, 'bad');
    }
  }, {'aria-label': `Send ${ep.name} a test event`, 'data-key': `test ${ep.endpoint_id}`});
  const remove = button('Remove', async () => {
    if (await confirm(`Remove ${ep.name}?`, ep.pending ? `It is told nothing more; the ${ep.pending} ` +
      'that wait for it expire.' : 'It is told nothing more.', 'Remove'))
      await page.call(page.api.del(where), `${ep.name} is removed.`, 'make-endpoint');
  }, {class: 'danger right', 'aria-label': `Remove ${ep.name}`});
  const how = el('span', {class: 'how'}, state(ep));
  page.shown.set(ep.endpoint_id, (now) => how.replaceChildren(state(now)));
  const keyOf = {endpoint: 'its own', app: 'that of the app', none: 'none: not signed'};
  return el('section', {class: 'endpoint', 'data-endpoint': ep.name, 'aria-label': ep.name},
    el('p', {class: 'line'}, el('b', {}, name(ep.name)), el('span', {class: 'badge'}, ep.dialect),
      ...kept ? [] : [el('span', {class: 'badge'}, 'declared in the file')],
      how, el('label', {class: 'choice right'}, on, 'on')),
    el('dl', {}, row('URL', el('code', {}, ep.url)), row('Token or key',
      el('span', {}, keyOf[ep.key_of] ?? ep.key_of))),
    switches(ep, page, !kept),
    el('p', {class: 'line bar'}, test, ...kept ? [remove] : []), result,
    ...kept ? [el('details', {}, el('summary', {}, `Change ${ep.name}`), changeForm(ep, page))] : []);
}

// ---- another endpoint ------------------------------------------------------------------------

function makeForm(app, page) {
  const called = el('input', {type: 'text', maxlength: 63, 'data-field': 'name',
    autocomplete: 'off', spellcheck: 'false'});
  const url = urlInput();
  const dialect = select(DIALECTS, 'gme', {'data-field': 'dialect'});
  const key = keyInput();
  const keyField = field('Token or key', key, KEY_HINTS.gme);
  const isPrivate = el('input', {type: 'checkbox', 'data-field': 'allow_private'});
  dialect.addEventListener('change', () =>
    (keyField.querySelector('.soft').textContent = KEY_HINTS[dialect.value]));
  return form({what: 'Add an endpoint', text: 'Add it', key: 'make-endpoint'}, [
    field('Name', called, 'letters, digits, - and _'),
    field('URL', url, 'where callbacks are POSTed to'),
    field('Dialect', dialect), keyField,
    el('label', {class: 'choice'}, isPrivate, 'It may be on a private address (127.0.0.1, 10.0.0.0/8)'),
  ], async () => {
    const made = await page.api.post(page.path`/v1/apps/${app.id}/endpoints`, {name: called.value,
      url: url.value, dialect: dialect.value, allow_private: isPrivate.checked,
      ...key.value ? {key: key.value} : {}});
    if (isPrivateUrl(made.url) && !made.allow_private)
      page.toast(`${made.name} is at a private address: callbacks to it are refused, until that is ` +
        'permitted below, where it is changed.', 'bad');
    else
      page.toast(`${made.name} is told from now on.`);
    await page.refresh(`on ${made.endpoint_id}`);
  });
}

export function endpoints(app, list, page, parts) {
  return parts.card('Callbacks',
    ...list.length ? list.map((ep) => endpointCard(ep, page, parts)) :
      [el('p', {class: 'soft inset'}, 'Nobody is told about this app\'s recordings yet.')],
    el('details', {open: !list.length}, el('summary', {}, 'Add an endpoint'), makeForm(app, page)));
}
