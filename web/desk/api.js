// Calls to the desk. Every failure becomes a Problem: what happened, and what to do about it.

const TIMEOUT_MS = 10_000; // a desk that is slower than this is treated as gone
const UPLOAD_TIMEOUT_MS = 180_000; // what a server waits for a file, and decodes it in

export class Problem extends Error {
  constructor(status, title, detail, type) {
    super(title);
    this.status = status;
    this.type = type;
    this.title = title;
    this.detail = detail;
  }

  /** True when trying again with the same key cannot help. */
  get isRefusal() { return this.status === 401 || this.status === 403 || this.status === 404 || this.status === 410; }
}

/** The Problem that a failed response tells of (RFC 9457), or a plain one. */
export async function problemOf(response) {
  const told = await response.json().catch(() => undefined) ?? {};
  const plain = {
    401: ['This link does not open the space', 'The key is wrong or has expired. Ask the host for a new link.'],
    403: ['This link may not do that', 'It is a key for something else. Ask the host for the right link.'],
    404: ['There is no space at this link', 'The link may be cut short, or the space was deleted.'],
  }[response.status] ?? [`The server answered ${response.status}`, 'Try again in a moment.'];
  return new Problem(response.status, told.title ?? plain[0], told.detail ?? plain[1], told.type);
}

/** Fetches, and has `read` take what came; where nothing came, the Problem is `lost`. What ends in the middle is one, too, and
    so is what another than the server answered: the page of a network that wants its guests to sign in first. */
export async function fetched(path, options, lost, read) {
  const response = await fetch(path, options).catch(() => { throw new Problem(0, ...lost); });
  if (!response.ok) throw await problemOf(response);
  try { return await read(response); } catch { throw new Problem(0, 'The server’s answer was cut short', 'Check your connection. This page keeps trying.'); }
}

export function api(key, method, path, body) {
  return fetched(path, {
    method,
    headers: { Authorization: `Bearer ${key}`, ...(body && { 'Content-Type': 'application/json' }) },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(TIMEOUT_MS),
    cache: 'no-store',
  }, ['The server cannot be reached', 'Check your connection. This page keeps trying.'], response => response.status === 204 ? undefined : response.json());
}

/** Sends a file, which the server makes something of before it answers. */
export function upload(key, path, file) {
  return fetched(path, {
    method: 'PUT',
    headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/octet-stream' },
    body: file,
    signal: AbortSignal.timeout(UPLOAD_TIMEOUT_MS),
  }, ['The file did not get through', 'Check your connection and send it again.'], response => response.json());
}

/** Calls `task` again and again: `everyMs` after each end, up to 15 s apart while it fails, until it is refused. A fault of
    our own ends nothing: a page that stands still shows what is no longer true. */
export function repeat(task, everyMs) {
  let failures = 0;
  const turn = async () => {
    try { await task(); failures = 0; } catch (problem) {
      if (problem.isRefusal) return;
      if (!(problem instanceof Problem)) console.error(problem);
      failures = Math.min(failures + 1, 4);
    }
    setTimeout(turn, Math.min(15_000, everyMs * 2 ** failures));
  };
  turn();
}
