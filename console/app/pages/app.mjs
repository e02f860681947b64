// App: who it is, how it is recorded, who is told, who may call.
// SPDX-License-Identifier: Apache-2.0
//
// An app of the configuration file is shown and not changed: it is changed in
// the file.  Endpoints and tests of endpoints: app_endpoints.mjs.
//
// What is changed elsewhere is drawn as soon as nobody is at an input here;
// what was typed stays.
import {badge, button, confirm, count, el, empty, field, name, newId, select, table, time}
  from '../widgets.mjs';
import {copyButton, form, noteTyping, typedIn} from '../forms.mjs';
import {endpoints} from './app_endpoints.mjs';

export const title = 'App';

const OVERLAPS = [['1h', '1 hour'], ['24h', '24 hours'], ['7d', '7 days'], ['30d', '30 days'],
  ['0s', 'not at all: it ends now']];

// As the Cloud API has them; a test compares them with the server's.
const ACTIONS = ['StartRecord', 'StopRecord', 'ModifyRecordInfo', 'DescribeRecordInfo',
  'DescribeTaskInfo', 'DescribeRoomInfo', 'CreateCloudRecording', 'DescribeCloudRecording',
  'ModifyCloudRecording', 'DeleteCloudRecording'];

/** How settings of recording are asked for: [label, choices or null, hint]. */
const RECORDING = {
  format: ['Format', [['mp3', 'MP3'], ['ogg', 'Ogg Opus: kept as it came']]],
  sample_rate: ['Sample rate of MP3', [[48000, '48 kHz'], [24000, '24 kHz'], [16000, '16 kHz']]],
  segment: ['Length of a file', null, 'a time such as 2h or 90m; then the next one begins'],
  mic_off: ['A microphone is switched off', [['split', 'its file ends (as GME does it)'],
    ['silence', 'silence in its file']]],
  mic_off_after: ['It counts as off after', null, 'of nothing, or only silence'],
  max_idle: ['End a recording when nobody speaks for', null, '0s: never'],
  hold_empty: ['Wait in an empty room for', null, 'then its recordings end'],
  input_lost_after: ['Warn when nothing comes for', null, '0s: never'],
  no_audio_after: ['Warn when nothing is heard for', null, '0s: never'],
  keep: ['Erase recordings after', null, 'of their end, such as 30d; 0s: never'],
  keep_history: ['Forget what is known of them after', null, '0s: never'],
  file_time_zone: ['Time zone of file names', null, 'such as +08:00'],
};

const SOON_MS = 1000;

const isKept = (app) => app.source === 'api';
const titleOf = (app) => `${app.name ? `${app.name} ` : ''}${app.id}`;

/** A line "what: value". */
const row = (label, ...value) => el('div', {class: 'row'}, el('dt', {}, label),
  el('dd', {class: 'line'}, ...value));

const card = (heading, ...children) => {
  const id = newId('h');
  return el('section', {class: 'card', 'aria-labelledby': id}, el('h3', {id}, heading),
    ...children);
};

// ---- who it is ----------------------------------------------------------------------

/** The key, hidden until it is asked for. */
function keyRows(app, page) {
  const shown = el('code', {class: 'secret'}, '••••••••');
  const before = el('code', {class: 'secret'}, '••••••••');
  const copy = copyButton(shown, 'the key');
  const show = button('Show', async () => {
    if (show.textContent === 'Hide') {
      shown.textContent = before.textContent = '••••••••';
    } else {
      let keys;
      try {
        keys = await page.api.post(page.path`/v1/apps/${app.id}/keys/reveal`);
      } catch (e) {
        page.toast(e.message, 'bad');
        return;
      }
      shown.textContent = keys.secret_key ?? '';
      before.textContent = keys.previous_secret_key ?? '';
    }
    copy.hidden = show.textContent === 'Hide';
    show.textContent = copy.hidden ? 'Show' : 'Hide';
  }, {'aria-label': 'Show or hide the key', 'data-key': 'show-key'});
  copy.hidden = true;
  if (!app.has_secret_key)
    return [row('Key', el('span', {class: 'soft'}, 'none'))];
  return [row('Key', shown, show, copy), ...app.has_previous_secret_key ?
    [row('The key before it', before, el('span', {class: 'soft'}, ...app.previous_until_ms ?
      ['is good until ', time(app.previous_until_ms)] : ['is good as well'])),
    ] : []];
}

