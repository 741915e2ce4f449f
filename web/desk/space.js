// The host's desk for one space: the next step, who is on stage, what listeners hear and are told.
import { nameTab } from './alarms.js';
import { api, repeat } from './api.js';
import { keepAudit } from './audit.js';
import { drawChapters, takeChapters } from './chapters.js';
import { addCohost, showCohosts, tellDesk } from './cohosts.js';
import { onPress } from './confirm.js';
import { drawDelay, takeDelay } from './delay.js';
import { drawDetails, takeDetails } from './details.js';
import { drawHand } from './hand.js';
import { drawHold, takeHold } from './hold.js';
import { drawKeeping, takeKeeping } from './keeping.js';
import { keepLinks, keptLinks, reloadOnNewKey, takeKey } from './key.js';
import { startsIn } from './lamp.js';
import { drawLinks } from './links.js';
import { setMonitor, takeMonitor } from './monitor.js';
import { drawPlaces } from './place.js';
import { drawSeats } from './seats.js';
import { drawSound, saveTrack } from './sound.js';
import { Talkback } from './talkback.js';
import { server } from './time.js';
import { showTurns } from './turns.js';
import { $, alarmOf, clock, count, decibels, isOut, isOver, MARKS, showLook, showProblem, text, tooMany } from './words.js';

const POLL_MS = 1_000;
const SAID_MS = 4_000;
const CUE_SECONDS = 10; // as the button says
const CLOCK_MS = 200;  // a countdown's seconds change in step
const STEPS = ['announced', 'doors', 'live', 'ended'];
// What may be done in each state; the first is the sensible next step and looks like it.
const NEXT = { announced: ['open-doors', 'go-live', 'cue', 'cancel'], doors: ['go-live', 'cue', 'cancel'], live: ['end'], ended: [], cancelled: [] };

const slug = decodeURIComponent(location.pathname.split('/')[2]);
const path = `/api/spaces/${encodeURIComponent(slug)}`;
const key = takeKey('/studio');
let space, me = {}, printedLinks;
let asked = 0, shown = 0; // every look has a number, and the end of every act: of two answers, the one that was asked for later is shown

// ---- What is -----------------------------------------------------------------------------------

async function look() {
  const mine = ++asked;
  try {
    const since = Date.now(), next = await api(key, 'GET', path);
    server.take(next.now, since, Date.now());
    if (mine < shown) return;
    shown = mine;
    me = { role: next.role, cohost: next.cohost };
    show(next);
    showLook($('problem'));
  } catch (problem) {
    showLook($('problem'), problem);
    if (problem.isRefusal) shut();
    throw problem;
  }
}

/** Something is done: what was asked for before is old. */
function outdate() { shown = ++asked; }

/** The key opens nothing any more. */
function shut() {
  $('place').hidden = true;
  setMonitor(false);
  talkback.close();
}

function show(next) {
  const first = !space;
  space = next;
  document.documentElement.dataset.state = space.state;
  nameTab(`${MARKS[space.state]} · ${space.title}`);
  $('place').hidden = false;
  text('title', space.title);
  text('mark', MARKS[space.state] ?? '');
  for (const name of ['listening', 'peak', 'joined']) text(name, count(space[name]));
  drawSeats($('seats'), space.speakers);
  drawHand($('seats'), space.speakers, hand);
  drawPlaces($('seats'), space, hand);
  tellDesk(space, me);
  showCohosts(key, path, me.role !== 'cohost', told);
  drawChapters(space);
  drawKeeping(space, me.role !== 'cohost');
  drawDetails(space);
  drawSound($('sound-box'), space, sound);
  talkback.draw(space.speakers);
  drawDelay(space);
  drawHold(space);
  $('delay-box').hidden = isOut(space);
  for (const id of ['dump', 'dump-hint']) $(id).hidden = !space.delay_seconds && !space.delay.held_seconds;
  $('lock').setAttribute('aria-pressed', space.stage_locked);
  text('lock-word', space.stage_locked ? 'Locked: nobody new takes a seat. Whoever sat here when you locked it can come back.' : '');
  showSteps();
  showButtons();
  showClock();
  showLinks();
  for (const kind of ['dead_air', 'speaker', 'recording', 'store', 'clock', 'ladder']) showProblem($(`alarm-${kind}`), alarmOf(space, kind));
  showProblem($('capacity'), isOver(space) ? undefined : tooMany(space));
  for (const id of ['details', 'monitor-box', 'stage-box', 'cohosts-box']) $(id).hidden = isOver(space);
  if (isOver(space)) { setMonitor(false); talkback.close(); }
  if (first) showTurns(key, path, () => space);
}

