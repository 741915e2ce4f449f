// How the space sounds, and what each speaker said alone: its channels, two settings, and after go-live the files.
import { fetched } from './api.js';
import { make, text } from './words.js';

const TAKEN_MS = 60_000; // by then the browser has the file: Safari reads it some time after the click

/** Draws the settings and the tracks of the space; `set` changes a setting, `save` fetches a track. */
export function drawSound(box, space, { set, save }) {
  const over = space.state === 'ended' || space.state === 'cancelled';
  const started = over || space.state === 'live';
  const settings = box.querySelector('.settings'), list = box.querySelector('.tracks');
  for (const name of ['levelling', 'tracks']) {
    const input = settings.querySelector(`[name=${name}]`);
    // What was pressed stands until it is answered, whatever is looked up meanwhile.
    input.onchange = async () => {
      input.dataset.held = true;
      await set(name, input.checked);
      delete input.dataset.held;
    };
    if (!input.dataset.held) input.checked = space[name];
    input.disabled = over || (name === 'tracks' && started);
  }
  settings.hidden = over;
  box.querySelector('.stereo').hidden = !space.stereo;
  const seats = space.speakers.filter(speaker => speaker.has_track).map(speaker => speaker.seat);
  text(box.querySelector('.says'), wordsFor(space, started, seats.length));
  if (list.dataset.print !== `${seats}`) {
    list.dataset.print = `${seats}`;
    list.replaceChildren(...seats.map(seat => trackLine(seat, save)));
  }
  box.hidden = over && !space.tracks;
}

function wordsFor(space, started, kept) {
  if (!space.tracks) return started ? 'No tracks are kept: that is chosen before going live.' : '';
  if (!started) return 'From go-live on, each speaker is kept alone, too. Tell them.';
  return kept ? 'Each as they were sent, without gain or levelling, in step with the recording.' : 'Nobody has been heard yet.';
}

function trackLine(seat, save) {
  const button = make('button', { type: 'button', 'data-track': seat, 'aria-label': `Download the track of speaker ${seat}` }, 'Download');
  button.addEventListener('click', async () => {
    button.disabled = true;
    await save(seat);
    button.disabled = false;
  });
  return make('li', {}, make('span', {}, make('b', {}, `Speaker ${seat}`)), button);
}

/** Fetches a track with the key, which no link carries, and hands it to the browser as a download. */
export async function saveTrack(key, path, slug, seat) {
  const track = await fetched(`${path}/tracks/${seat}`, { headers: { Authorization: `Bearer ${key}` }, cache: 'no-store' },
    ['The track did not come', 'Check your connection and press again.'], response => response.blob());
  const link = make('a', { href: URL.createObjectURL(track), download: `${slug}-speaker-${seat}.mp4` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), TAKEN_MS);
}
