// What was done to the space, by whom and when: a list that is fetched only while somebody looks at it.
import { decibels, make, saidOf } from './words.js';

const POLL_MS = 5_000;
const ACTS = {
  'POST /': 'Created it', 'POST /open-doors': 'Opened the doors', 'POST /go-live': 'Went live', 'POST /end': 'Ended it', 'POST /cancel': 'Cancelled it',
  'PUT /cue': 'Began the countdown', 'DELETE /cue': 'Stopped the countdown', 'POST /dump': 'Dumped what was not heard yet',
  'PUT /hold': 'Chose the hold music', 'DELETE /hold': 'Took the hold music back', 'POST /cohosts': 'Made a cohost link',
  'POST /chapters': 'Marked a chapter', 'DELETE /recording': 'Deleted the recording',
};
const FIELDS = { title: 'the title', scheduled_at: 'the time', delay_reason: 'the reason for a delay', expected_listeners: 'the expected listeners' };

/** Keeps the list in an open `<details>`; `load()` fetches the newest acts. */
export function keepAudit(box, load) {
  const list = box.querySelector('ol');
  const note = box.querySelector('p');
  const plain = note.textContent;
  let timer;
  const look = async () => {
    clearTimeout(timer);
    if (!box.open) return;
    try {
      const { acts, next } = await load();
      list.replaceChildren(...acts.map(draw));
      note.textContent = acts.length === 0 ? 'Nothing yet.' : next ? `${plain} These are the newest ${acts.length}.` : plain;
    } catch (problem) {
      const { title, detail } = saidOf(problem);
      note.textContent = `${title}. ${detail}`;
    }
    timer = setTimeout(look, POLL_MS);
  };
  box.addEventListener('toggle', look);
}

function draw(act) {
  const refused = act.status >= 400;
  const at = make('time', { datetime: act.at }, new Date(act.at).toLocaleString([], { dateStyle: 'medium', timeStyle: 'medium' }));
  const who = `${act.role === 'operator' ? 'Operator' : act.role === 'host' ? 'Host' : 'Cohost'} · key ${act.key}`;
  const words = make('b', {}, said(act) + (refused ? ` – refused (${act.status})` : ''));
  return make('li', { class: refused ? 'away' : undefined }, words, make('small', {}, at, ` · ${who}`));
}

/** An act in words; one that this page does not know, as it was asked for. */
function said({ method, path, changed }) {
  const [, seat, part] = /^\/speakers\/(\d+)(\/\w+)?$/.exec(path) ?? [];
  const is = Object.fromEntries(changed.map(change => change.split('=')));
  if (ACTS[`${method} ${path}`]) return ACTS[`${method} ${path}`];
  if (method === 'PATCH' && path === '/') return edited(is);
  if (method === 'PATCH' && seat && !part) {
    const done = [
      is.muted && (is.muted === 'true' ? `Muted speaker ${seat}` : `Unmuted speaker ${seat}`),
      'place' in is && `Moved speaker ${seat}`,
      is.gain_db && `Set speaker ${seat} to ${decibels(Number(is.gain_db))}`,
    ].filter(Boolean);
    if (done.length) return done.join('. ');
  }
  if (method === 'DELETE' && part === '/session') return `Removed speaker ${seat}`;
  if (method === 'DELETE' && part === '/link') return `Revoked the link of speaker ${seat}`;
  if (method === 'POST' && part === '/link') return `Made a new link for speaker ${seat}`;
  return [method, path, ...changed].join(' ');
}

function edited({ stage_locked: locked, ...fields }) {
  const names = Object.keys(fields).map(name => FIELDS[name] ?? name.replaceAll('_', ' '));
  return [
    locked && (locked === 'true' ? 'Locked the stage' : 'Unlocked the stage'),
    names.length && `Changed ${names.join(', ')}`,
  ].filter(Boolean).join('. ') || 'Changed nothing';
}
