// The host's hand on each seat: mute, gain, off the stage.
import { onPress } from './confirm.js';
import { decibels, make, text } from './words.js';

const GAIN_DB_MIN = -20, GAIN_DB_MAX = 12; // what the server takes

/** Draws what is set of each seat into the lines that drawSeats made; `act` has what is done: mute, gain, remove. */
export function drawHand(list, speakers = [], act) {
  speakers.forEach((speaker, i) => {
    const hand = list.children[i].querySelector('.hand') ?? newHand(list.children[i], speaker.seat, act);
    const [mute, label, remove] = hand.children, gain = label.querySelector('input');
    text(mute, speaker.muted_by_host ? 'Unmute' : 'Mute');
    mute.dataset.muted = speaker.muted_by_host;
    if (!gain.dataset.held) gain.value = speaker.gain_db;
    tellGain(gain);
    if (!speaker.connected && remove === document.activeElement) mute.focus();
    remove.hidden = !speaker.connected;
  });
}

function newHand(line, seat, act) {
  const who = line.querySelector('.who');
  who.id = `who-${seat}`;
  const whose = { 'aria-describedby': who.id };
  const mute = make('button', { type: 'button', 'data-mute': seat, ...whose }, 'Mute');
  mute.addEventListener('click', () => act.mute(seat, mute.dataset.muted !== 'true'));
  const gain = make('input', { type: 'range', min: GAIN_DB_MIN, max: GAIN_DB_MAX, step: 1, 'data-gain': seat, ...whose });
  gain.addEventListener('input', () => { gain.dataset.held = true; tellGain(gain); });
  gain.addEventListener('change', async () => {
    await act.gain(seat, gain.valueAsNumber);
    delete gain.dataset.held;
  });
  const label = make('label', {}, make('span', {}, 'Gain'), gain, make('output', {}));
  const remove = make('button', { class: 'quiet', type: 'button', 'data-remove': seat, 'data-confirm': 'Press again: only they can come back', ...whose }, 'Take off the stage');
  onPress(remove, () => act.remove(seat));
  const hand = make('div', { class: 'hand' }, mute, label, remove);
  line.append(hand);
  return hand;
}

function tellGain(gain) {
  const words = decibels(gain.valueAsNumber);
  gain.setAttribute('aria-valuetext', words);
  text(gain.nextElementSibling, words);
}
