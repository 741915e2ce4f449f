// Links that can be copied, each with what it can do.
import { make } from './words.js';

const COPIED_MS = 2_000;

export function drawLinks(list, { listen_url: listen, host_url: host, speaker_urls: speakers = [] }) {
  const lines = [
    listen && ['listen', 'Listeners', 'Give it to everybody. The same link before, during and after.', listen],
    host && ['host', 'Host', 'Opens this desk: start, end, delay. Keep it to yourself.', host],
    ...speakers.map((url, i) => [`speaker-${i + 1}`, `Speaker ${i + 1}`, 'One person each: talks on stage.', url]),
  ].filter(Boolean);
  list.replaceChildren(...lines.map(line => drawLink(...line)));
}

function drawLink(id, name, does, url) {
  const code = make('code', { title: url }, url);
  const button = make('button', { type: 'button', 'data-copy': id, 'aria-label': `Copy the link: ${name}` }, 'Copy');
  button.addEventListener('click', () => copy(button, code));
  return make('li', {}, make('span', {}, make('b', {}, name), make('small', {}, does), code), button);
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
