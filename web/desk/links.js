// Links that can be copied, each with what it can do.
import { onPress } from './confirm.js';
import { make } from './words.js';

const COPIED_MS = 2_000;

/** `renew(seat)` makes a new link for a speaker; without it no such button is drawn. */
export function drawLinks(list, links, renew) {
  const { listen_url: listen, host_url: host, speaker_urls: speakers = [] } = links;
  const lines = [
    listen && drawLink('listen', 'Listeners', 'Give it to everybody. The same link before, during and after.', listen),
    host && drawLink('host', 'Host', 'Opens this desk: start, end, delay. Keep it to yourself.', host),
    ...Array.from({ length: links.seats ?? speakers.length }, (_, i) => drawSpeaker(i + 1, speakers[i], renew)),
  ].filter(Boolean);
  list.replaceChildren(...lines);
}

function drawSpeaker(seat, url, renew) {
  const does = url ? 'One person: talks on stage.' : 'The link was told once. A new one can be made.';
  const line = drawLink(`speaker-${seat}`, `Speaker ${seat}`, does, url);
  if (renew) {
    const button = make('button', { class: 'quiet', type: 'button', 'data-renew': seat, 'data-confirm': 'The old link will not work' }, 'New link');
    onPress(button, () => renew(seat));
    line.append(button);
  }
  return line;
}

function drawLink(id, name, does, url) {
  const says = make('span', {}, make('b', {}, name), make('small', {}, does));
  if (!url) return make('li', {}, says);
  const code = make('code', { title: url }, url);
  const button = make('button', { type: 'button', 'data-copy': id, 'aria-label': `Copy the link: ${name}` }, 'Copy');
  button.addEventListener('click', () => copy(button, code));
  says.append(code);
  return make('li', {}, says, button);
}

async function copy(button, code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = 'Copied';
  } catch {
    getSelection().selectAllChildren(code); // no clipboard on an insecure page: selected, ready for the keyboard
    button.textContent = 'Selected';
  }
  setTimeout(() => { button.textContent = 'Copy'; }, COPIED_MS);
}
