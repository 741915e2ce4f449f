// The host's chapters: marked while live, or afterwards at a place of the recording; renamed, moved, removed.
import { api } from './api.js';
import { onPress } from './confirm.js';
import { $, clock, make, showProblem, text } from './words.js';

const TITLE_CHARS_MAX = 120; // what the server takes
let touch, told, printed, editing;

/** "1:02:03", "62:03" or "3723" to seconds; NaN where it is none of these. */
export function secondsOf(words) {
  const parts = words.trim().split(':');
  if (parts.length > 3 || !parts.every(part => /^\d+([.,]\d+)?$/.test(part))) return NaN;
  return parts.reduce((sum, part) => 60 * sum + Number(part.replace(',', '.')), 0);
}

/** Begins to take chapters for the space at `path`; `done(words)` says what was done, and asks what is now. */
export function takeChapters(key, path, done) {
  const act = async (words, method, at, body) => {
    try {
      const answer = await api(key, method, `${path}/chapters${at}`, body);
      showProblem($('problem'));
      await done(typeof words === 'function' ? words(answer) : words);
      return true;
    } catch (problem) { showProblem($('problem'), problem); return false; }
  };
  $('chapters-form').addEventListener('submit', async event => {
    event.preventDefault();
    const title = $('chapter-title').value.trim(), asked = $('chapter-at').value;
    const at = asked ? secondsOf(asked) : undefined;
    $('chapter-at').setCustomValidity(Number.isNaN(at) ? 'Write it as 1:02:03 or 62:03.' : '');
    if (!$('chapters-form').reportValidity()) return;
    if (await act(`A chapter begins: ${title}.`, 'POST', '', { title, ...(at !== undefined && { at_seconds: at }) })) $('chapters-form').reset();
  });
  $('chapter-at').addEventListener('input', () => $('chapter-at').setCustomValidity(''));
  $('mark-speeches').addEventListener('click', () => act(wordsOfMarked, 'POST', '/from-turns'));
  touch = act;
}

function wordsOfMarked({ chapters: { length } }) {
  if (length === 0) return 'No chapter is marked: nobody else has talked for half a minute.';
  return length === 1 ? 'A chapter is marked. Rename it as you like.' : `${length} chapters are marked. Rename them as you like.`;
}

/** Draws what the server tells; a line that is being edited stays as it is. */
export function drawChapters(space) {
  const { chapters = [], state } = told = space;
  const can = state === 'live' || state === 'ended';
  $('chapters-box').hidden = !can;
  text('mark-chapter', state === 'live' ? 'Mark a chapter' : 'Add the chapter');
  $('chapter-at').required = state === 'ended';
  text('chapter-at-word', state === 'live' ? 'Empty: it begins now.' : 'Where it begins in the recording.');
  const print = JSON.stringify(chapters);
  if (printed === print || editing) return;
  printed = print;
  const focused = document.activeElement?.dataset?.chapter;
  $('chapters').replaceChildren(...chapters.map(line));
  if (focused) $('chapters').querySelector(`[data-chapter="${CSS.escape(focused)}"]`)?.focus();
}

function line(chapter) {
  const { id, at_seconds: at, title } = chapter;
  const edit = make('button', { class: 'quiet', type: 'button', 'data-chapter': `edit-${id}`, 'aria-label': `Edit the chapter ${title}` }, 'Edit');
  const remove = make('button', { class: 'quiet', type: 'button', 'data-chapter': `remove-${id}`, 'data-confirm': 'Press again to remove it', 'aria-label': `Remove the chapter ${title}` }, 'Remove');
  const item = make('li', {}, make('time', {}, clock(at)), make('span', {}, title), edit, remove);
  edit.addEventListener('click', () => { editing = id; item.replaceChildren(form(chapter)); item.querySelector('input').focus(); });
  onPress(remove, () => touch(`The chapter ${title} is removed.`, 'DELETE', `/${id}`));
  return item;
}

function form({ id, at_seconds: at, title }) {
  const name = make('input', { value: title, required: '', maxlength: TITLE_CHARS_MAX, 'aria-label': 'Title of the chapter', autocomplete: 'off' });
  const place = make('input', { value: clock(at), required: '', 'aria-label': 'Where it begins', autocomplete: 'off', inputmode: 'numeric', size: 8 });
  const cancel = make('button', { class: 'quiet', type: 'button' }, 'Leave as it is');
  const box = make('form', { class: 'edit' }, name, place, make('button', { type: 'submit' }, 'Save'), cancel);
  const close = () => { editing = printed = undefined; };
  const leave = () => { close(); drawChapters(told); };
  cancel.addEventListener('click', leave);
  box.addEventListener('keydown', event => { if (event.key === 'Escape') leave(); });
  place.addEventListener('input', () => place.setCustomValidity(''));
  box.addEventListener('submit', async event => {
    event.preventDefault();
    const to = secondsOf(place.value), moved = place.value !== clock(at);
    place.setCustomValidity(moved && Number.isNaN(to) ? 'Write it as 1:02:03 or 62:03.' : '');
    if (!box.reportValidity()) return;
    editing = undefined;
    const changed = await touch('The chapter is changed.', 'PATCH', `/${id}`, { title: name.value.trim(), ...(moved && { at_seconds: to }) });
    if (changed) close(); else editing = id;
  });
  return box;
}