/** Another key, and how long the one before it stays good. */
function rotation(app, page) {
  const overlap = select(OVERLAPS, '24h', {'data-field': 'overlap'});
  const own = el('input', {type: 'text', maxlength: 4096, autocomplete: 'off',
    spellcheck: 'false', placeholder: 'one is drawn', 'data-field': 'secret_key'});
  return form({what: 'Rotate the key', text: 'Rotate', key: 'rotate'}, [
    field('The key now stays good for', overlap,
      'meanwhile endpoints sign with both in turn, and UserSig by either is taken'),
    field('New key', own, 'leave it empty unless you have one'),
  ], async () => {
    if (overlap.value === '0s' && !await confirm('Rotate the key?',
      'Who knows only the old key cannot verify callbacks any more, from now on.', 'Rotate'))
      return;
    await page.api.post(page.path`/v1/apps/${app.id}/keys`,
      {overlap: overlap.value, ...own.value ? {secret_key: own.value} : {}});
    page.toast('There is a new key: show it, and give it to those who verify.');
    await page.refresh('show-key');
  });
}

function identity(app, page) {
  const id = el('code', {}, String(app.id));
  const called = el('input', {type: 'text', maxlength: 128, value: app.name,
    'data-field': 'name', autocomplete: 'off'});
  const kept = isKept(app);
  return card('Identity',
    el('dl', {}, row('AppID', id, copyButton(id, 'the AppID'),
      el('span', {class: 'soft'}, 'BizID of GME, SDKAppID of TRTC')),
    ...kept ? [] : [row('Name', name(app.name))],
    ...keyRows(app, page)),
    ...!kept ? [] : [
      form({what: 'Name', text: 'Save the name', key: 'save-name'}, [field('Name', called)],
        async () => {
          await page.api.patch(page.path`/v1/apps/${app.id}`, {name: called.value});
          page.toast('Saved.');
          await page.refresh('save-name');
        }),
      el('details', {}, el('summary', {}, 'Rotate the key'), rotation(app, page),
        ...app.has_previous_secret_key ? [el('p', {class: 'bar'},
          button('End the key before it now', async () => {
            if (!await confirm('End the key before it?',
              'Who still uses it is refused from now on.', 'End it'))
              return;
            await page.call(page.api.del(page.path`/v1/apps/${app.id}/keys/previous`),
              'It has ended.', 'show-key');
          }, {class: 'danger'}))] : []),
      el('p', {class: 'bar foot'}, button('Remove this app', async () => {
        if (!await confirm(`Remove the app ${app.id}?`,
          'Its settings and keys go; its recordings stay. It must have no endpoints, nobody in ' +
          'its rooms, and nothing being recorded.', 'Remove'))
          return;
        try {
          await page.api.del(page.path`/v1/apps/${app.id}`);
          page.toast(`The app ${app.id} is removed.`);
          page.navigate('app');
        } catch (e) {
          page.toast(e.message, 'bad');
        }
      }, {class: 'danger right'})),
    ]);
}

// ---- how it is recorded ----------------------------------------------------------------

/** The inputs of what recording has, whatever that is. */
function recordingInput(key, value, disabled) {
  const [label, choices, hint] = RECORDING[key] ?? [key.replaceAll('_', ' ')];
  const attributes = {'data-field': `recording.${key}`, disabled, autocomplete: 'off'};
  if (choices)
    return [field(label, select(choices, value, attributes), hint), (input) =>
      (typeof value === 'number' ? Number(input.value) : input.value)];
  if (typeof value === 'boolean')
    return [field(label, select([['true', 'yes'], ['false', 'no']], value, attributes), hint),
      (input) => input.value === 'true'];
  return [field(label, el('input', {type: 'text', value, maxlength: 32, spellcheck: 'false',
    ...attributes}), hint), (input) =>
    (typeof value === 'number' ? Number(input.value) : input.value)];
}

