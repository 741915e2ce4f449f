// The operator's studio: every space of this server, and the form that makes a new one.
import { api, repeat } from './api.js';
import { keepLinks, keptLinks, reloadOnNewKey, takeKey } from './key.js';
import { drawLinks } from './links.js';
import { takeWebhooks } from './webhooks.js';
import { $, count, make, MARKS, moment, showLook, showProblem, text } from './words.js';

const POLL_MS = 5_000;
const ORDER = ['live', 'doors', 'announced', 'ended', 'cancelled'];
const key = takeKey();

async function look() {
  try {
    const { spaces } = await api(key, 'GET', '/api/spaces');
    draw(spaces);
    $('place').hidden = false;
    showLook($('problem'));
  } catch (problem) {
    showLook($('problem'), problem);
    if (problem.isRefusal) $('place').hidden = true;
    throw problem;
  }
}

function draw(spaces) {
  const byState = (a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || Date.parse(b.scheduled_at ?? 0) - Date.parse(a.scheduled_at ?? 0);
  const lines = spaces.toSorted(byState).map(space => ({ space, words: wordsFor(space) }));
  const print = JSON.stringify(lines);
  $('none').hidden = spaces.length > 0;
  if ($('spaces').print === print) return; // unchanged: keep the keyboard's place
  $('spaces').print = print;
  const focused = document.activeElement?.dataset?.slug;
  $('spaces').replaceChildren(...lines.map(drawSpace));
  if (focused) $('spaces').querySelector(`[data-slug="${CSS.escape(focused)}"]`)?.focus();
}

function wordsFor(space) {
  if (space.state === 'live') return `${count(space.listening)} listening`;
  if (space.state === 'ended') return [space.started_at && moment(space.started_at), `up to ${count(space.peak)} listening`].filter(Boolean).join(' · ');
  return space.scheduled_at ? moment(space.scheduled_at) : 'No time set';
}

function drawSpace({ space, words }) {
  const link = make('a', { href: hostUrl(space.slug), 'data-slug': space.slug },
    make('b', {}, space.title), make('span', { class: 'mark' }, MARKS[space.state] ?? space.state), make('span', { class: 'soft' }, words));
  return make('li', { 'data-state': space.state }, link);
}

/** The host's link where this tab knows it; else the desk opens with the operator's key. */
const hostUrl = slug => keptLinks(slug).host_url ?? `/studio/${encodeURIComponent(slug)}`;

async function create(event) {
  event.preventDefault();
  $('create').disabled = true;
  try {
    const time = $('new-time').value;
    const title = $('new-title').value.trim();
    const made = await api(key, 'POST', '/api/spaces', {
      title,
      ...(time && { scheduled_at: new Date(time).toISOString() }),
      speakers: Number($('new-speakers').value),
      ...($('new-expected').value && { expected_listeners: Number($('new-expected').value) }),
      ...($('new-stereo').checked && { stereo: true }),
    });
    showCreated(title, made);
    $('create-form').reset();
    showProblem($('problem'));
    await look().catch(() => {}); // it has said so
  } catch (problem) { showProblem($('problem'), problem); }
  $('create').disabled = false;
}

function showCreated(title, made) {
  keepLinks(made.slug, { listen_url: made.listen_url, host_url: made.host_url, speaker_urls: made.speaker_urls });
  text('created-title', `“${title}” is announced`);
  drawLinks($('links'), made);
  $('open-studio').href = made.host_url;
  $('created').hidden = false;
  $('created').scrollIntoView({ block: 'nearest' });
}

$('create-form').addEventListener('submit', create);
reloadOnNewKey();
if (key) {
  repeat(look, POLL_MS);
  takeWebhooks(key);
} else {
  showProblem($('problem'), { title: 'This page needs the operator’s link', detail: 'The server printed it when it started: it ends in #key=…' });
}