function showSteps() {
  const at = STEPS.indexOf(space.state);
  $('steps').hidden = space.state === 'cancelled';
  for (const [i, step] of [...$('steps').children].entries()) {
    step.classList.toggle('past', i < at);
    if (i === at) step.setAttribute('aria-current', 'step'); else step.removeAttribute('aria-current');
  }
}

function showButtons() {
  const next = NEXT[space.state] ?? [];
  const hidden = { cue: Boolean(space.cue), cancel: me.role === 'cohost' };
  for (const id of ['open-doors', 'go-live', 'cue', 'end', 'cancel']) {
    $(id).hidden = !next.includes(id) || hidden[id];
    $(id).classList.toggle('main', id === next[0]);
  }
  $('replay').hidden = space.state !== 'ended' || !isOut(space) || Boolean(space.recording_deleted_at);
  $('stop-cue').hidden = !space.cue;
  $('replay').href = listenUrl() ?? '#';
}

function showClock() {
  const left = server.secondsUntil(space.scheduled_at), onAirIn = server.secondsUntil(space.started_at);
  const here = (space.speakers ?? []).filter(s => s.connected).length;
  const stage = space.speakers ? `${here} of ${space.speakers.length} speakers are here.` : '';
  const [word, time, now] = {
    announced: ['Starts in', left > 0 ? clock(left) : '–', `Listeners hear hold music. ${stage}`],
    doors: [left > 0 ? 'Starts in' : 'Past the time by', Number.isNaN(left) ? '–' : clock(Math.abs(left)), `Listeners hear hold music. ${stage}`],
    live: onAirIn > 1 ? ['On air in', clock(onAirIn), `Listeners hear hold music until then. ${stage}`]
      : ['On air for', clock(-onAirIn), `Listeners hear the stage. ${stage}`],
    ended: !isOut(space) ? ['Off air in', clock(Math.ceil(server.secondsUntil(space.ended_at))), 'Listeners hear what was said before the end.'] : ['Length', clock(space.recording?.seconds ?? 0), space.recording_deleted_at ? 'The same link says that there is no recording any more.' : 'The same link plays the replay now.'],
    cancelled: ['', 'Cancelled', 'Listeners are told so at the link.'],
  }[space.state];
  const cued = startsIn(space, server);
  if (cued !== undefined) {
    text('clock-word', 'On air in');
    text('clock', clock(Math.ceil(cued)));
    text('now', 'Every speaker sees this countdown. Listeners hear hold music until then.');
    return;
  }
  const noTime = !space.scheduled_at && (space.state === 'announced' || space.state === 'doors');
  text('clock-word', noTime ? 'No time is set' : space.state === 'announced' && left <= 0 ? 'Its time has come' : word);
  text('clock', noTime ? 'Ready' : time);
  text('now', now);
}

const listenUrl = () => space.listen_url ?? keptLinks(slug).listen_url;

function showLinks() {
  const good = space.speakers?.map(speaker => speaker.has_link);
  const links = { ...keptLinks(slug), listen_url: listenUrl(), seats: space.seats, good };
  const print = JSON.stringify([links, isOver(space)]);
  if (print === printedLinks) return;
  printedLinks = print;
  drawLinks($('links'), links, isOver(space) ? undefined : { renew, revoke });
}

/** A new link for a speaker; whoever is on stage by the old one has to leave. */
async function renew(seat) {
  try {
    const { speaker_url: url } = await api(key, 'POST', `${path}/speakers/${seat}/link`);
    outdate();
    showProblem($('problem'));
    const speakers = keptLinks(slug).speaker_urls ?? [];
    speakers[seat - 1] = url;
    keepLinks(slug, { ...keptLinks(slug), speaker_urls: speakers });
    showLinks();
    say(`Speaker ${seat} has a new link.`);
  } catch (problem) { showProblem($('problem'), problem); }
}

const revoke = seat => touch('DELETE', `/speakers/${seat}/link`, undefined, `The link of speaker ${seat} opens nothing any more.`);

// ---- The hand on the stage ---------------------------------------------------------------------------

const hand = {
  mute: (seat, muted) => touch('PATCH', `/speakers/${seat}`, { muted }, muted ? `You have muted speaker ${seat}.` : `Speaker ${seat} is no longer muted by you.`),
  place: (seat, place) => touch('PATCH', `/speakers/${seat}`, { place }, place === 'stage' ? `Speaker ${seat} is on stage.` : `Speaker ${seat} is in the green room: nobody hears them.`),
  gain: (seat, gain_db) => touch('PATCH', `/speakers/${seat}`, { gain_db }, `Speaker ${seat} is heard at ${decibels(gain_db)}.`),
  remove: seat => touch('DELETE', `/speakers/${seat}/session`, undefined, `Speaker ${seat} is off the stage. Their link is still good.`),
};