/** Every room, who asks, or nobody: what `auto` and `on_request` say together. */
function scopeInputs(app, disabled) {
  const {auto, on_request: onRequest} = app.recording;
  const now = auto !== 'off' ? 'every' : onRequest ? 'api' : 'off';
  const group = newId('scope');
  const radio = (value, text, hint) => {
    const input = el('input', {type: 'radio', name: group, value, disabled,
      checked: value === now, 'data-key': `scope-${value}`});
    return el('label', {class: 'choice'}, input, el('span', {}, text,
      el('span', {class: 'soft'}, ` ${hint}`)));
  };
  const mode = select([['single', 'a file a speaker (single)'], ['mixed', 'one file for all (mixed)'],
    ['both', 'both']], auto === 'off' ? 'both' : auto, {disabled, 'data-field': 'recording.auto'});
  const asked = el('input', {type: 'checkbox', disabled, checked: onRequest,
    'data-field': 'recording.on_request'});
  const every = el('div', {}, field('What every room is recorded as', mode),
    el('label', {class: 'choice'}, asked, 'Others may be started on request as well'));
  const box = el('fieldset', {class: 'choices'}, el('legend', {}, 'Recording scope'),
    radio('off', 'Off', 'nothing is recorded, whoever asks'),
    radio('api', 'Rooms that are asked for', 'by the API, the Cloud API or this console'),
    radio('every', 'Every room', 'by itself, from the first who comes to the last who goes'),
    every);
  const scope = () => box.querySelector('input[type=radio]:checked').value;
  const show = () => (every.hidden = scope() !== 'every');
  box.addEventListener('change', (event) => {
    if (event.target.value === 'every' && event.target.type === 'radio')
      asked.checked = true;
    show();
  });
  show();
  return [box, () => (scope() === 'every' ? {auto: mode.value, on_request: asked.checked} :
    {auto: 'off', on_request: scope() === 'api'})];
}

function recording(app, page) {
  const disabled = !isKept(app);
  const [scope, chosen] = scopeInputs(app, disabled);
  const readers = new Map();
  const fields = Object.entries(app.recording)
    .filter(([key]) => key !== 'auto' && key !== 'on_request')
    .map(([key, value]) => {
      const [label, read] = recordingInput(key, value, disabled);
      readers.set(key, () => read(label.querySelector('input, select')));
      return label;
    });
  const inputs = [scope, el('details', {},
    el('summary', {}, 'Files, microphones, warnings'), el('div', {class: 'fields'}, ...fields))];
  if (disabled)
    return card('Recording', ...inputs);
  return card('Recording', form({what: 'Recording', text: 'Save how it is recorded',
    key: 'save-recording'}, inputs, async () => {
    const changes = Object.fromEntries(Object.entries(chosen())
      .filter(([key, value]) => value !== app.recording[key]));
    for (const [key, read] of readers)
      if (read() !== app.recording[key])
        changes[key] = read();
    await page.api.patch(page.path`/v1/apps/${app.id}`, {recording: changes});
    page.toast('Saved: recordings that begin from now on are made so.');
    await page.refresh('save-recording');
  }));
}

// ---- who may call the Cloud API -------------------------------------------------------------

/** Which actions; all of them is none ticked off. */
function actionInputs(actions) {
  const boxes = ACTIONS.map((action) => el('input', {type: 'checkbox', value: action,
    checked: !actions || actions.includes(action)}));
  const fieldset = el('fieldset', {class: 'switches', 'data-field': 'actions'},
    el('legend', {}, 'Actions that it may call'),
    ...boxes.map((box) => el('label', {class: 'choice'}, box, el('code', {}, box.value))));
  const read = () => {
    const ticked = boxes.filter((b) => b.checked).map((b) => b.value);
    return ticked.length === boxes.length ? null : ticked;
  };
  return [fieldset, read];
}

const actionsText = (actions) => (!actions ? 'all' : actions.join(', '));

