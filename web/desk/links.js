// Links that can be copied, each with what it can do.
import { onPress } from './confirm.js';
import { make } from './words.js';

const COPIED_MS = 2_000;

/** `act.renew(seat)` makes a new link for a speaker, `act.revoke(seat)` takes his back; without `act` no such buttons are drawn. */
export function drawLinks(list, links, act) {
  const { listen_url: listen, host_url: host, speaker_urls: speakers = [] } = links;
  const lines = [
    listen && drawLink('listen', 'Listeners', 'Give it to everybody. The same link before, during and after.', listen),
    host && drawLink('host', 'Host', 'Opens this desk: start, end, delay. Keep it to yourself.', host),
    ...Array.from({ length: links.seats ?? speakers.length }, (_, i) => drawSpeaker(i + 1, speakers[i], links.good?.[i] ?? true, act)),
  ].filter(Boolean);
  list.replaceChildren(...lines);
}

function drawSpeaker(seat, url, isGood, act) {
  const does = !isGood ? 'The link opens nothing any more. A new one can be made.'
    : url ? 'One person: talks on stage.' : 'The link was told once. A new one can be made.';
  const line = drawLink(`speaker-${seat}`, `Speaker ${seat}`, does, isGood && url);
  if (act) line.append(button('New link', `New link for speaker ${seat}`, 'Press again: the old link will not work', { 'data-renew': seat }, () => act.renew(seat)));
  if (act && isGood) line.append(button('Revoke', `Revoke the link of speaker ${seat}`, 'Press again: the link will not work', { 'data-revoke': seat }, () => act.revoke(seat)));
  return line;
}

function button(words, name, confirm, data, press) {
  const button = make('button', { class: 'quiet', type: 'button', 'aria-label': name, 'data-confirm': confirm, ...data }, words);
  onPress(button, press);
  return button;
}

/** One link with its copy button; without a `url`, what is to be known of it. */
export function drawLink(id, name, does, url) {
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
