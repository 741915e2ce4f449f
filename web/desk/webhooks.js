// The operator's webhooks: which programs are told what happens, and whether it arrives.
import { api, repeat } from './api.js';
import { onPress } from './confirm.js';
import { $, count, make, showProblem, text } from './words.js';

const POLL_MS = 10_000;
let printed;

/** Begins to show the webhooks of this server, for whoever has the operator's key. */
export function takeWebhooks(key) {
  const path = '/api/webhooks';
  const look = async () => draw((await api(key, 'GET', path)).webhooks, act);
  const act = async (words, method, at, body) => {
    say('One moment…');
    try {
      const answer = await api(key, method, `${path}${at}`, body);
      showProblem($('problem'));
      say(typeof words === 'function' ? words(answer) : words);
      look().catch(() => {}); // the next look shows it: what was answered may be told this once
      return answer;
    } catch (problem) { say(''); showProblem($('problem'), problem); return undefined; }
  };
  $('webhook-form').addEventListener('submit', async event => {
    event.preventDefault();
    const made = await act('It is told from now on.', 'POST', '', { url: $('webhook-url').value.trim() });
    if (!made) return;
    $('webhook-form').reset();
    text('webhook-secret', made.secret);
    $('webhook-made').hidden = false;
  });
  repeat(look, POLL_MS);
}

const say = words => text('webhook-status', words);

function wordsOf(call) {
  if (!call) return 'Not called yet.';
  return call.delivered ? `Delivered: it answered ${call.status}.` : `Not delivered: ${call.reason}.`;
}

function draw(hooks, act) {
  const lines = hooks.map(hook => ({ hook, words: `${wordsOf(hook.last)}${hook.pending ? ` ${count(hook.pending)} waiting.` : ''}` }));
  const print = JSON.stringify(lines);
  if (printed === print) return; // unchanged: keep the keyboard's place
  printed = print;
  const focused = document.activeElement?.dataset?.hook;
  $('webhooks').replaceChildren(...lines.map(line => drawHook(line, act)));
  if (focused) $('webhooks').querySelector(`[data-hook="${CSS.escape(focused)}"]`)?.focus();
}

function drawHook({ hook: { id, url, events }, words }, act) {
  const of = events.length ? events.join(', ') : 'Everything';
  const ping = make('button', { type: 'button', 'data-hook': `ping-${id}`, 'aria-label': `Test ${url}` }, 'Test');
  ping.addEventListener('click', () => act(wordsOf, 'POST', `/${id}/ping`));
  const remove = make('button', { class: 'quiet', type: 'button', 'data-hook': `delete-${id}`, 'data-confirm': 'Press again: what waits is lost', 'aria-label': `Delete ${url}` }, 'Delete');
  onPress(remove, () => act('It is told nothing any more.', 'DELETE', `/${id}`));
  return make('li', {}, make('span', {}, make('code', { title: url }, url), make('small', {}, `${of}. ${words}`)), ping, remove);
}
