// Who talked when: a strip for each seat, and its share of the talk.
import { api, repeat } from './api.js';
import { $, clock, make, text } from './words.js';

const LAST_SECONDS = 300; // while it goes on; afterwards, all of it
const POLL_MS = 5_000;

/** Shows turns for as long as the page is open; `space()` is the space as it is known now. */
export function showTurns(key, path, space) {
  let told;
  repeat(async () => {
    const { state } = space();
    const isLive = state === 'live';
    if (!isLive && (state !== 'ended' || told)) return;
    draw(await api(key, 'GET', `${path}/turns${isLive ? `?last_seconds=${LAST_SECONDS}` : ''}`), isLive);
    told = !isLive;
  }, POLL_MS);
}

function draw({ seconds, turns, shares }, isLive) {
  $('turns-box').hidden = !shares.length;
  const from = isLive ? Math.max(0, seconds - LAST_SECONDS) : 0;
  text('turns-word', from ? 'The last five minutes; shares are of the whole talk.' : 'Since the start.');
  $('turns').replaceChildren(...shares.map(share => row(share, turns, from, seconds)));
}

function row({ seat, seconds, share }, turns, from, until) {
  const percent = `${Math.round(share * 100)} %`;
  const label = `Speaker ${seat} has talked for ${clock(seconds)}, ${percent} of the talk.`;
  const strip = make('div', { class: 'strip', role: 'img', 'aria-label': label });
  for (const turn of turns.filter(turn => turn.seat === seat)) {
    const bar = make('i');
    const at = time => Math.min(1, Math.max(0, (time - from) / (until - from || 1)));
    bar.style.setProperty('--from', at(turn.from_seconds).toFixed(4));
    bar.style.setProperty('--until', at(turn.until_seconds).toFixed(4));
    strip.append(bar);
  }
  return make('li', { 'data-turns': seat },
    make('span', {}, `Speaker ${seat}`), strip, make('span', { class: 'share' }, percent));
}
