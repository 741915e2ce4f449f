// Who is on stage, and how loud: one line per seat with a meter.
import { make, text } from './words.js';

const FLOOR_DB = -60;   // left end of every meter
const TALKING_DB = -45; // louder than this counts as talking

/** dBov (or dBFS) to the length of a meter, 0 to 1. */
export const meterLength = db => Math.min(1, Math.max(0, 1 - (db ?? FLOOR_DB) / FLOOR_DB));

export function setMeter(meter, db) {
  meter.style.setProperty('--level', meterLength(db).toFixed(3));
  meter.classList.toggle('hot', db > -3);
}

export function newMeter() { return make('div', { class: 'meter', 'aria-hidden': 'true' }, make('i')); }

function says(speaker) {
  if (!speaker.connected) return speaker.muted_by_host ? 'Not here yet. Muted by the host' : 'Not here yet';
  if (speaker.place === 'green_room') return 'In the green room';
  if (speaker.muted_by_host) return 'Muted by the host';
  if (speaker.muted_by_self) return 'Muted by themselves';
  return speaker.level_dbov > TALKING_DB ? 'Talking' : 'Ready';
}

/** Draws `speakers` into the list; `mine` is the seat of this page's speaker, if known. */
export function drawSeats(list, speakers = [], mine) {
  while (list.children.length > speakers.length) list.lastElementChild.remove();
  while (list.children.length < speakers.length) {
    list.append(make('li', {}, make('span', { class: 'who' }), make('span', { class: 'says' }), newMeter()));
  }
  speakers.forEach((speaker, i) => {
    const line = list.children[i], word = says(speaker);
    line.className = [!speaker.connected && 'away', speaker.muted && 'muted', speaker.place === 'green_room' && 'waiting', word === 'Talking' && 'talking'].filter(Boolean).join(' ');
    line.dataset.seat = speaker.seat;
    line.dataset.connected = speaker.connected;
    text(line.querySelector('.who'), `${speaker.name ?? `Speaker ${speaker.seat}`}${speaker.seat === mine ? ' (you)' : ''}`);
    text(line.querySelector('.says'), word);
    setMeter(line.querySelector('.meter'), speaker.connected && !speaker.muted ? speaker.level_dbov : FLOOR_DB);
  });
}