const told = { say, fail: problem => showProblem($('problem'), problem) };
const sound = {
  set: (name, on) => touch('PATCH', '', { [name]: on }, name === 'levelling' ? `Levelling is ${on ? 'on' : 'off'}.` : `Tracks are ${on ? 'kept from go-live on' : 'not kept'}.`),
  async save(seat) {
    try { await saveTrack(key, path, slug, seat); } catch (problem) { showProblem($('problem'), problem); }
  },
};

/** Changes something and says so; the space as it is then, unless that failed. */
async function touch(method, at, body, words) {
  try {
    const next = await api(key, method, `${path}${at}`, body);
    outdate();
    showProblem($('problem'));
    say(words);
    if (next) show(next); else await again();
    return space;
  } catch (problem) { showProblem($('problem'), problem); return undefined; }
}

/** Looks once more; what goes wrong, the look itself tells. */
const again = () => look().catch(() => {});

const talkback = new Talkback(`/s/${encodeURIComponent(slug)}/talkback`, key);

// ---- The hand on the programme -----------------------------------------------------------------------

takeDelay({
  delay: delay_seconds => touch('PATCH', '', { delay_seconds }, delay_seconds ? `Listeners are to hear the stage ${delay_seconds} s later.` : 'Listeners are to hear the stage at once.'),
  say,
  async dump() {
    try {
      const { dumped_seconds: seconds } = await api(key, 'POST', `${path}/dump`);
      outdate();
      showProblem($('problem'));
      say(`Removed: listeners never hear the last ${seconds.toFixed(1)} s.`);
      await again();
    } catch (problem) { showProblem($('problem'), problem); }
  },
});

takeHold(key, path, next => { outdate(); show(next); }, () => touch('DELETE', '/hold', undefined, 'Who waits hears the server’s hold music again.'));

// ---- What is done ---------------------------------------------------------------------------------

const DONE = { 'open-doors': 'The doors are open.', 'go-live': 'You are live.', end: 'It is over. The replay is at the same link.', cancel: 'The space is cancelled.' };

async function act(step) {
  say('One moment…');
  try {
    const next = await api(key, 'POST', `${path}/${step}`);
    outdate();
    show(next);
    say(step === 'end' && !isOut(space) ? 'Nobody is on air any more. Listeners hear the rest.' : DONE[step]);
    showProblem($('problem'));
  } catch (problem) {
    say('');
    showProblem($('problem'), problem);
    if (problem.status === 409) again();
  }
}

let sayTimer;
function say(words) {
  clearTimeout(sayTimer);
  text('status', words);
  sayTimer = setTimeout(() => text('status', ''), SAID_MS);
}

for (const step of Object.keys(DONE)) onPress($(step), () => act(step));
onPress($('cue'), () => touch('PUT', '/cue', { in_seconds: CUE_SECONDS }, 'The countdown runs.'));
$('stop-cue').addEventListener('click', () => touch('DELETE', '/cue', undefined, 'The countdown is stopped: you are not live.'));
$('green-room').addEventListener('click', () => {
  const green_room = !space.green_room;
  touch('PATCH', '', { green_room }, green_room ? 'Newcomers wait in the green room.' : 'Newcomers are on stage at once.');
});
$('add-cohost').addEventListener('click', () => addCohost(key, path, told));
$('lock').addEventListener('click', () => {
  const stage_locked = !space.stage_locked;
  touch('PATCH', '', { stage_locked }, stage_locked ? 'The stage is locked.' : 'The stage is open.');
});
const done = words => { outdate(); say(words); return again(); };
takeChapters(key, path, done);
takeKeeping(key, path, done);
keepAudit($('audit-box'), () => api(key, 'GET', `${path}/audit`));
takeDetails({ say, tell: changes => touch('PATCH', '', changes, '') });
takeMonitor(listenUrl);
reloadOnNewKey();
if (key) {
  repeat(look, POLL_MS);
  new Worker(new URL('awake.js', import.meta.url)).postMessage({ path, key });
  setInterval(() => { if (space && startsIn(space, server) !== undefined) showClock(); }, CLOCK_MS);
} else showProblem($('problem'), { title: 'This page needs the host’s link', detail: 'It was told when the space was created: it ends in #key=…' });
