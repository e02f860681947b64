// What pages are made of.  Text from outside goes in as text, never as markup.
// SPDX-License-Identifier: Apache-2.0
export {badge, copies, count, el, length, name, place, size, time, words}
  from '../shared/elements.mjs';
import {el} from '../shared/elements.mjs';

let ids = 0;
/** An id that no other element has. */
export const newId = (what = 'id') => `${what}-${++ids}`;

/** A button that does `fn`; pressed again before that is done, it does nothing.
 *  (It is not `disabled` meanwhile: that would take the focus away.)
 *  attributes: class 'main' (the one to press), 'danger', aria-label .. */
export function button(text, fn, attributes = {}) {
  const b = el('button', {type: 'button', ...attributes}, text);
  b.addEventListener('click', async () => {
    if (b.ariaBusy === 'true')
      return;
    b.ariaBusy = 'true';
    try {
      await fn(b);
    } finally {
      b.ariaBusy = null;
    }
  });
  return b;
}

/** A labelled input, select or textarea; `hint`: a sentence below it. */
export function field(label, input, hint = '') {
  input.id ||= newId('field');
  const note = hint ? el('span', {class: 'soft', id: `${input.id}-hint`}, hint) : '';
  if (note)
    input.setAttribute('aria-describedby', note.id);
  return el('div', {class: 'field'}, el('label', {for: input.id}, label), input, note);
}

/** A select of [value, text] pairs. */
export function select(options, value, attributes = {}) {
  const s = el('select', attributes,
    ...options.map(([v, text]) => el('option', {value: v}, text)));
  if (value !== undefined)
    s.value = String(value);
  return s;
}

/**
 * A table that becomes cards on a phone.
 *
 * columns   [{title, cell(row) -> node or text, class}]
 * rows      objects
 * caption   what it is, for who cannot see it
 */
export function table(caption, columns, rows) {
  return el('table', {},
    el('caption', {class: 'unseen'}, caption),
    el('thead', {}, el('tr', {}, ...columns.map((c) =>
      el('th', {scope: 'col', class: c.class}, c.title)))),
    el('tbody', {}, ...rows.map((row) => el('tr', {}, ...columns.map((c) =>
      el('td', {class: c.class, 'data-title': c.title}, c.cell(row)))))));
}

/** What to do first, where there is nothing yet. */
export function empty(title, ...children) {
  return el('section', {class: 'empty'}, el('h3', {}, title), ...children);
}

/** A command to copy. */
export function command(text) {
  const code = el('code', {}, text);
  return el('p', {class: 'command'}, code, button('Copy', async (b) => {
    await navigator.clipboard.writeText(text);
    b.textContent = 'Copied';
    setTimeout(() => (b.textContent = 'Copy'), 1500);
  }, {'aria-label': `Copy: ${text}`}));
}

/** A level in dBFS as a bar; .set(dbfs) moves it, null: nothing is heard. */
export function meter(label) {
  const bar = el('meter', {min: -60, max: 0, low: -50, high: -6, optimum: -20, value: -60,
    'aria-label': label});
  bar.set = (dbfs) => {
    const value = dbfs === null || dbfs === undefined ? -60 : Math.max(-60, Math.min(0, dbfs));
    bar.value = value;
    bar.title = value <= -60 ? 'silent' : `${Math.round(value)} dBFS`;
  };
  return bar;
}

/** Ask before what cannot be taken back; resolves true or false. */
export function confirm(title, text, yes) {
  return new Promise((done) => {
    const dialog = el('dialog', {'aria-label': title}, el('h2', {}, title), el('p', {}, text));
    dialog.append(el('p', {class: 'line'}, button(yes, () => dialog.close('yes'),
      {class: 'danger'}), button('Cancel', () => dialog.close())));
    dialog.addEventListener('close', () => { // also by Escape, or a page that is left
      dialog.remove();
      done(dialog.returnValue === 'yes');
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
