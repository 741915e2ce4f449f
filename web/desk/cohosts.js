// Who runs the space with its host: their links, and who is at the desk.
import { api } from './api.js';
import { onPress } from './confirm.js';
import { drawLink } from './links.js';
import { $, make, text } from './words.js';

const POLLS = 10; // of the space, between two looks at the list
let list, polls = 0, printed;
const urls = new Map(); // told once, and kept by this page alone

/** Who is at the desk, in words; `me` is what the server says of who asks. */
export function tellDesk({ at_desk: there = [] }, me) {
  const names = there.map(one => {
    const isMe = one.role === me.role && one.cohost === me.cohost;
    return `${nameOf(one)}${isMe ? ' (you)' : ''}`;
  });
  const isHostThere = there.some(one => one.role !== 'cohost');
  text('desk-word', names.length ? `At the desk: ${names.join(', ')}.${isHostThere ? '' : ' The host is not here: you can go on, and end it.'}` : '');
}

const nameOf = ({ role, cohost }) => role === 'cohost' ? `cohost ${cohost}` : `the ${role}`;

/** Shows the cohosts' links; `act.say` tells what was done, `act.fail` what went wrong. */
export async function showCohosts(key, path, isHost, act) {
  if (polls++ % POLLS === 0) await load(key, path);
  const print = JSON.stringify([list, isHost, [...urls]]);
  if (!list || print === printed) return;
  printed = print;
  $('cohosts').replaceChildren(...list.map(({ cohost, at_desk }) => line(cohost, at_desk, isHost, revoke)));
  $('add-cohost').hidden = !isHost;

  async function revoke(cohost) {
    await attempt(act, async () => {
      await api(key, 'DELETE', `${path}/cohosts/${cohost}`);
      urls.delete(cohost);
      act.say(`The link of cohost ${cohost} opens nothing any more.`);
    });
    await again(key, path, isHost, act);
  }
}

/** Makes a link, which is shown until the page is closed. */
export async function addCohost(key, path, act) {
  await attempt(act, async () => {
    const { cohost, cohost_url: url } = await api(key, 'POST', `${path}/cohosts`);
    urls.set(cohost, url);
    act.say(`Cohost ${cohost} has a link. Copy it now: it is shown in this page only.`);
  });
  await again(key, path, true, act);
}

async function again(key, path, isHost, act) {
  polls = 0;
  await showCohosts(key, path, isHost, act);
}

async function load(key, path) {
  try { list = (await api(key, 'GET', `${path}/cohosts`)).cohosts; } catch { polls = 0; } // with the next look
}

async function attempt(act, task) {
  try { await task(); act.fail(); } catch (problem) { act.fail(problem); }
}

function line(cohost, isThere, isHost, revoke) {
  const does = `${isThere ? 'At the desk now. ' : ''}Runs the space like the host, but cannot cancel or delete it.`;
  const entry = drawLink(`cohost-${cohost}`, `Cohost ${cohost}`, does, urls.get(cohost));
  if (!isHost) return entry;
  const button = make('button', { class: 'quiet', type: 'button', 'aria-label': `Revoke the link of cohost ${cohost}`, 'data-confirm': 'Press again: the link will not work', 'data-revoke-cohost': cohost }, 'Revoke');
  onPress(button, () => revoke(cohost));
  entry.append(button);
  return entry;
}
