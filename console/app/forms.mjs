// Forms: what the server says is wrong stands at the field that it names.
// SPDX-License-Identifier: Apache-2.0
import {button, el, newId} from './widgets.mjs';

/** A button that copies the text of an element. */
export function copyButton(node, what) {
  return button('Copy', async (b) => {
    await navigator.clipboard.writeText(node.textContent);
    b.textContent = 'Copied';
    setTimeout(() => (b.textContent = 'Copy'), 1500);
  }, {'aria-label': `Copy ${what}`});
}

/** The input of a field, of the longest part of its name that is there. */
function inputOf(node, name) {
  for (let n = name; n; n = n.replace(/[^.[]*$/, '').replace(/[.[]$/, '')) {
    const found = node.querySelector(`[data-field="${CSS.escape(n)}"]`);
    if (found)
      return found;
  }
  return null;
}

function clear(node) {
  for (const at of node.querySelectorAll('[aria-invalid]'))
    at.removeAttribute('aria-invalid');
  for (const said of node.querySelectorAll('.fault.at'))
    said.remove();
}

/** Say it at its field, or at the end of the form. */
function tell(node, last, e) {
  const at = e.field ? inputOf(node, e.field) : null;
  if (!at) {
    last.textContent = e.message;
    return;
  }
  const named = `${e.field}: `; // as the API calls it; here it has a label
  const said = el('span', {class: 'fault at', role: 'alert', id: newId('fault')},
    e.message.startsWith(named) ? e.message.slice(named.length) : e.message);
  for (let d = at.closest('details'); d; d = d.parentElement.closest('details'))
    d.open = true;
  at.setAttribute('aria-invalid', 'true');
  at.setAttribute('aria-errormessage', said.id);
  if (at.matches('fieldset'))
    at.append(said);
  else
    at.after(said);
  (at.matches('fieldset') ? at.querySelector('input') : at).focus();
}

/** What of an input somebody changes. */
const valueOf = (input) => (input.matches('[type=checkbox], [type=radio]') ? 'checked' : 'value');

/** Note in `data-typed` what is typed below `root`. */
export const noteTyping = (root) => root.addEventListener('input', (e) =>
  e.target.form && (e.target.dataset.typed = ''));

/** What was typed into the forms below `root`, but for the one that is being
 *  sent; gives what puts it into forms of the same names that are there then. */
export function typedIn(root) {
  const kept = [...root.querySelectorAll('form:not([data-sending]) [data-typed]')].map((input) =>
    [input.form.ariaLabel, [...input.form].indexOf(input), input[valueOf(input)]]);
  return () => {
    for (const [what, at, value] of kept) {
      const input = [...root.querySelectorAll('form')].find((f) => f.ariaLabel === what)?.[at];
      if (!input)
        continue;
      input[valueOf(input)] = value;
      input.dataset.typed = '';
      input.dispatchEvent(new Event('change', {bubbles: true}));
    }
  };
}

/**
 * A form.  Inputs with data-field are those that an error may name.
 *
 * what, text   what it is, what its button says
 * key          data-key of the button, to find it again
 * beside       more buttons beside that
 * submit       async; an ApiError of it is told, anything else is thrown
 */
export function form({what, text, key, beside = []}, fields, submit) {
  const last = el('p', {class: 'fault', role: 'alert'});
  const send = el('button', {type: 'submit', class: 'main', 'data-key': key}, text);
  const node = el('form', {'aria-label': what, novalidate: true}, ...fields, last,
    el('p', {class: 'line'}, send, ...beside));
  node.addEventListener('submit', async (event) => {
    event.preventDefault();
    clear(node);
    last.textContent = '';
    send.disabled = true;
    node.dataset.sending = '';
    try {
      await submit();
    } catch (e) {
      if (e.status === undefined)
        throw e;
      tell(node, last, e);
    } finally {
      send.disabled = false;
      delete node.dataset.sending;
    }
  });
  return node;
}