function apiKeys(app, page) {
  const made = el('div', {role: 'status'});
  const [inputs, read] = actionInputs(null);
  const change = el('div', {});
  const where = (key) => page.path`/v1/apps/${app.id}/api_keys/${key.secret_id}`;

  const edit = (key) => {
    const [boxes, ticked] = actionInputs(key.actions);
    change.replaceChildren(form({what: `Actions of ${key.secret_id}`, text: 'Save the actions',
      key: 'save-actions'}, [el('p', {}, el('code', {}, key.secret_id)), boxes], async () => {
      await page.api.patch(where(key), {actions: ticked()});
      page.toast('Saved.');
      await page.refresh('make-api-key');
    }));
    change.querySelector('input').focus();
  };
  const revoke = async (key) => {
    if (await confirm('Revoke this API key?', `Calls that are signed with ${key.secret_id} are ` +
      'refused from now on.', 'Revoke'))
      await page.call(page.api.del(where(key)), `${key.secret_id} is revoked.`, 'make-api-key');
  };
  const columns = [
    {title: 'SecretId', cell: (key) => el('code', {}, key.secret_id)},
    {title: 'Actions', cell: (key) => actionsText(key.actions)},
    ...isKept(app) ? [{title: '', class: 'number', cell: (key) => el('span', {class: 'line'},
      button('Change', () => edit(key), {'aria-label': `Change the actions of ${key.secret_id}`}),
      button('Revoke', () => revoke(key), {class: 'danger',
        'aria-label': `Revoke ${key.secret_id}`}))}] : [],
  ];
  const make = form({what: 'Make an API key', text: 'Make an API key', key: 'make-api-key'},
    [inputs], async () => {
      const actions = read();
      const pair = await page.api.post(page.path`/v1/apps/${app.id}/api_keys`,
        actions ? {actions} : {});
      await page.refresh('make-api-key');
      page.showOnce(pair);
    });
  if (page.once?.app === app.id) {
    const {secret_id: id, secret_key: secret} = page.once.pair;
    const shown = el('code', {}, id);
    const code = el('code', {}, secret);
    const copy = copyButton(code, 'the SecretKey');
    copy.dataset.key = 'copy-secret';
    made.append(el('div', {class: 'once'}, el('p', {}, 'The new key pair. ',
      el('b', {}, 'Its secret is shown this once:'), ' copy it now.'),
    el('dl', {}, row('SecretId', shown, copyButton(shown, 'the SecretId')),
      row('SecretKey', code, copy)),
    button('I have it', () => page.showOnce(null))));
  }
  return card('API keys', el('p', {class: 'note'}, 'Key pairs for Tencent\'s SDKs: they call the ' +
    'Cloud API of this server, for this app only.'), made,
  app.api_keys.length ? table('API keys', columns, app.api_keys) :
    el('p', {class: 'soft inset'}, 'None.', ...isKept(app) ? [] : [' Those of this app are made ' +
      'in the file, under ', el('code', {}, 'api_keys:'), '.']),
  change, ...isKept(app) ? [el('details', {}, el('summary', {}, 'Make an API key'), make)] : []);
}

// ---- another app ------------------------------------------------------------------------------

function newApp(page) {
  const id = el('input', {type: 'number', min: 1, max: 4294967295, required: true,
    'data-field': 'id', 'data-key': 'new-id', inputmode: 'numeric'});
  const called = el('input', {type: 'text', maxlength: 128, 'data-field': 'name',
    autocomplete: 'off'});
  const key = el('input', {type: 'text', maxlength: 4096, 'data-field': 'secret_key',
    autocomplete: 'off', spellcheck: 'false', placeholder: 'one is drawn'});
  const auto = select([['off', 'rooms that are asked for'], ['single', 'every room, a file a speaker'],
    ['mixed', 'every room, one file for all'], ['both', 'every room, both']], 'off',
  {'data-field': 'recording.auto'});
  const beside = page.apps.length ? [button('Cancel', () => page.navigate('app'))] : [];
  return card('A new app', form({what: 'A new app', text: 'Make it', key: 'make-app', beside}, [
    field('AppID', id, 'the BizID or SDKAppID that your clients have, or any number'),
    field('Name', called, 'for people who read lists'),
    field('Key', key, 'leave it empty unless your backend has one already'),
    field('Recording', auto),
  ], async () => {
    const app = await page.api.post('/v1/apps', {id: Number(id.value), name: called.value,
      recording: {auto: auto.value}, ...key.value ? {secret_key: key.value} : {}});
    page.toast(`The app ${app.id} is there.`);
    page.navigate('app', [app.id]);
  }));
}

/** What of an endpoint the page is drawn of; how it does moves by itself. */
const SETTINGS = ['endpoint_id', 'source', 'name', 'url', 'dialect', 'enabled', 'has_key', 'key_of',
  'events', 'timeout', 'retry', 'allow_private', 'extended'];

// ---- the page ---------------------------------------------------------------------------------

function declared(app) {
  return el('section', {class: 'empty declared'}, el('p', {class: 'line'},
    badge('declared in the file'), el('code', {}, app.file)),
  el('p', {class: 'note'}, 'This app is changed there; SIGHUP (',
    el('code', {}, 'systemctl reload tapeop'), ') has it read again. Endpoints can also be made ' +
    'here.'));
}

