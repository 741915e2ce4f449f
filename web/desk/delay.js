// The delay of the programme, and the key that takes back what listeners have not heard yet.
import { isWriting } from './keys.js';
import { server } from './time.js';
import { $, text } from './words.js';

const LOOK_MS = 250; // between two counts of what is held, which grows while nobody looks

let space, act, at; // as the server said it, and when
let asked = 0;      // delays that were chosen and are not answered yet

/** Makes the controls work; `hand` has what is done: delay, dump, and say. */
export function takeDelay(hand) {
  act = hand;
  $('delay').append(...Array.from({ length: 11 }, (_, seconds) => new Option(seconds ? `${seconds} s later` : 'at once', seconds)));
  $('delay').addEventListener('change', choose);
  $('dump').addEventListener('click', dump);
  document.addEventListener('keydown', event => {
    if (event.code !== 'KeyD' || !event.shiftKey || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (isWriting(event.target)) return;
    event.preventDefault();
    dump();
  });
  setInterval(() => space && tell(), LOOK_MS);
}

/** What was chosen stands until it is answered; then what is, which a refusal does not change. */
async function choose() {
  asked++;
  await act.delay(Number($('delay').value));
  if (!--asked) $('delay').value = space.delay_seconds;
}

/** Once is enough: a second press within the second is a trembling hand. */
let dumpedAt = -Infinity;
function dump() {
  if (!space || $('delay-box').hidden || performance.now() - dumpedAt < 1_000) return;
  if ($('dump').disabled) return act.say('Nothing is held back now: nothing was dumped.');
  dumpedAt = performance.now();
  act.dump();
}

/** Shows the delay of a space as the server tells it. */
export function drawDelay(next) {
  space = next;
  at = performance.now();
  if (!asked && document.activeElement !== $('delay')) $('delay').value = space.delay_seconds;
  tell();
}

function tell() {
  const { delay_seconds: wanted, delay, state } = space;
  const since = (performance.now() - at) / 1000;
  const left = server.secondsUntil(state === 'ended' ? space.ended_at : space.started_at);
  const starts = state === 'live' && left > 0, ends = state === 'ended' && left > 0;
  const grows = delay.bridging || starts;
  const told = grows ? Math.min(wanted, delay.held_seconds + since) : delay.held_seconds;
  const held = ends ? Math.min(told, left) : told;
  $('dump').disabled = held === 0;
  $('delay').disabled = ends;
  text('dump-what', held > 0 ? `removes the last ${held.toFixed(0)} s` : 'nothing to remove');
  text('delay-word', words({ wanted, held, starts, ends, left, state, ...delay }));
}

function words({ wanted, held, starts, ends, left, state, bridging, full }) {
  if (ends) return `Off air in ${Math.ceil(left)} s: what was said is still played out.`;
  if (!wanted && !held) return 'What is said cannot be taken back. With a delay of some seconds it can.';
  if (state !== 'live') return 'It begins when you go live: hold music goes on until then.';
  if (starts) return `Listeners hear the stage in ${Math.ceil(left)} s. What is said now, they will hear.`;
  if (bridging) return `Listeners hear soft music while the delay is built up: ${held.toFixed(0)} of ${wanted} s. Talk on, nothing is lost.`;
  if (held > wanted + 0.4) return `Listeners are ${held.toFixed(1)} s behind. Pauses are left out until it is ${wanted} s.`;
  return full ? `The delay is full: ${wanted} s.` : `The delay is set to ${wanted} s. It begins with the next pause.`;
}
