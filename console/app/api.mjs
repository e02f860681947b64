// Asking the server: JSON in, JSON out, errors as problems (RFC 9457).
// SPDX-License-Identifier: Apache-2.0

const PATIENCE_MS = 30_000;

/** What went wrong: `status` 0 when the server did not answer, `message` a
 *  sentence for people, `field` what of the request is meant, or ''. */
export class ApiError extends Error {
  constructor(status, message, field = '') {
    super(message);
    this.status = status;
    this.field = field;
  }
}

/** Told when the server wants a login; calls wait until it resolves. */
export const login = {ask: null};

async function send(method, path, {query, body, signal}) {
  const parameters = Object.entries(query ?? {}).filter(([, v]) => v !== undefined && v !== null &&
    v !== '');
  const text = new URLSearchParams(parameters).toString();
  const patience = AbortSignal.timeout(PATIENCE_MS);
  try {
    return await fetch(text ? `${path}?${text}` : path, {
      method,
      cache: 'no-store',
      signal: signal ? AbortSignal.any([signal, patience]) : patience,
      ...(body === undefined ? {} :
        {body: JSON.stringify(body), headers: {'Content-Type': 'application/json'}}),
    });
  } catch (e) {
    if (signal?.aborted)
      throw e;
    throw new ApiError(0, 'The server does not answer.');
  }
}

async function read(answer) {
  const isJson = /json/.test(answer.headers.get('content-type') ?? '');
  const said = isJson ? await answer.json().catch(() => null) : null;
  if (answer.ok)
    return said;
  throw new ApiError(answer.status, said?.detail ?? said?.title ??
    `The server answered ${answer.status}.`, said?.field ?? '');
}

/**
 * One request.  `query`: parameters, those without a value are left out;
 * `body`: becomes JSON; `signal`: to give up.  Gives the parsed answer, or
 * throws ApiError.  Where a login is needed, it waits for that.
 */
async function request(method, path, options = {}) {
  for (;;) {
    const answer = await send(method, path, options);
    if (answer.status !== 401 || !login.ask)
      return read(answer);
    await login.ask();
  }
}

/** A path of parts from outside: path`/v1/apps/${app}/rooms/${room}`. */
export const path = (texts, ...parts) => texts.reduce((all, text, i) =>
  all + encodeURIComponent(parts[i - 1]) + text);

export const api = {
  get: (where, query, options) => request('GET', where, {query, ...options}),
  post: (where, body, options) => request('POST', where, {body, ...options}),
  patch: (where, body, options) => request('PATCH', where, {body, ...options}),
  del: (where, query, options) => request('DELETE', where, {query, ...options}),
};