/** Keep the page as things are; gives what ends that. */
function follow(page, body, read) {
  let timer = 0, moved = '', due = false, now = page.drawn;
  const isUsed = () => document.querySelector('form[data-sending], dialog[open]') ||
    document.activeElement?.matches('.app :is(input:not([type=checkbox], [type=radio]), select)');

  async function look() {
    if (due) {
      due = false;
      now = await read();
      for (const ep of page.endpoints)
        page.shown.get(ep.endpoint_id)?.(ep);
    }
    if (now === page.drawn)
      return;
    if (isUsed()) {
      again(); // till nobody is
      return;
    }
    const {key} = document.activeElement?.dataset ?? {};
    page.drawn = now;
    page.draw(key);
  }
  const again = () => {
    timer ||= setTimeout(() => {
      timer = 0;
      look().catch(() => {}); // the head of the page says that it is away
    }, SOON_MS);
  };
  const soon = () => {
    due = true;
    again();
  };
  const end = page.live.subscribe(({deliveries, settings}) => {
    const now = JSON.stringify([deliveries, settings]);
    if (now !== moved) // the first, too: it may have moved since it was read
      soon();
    moved = now;
  });
  return () => {
    end();
    clearTimeout(timer);
  };
}

export async function mount(root, ctx) {
  const wanted = ctx.rest[0] ?? '';
  const pick = el('select', {'aria-label': 'App', 'data-key': 'pick'});
  const body = el('div', {});
  // shown: by endpoint, what shows how it does; drawn: what the page is of;
  // wished: by endpoint, what it is to be told of, until that is saved
  const page = {...ctx, once: null, shown: new Map(), drawn: '', wished: new Map()};

  /** Do it, draw again, and say so. */
  page.call = async (promise, done, key) => {
    const said = await promise.then(() => [done], (e) => [e.message, 'bad']);
    await page.refresh(key);
    ctx.toast(...said);
  };
  page.showOnce = (pair) => {
    page.once = pair && {app: page.app.id, pair};
    page.draw(pair ? 'copy-secret' : 'make-api-key');
  };

  let asked = 0, newest;
  const readOnce = async (mine) => {
    const options = {signal: ctx.signal};
    const {apps} = await ctx.api.get('/v1/apps', {}, options);
    const app = wanted === 'new' ? null :
      apps.find((a) => String(a.id) === wanted) ?? (wanted ? undefined : apps[0] ?? null);
    const list = app ? (await ctx.api.get(
      ctx.path`/v1/apps/${app.id}/endpoints`, {}, options)).endpoints : [];
    if (mine !== asked)
      return newest; // and not what was so before
    Object.assign(page, {apps, app, endpoints: list});
    return JSON.stringify([page.apps.map((a) => [a.id, a.name]), page.app,
      page.endpoints.map((e) => SETTINGS.map((key) => e[key]))]);
  };
  /** What the page is to be drawn of, as a text; of who reads at a time, the newest. */
  const read = () => (newest = readOnce(++asked));
  /** What was opened stays open. */
  page.draw = (key) => {
    const open = new Set([...body.querySelectorAll('details[open]')]
      .map((d) => d.firstChild.textContent));
    const {app} = page;
    const typeAgain = typedIn(body);
    page.shown.clear();
    pick.replaceChildren(...page.apps.map((a) =>
      el('option', {value: a.id, selected: a === app}, titleOf(a))),
    ...app ? [] : [el('option', {value: '', selected: true}, 'choose')]);
    body.replaceChildren(...app ? [
      ...isKept(app) ? [] : [declared(app)], identity(app, page), recording(app, page),
      endpoints(app, page.endpoints, page, {card, row}), apiKeys(app, page),
    ] : app === null ? [newApp(page)] : [empty(`There is no app ${wanted}`,
      el('p', {}, 'It may have been removed. Choose one above, or make it.'))]);
    for (const d of body.querySelectorAll('details'))
      d.open ||= open.has(d.firstChild.textContent);
    typeAgain();
    if (!key)
      return;
    const at = body.querySelector(`[data-key="${CSS.escape(key)}"]`);
    (at?.closest('details:not([open])')?.querySelector('summary') ?? at)?.focus();
  };
  page.refresh = async (key) => {
    page.drawn = await read();
    page.draw(key);
  };

  page.drawn = await read();
  pick.addEventListener('change', () => pick.value && ctx.navigate('app', [pick.value]));
  root.append(el('div', {class: 'bar'}, el('h2', {}, 'App'), pick,
    el('span', {class: 'soft'}, count(page.apps.length, 'app')),
    button('New app', () => ctx.navigate('app', ['new']), {class: 'right'})), body);
  page.draw(wanted === 'new' ? 'new-id' : undefined);
  noteTyping(body);
  return follow(page, body, read);
}
