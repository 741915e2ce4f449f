// The speaker's page: check the microphone, join, mute, hear the others, know whether one is on air.
import { nameTab } from './alarms.js';
import { api, repeat } from './api.js';
import { SoundCheck } from './check.js';
import { lampOf } from './lamp.js';
import { reloadOnNewKey, takeKey } from './key.js';
import { isAlreadyAllowed, Microphone, microphones } from './microphone.js';
import { drawSeats, setMeter } from './seats.js';
import { server } from './time.js';
import { Whip } from './whip.js';
import { $, alarmOf, count, decibels, isOver, MARKS, showProblem, text } from './words.js';

const POLL_MS = 1_000;
const LEAN_POLLS = 5; // on a narrow link each answer makes the sound wait: only every fifth is asked for
const LOUD_DB = -40; // talking while muted
const LAMP_MS = 200; // a countdown's seconds change in step

const slug = location.pathname.split('/')[2];
const key = takeKey();
const microphone = new Microphone();
const whip = new Whip(`/s/${slug}/whip`, key);
const root = document.documentElement.dataset;
const check = new SoundCheck($('hear-myself'), $('advice'), microphone, () => {
  $('settings').open = true; // where another one is chosen
  return attempt(openMicrophone);
});
let space, polls = 0;

// ---- Microphone ---------------------------------------------------------------------------

async function openMicrophone() {
  const track = await microphone.open($('device').value, $('clean').checked, space.stereo);
  microphone.onLost(() => {
    say('The microphone is gone. Choose another one in the settings.');
    $('settings').open = true;
    if (space) drawLamp();
  });
  await whip.replaceTrack(track);
  await listMicrophones();
}

async function listMicrophones() {
  const found = await microphones();
  $('device').replaceChildren(new Option("The browser's choice", ''), ...found.map(d => new Option(d.label, d.deviceId)));
  if (microphone.isOpen) $('device').value = found.some(d => d.deviceId === microphone.deviceId) ? microphone.deviceId : '';
}

function drawLevel() {
  const db = microphone.levelDb;
  setMeter($('meter'), db);
  root.level = db.toFixed(1);
  $('meter').parentElement.classList.toggle('muted', microphone.muted);
  if (whip.state === 'idle') check.look(performance.now());
  text('heard-word', !microphone.isOpen ? '' : microphone.muted ? (db > LOUD_DB ? 'You are talking, but muted' : 'Muted') : db > -3 ? 'Too loud' : '');
  requestAnimationFrame(drawLevel);
}

async function changeMicrophone() {
  if (microphone.isOpen && await attempt(openMicrophone)) drawConnection();
}

// ---- Stage ----------------------------------------------------------------------------------

async function join() {
  check.stop();
  $('join').disabled = true;
  if (navigator.audioSession) navigator.audioSession.type = 'play-and-record';
  const opened = (microphone.isOpen && !microphone.isLost) || await attempt(openMicrophone);
  $('join').disabled = false;
  if (opened) whip.join(microphone.sent, space.stereo);
}

function leave() {
  check.stop();
  whip.leave();
  microphone.close();
}

function setMuted(muted) {
  microphone.setMuted(muted);
  root.muted = muted;
  $('mute').setAttribute('aria-pressed', muted);
  text('mute', muted ? 'Muted – press to speak' : 'Mute');
  tellMuted();
  if (space) drawLamp();
}

/** Tells the host: what is sent is silence, and that is no word. Nothing hangs on it. */
function tellMuted() {
  if (space?.seat && whip.state === 'connected') api(key, 'PATCH', `/api/spaces/${slug}/speakers/${space.seat}`, { muted: microphone.muted }).catch(() => {});
}

function drawConnection() {
  const { state } = whip;
  const out = state === 'replaced' || state === 'removed'; // by others
  const inside = state !== 'idle' && !out;
  if (out) microphone.close();
  if (state === 'connected') tellMuted();
  root.connection = state;
  $('join').hidden = inside;
  text('join', state === 'replaced' ? 'Take it back' : 'Join the stage');
  $('mute').hidden = $('leave').hidden = !inside;
  $('check').hidden = state !== 'idle';
  if (document.activeElement === document.body && inside) $('mute').focus({ focusVisible: false });
  say({
    idle: 'Put on headphones: without them the others hear themselves through your microphone.',
    connecting: 'Joining…',
    connected: isWaiting() ? 'You are in the green room. Space mutes and unmutes.' : 'You are on stage. Space mutes and unmutes.',
    reconnecting: 'Reconnecting – the connection was lost. Your seat is kept.',
    replaced: 'Your seat was taken over in another window.',
    removed: 'The host has taken you off the stage. Your link is still good: ask before you join again.',
  }[state]);
  if (state === 'connected' || out) showProblem($('problem'));
  if (space) drawLamp();
}

/** What the host has done to this seat, in words. */
function drawHost() {
  const mine = space.speakers?.[space.seat - 1];
  const words = isOver(space) ? [] : [
    mine?.muted_by_host && 'The host has muted you. Nobody hears you until the host unmutes you.',
    mine?.talked_to && 'The host is talking to you. Listeners do not hear it.',
    mine?.gain_db && `The host has turned you ${mine.gain_db > 0 ? 'up' : 'down'}: ${decibels(mine.gain_db)}.`,
    mine?.admitted === false && 'The host has locked the stage: nobody new takes a seat.',
  ].filter(Boolean);
  text('host-word', words.join(' '));
  $('host-word').hidden = !words.length;
}

// ---- The space --------------------------------------------------------------------------------

async function look() {
  if (whip.isLean && ++polls % LEAN_POLLS) return;
  const first = !space, asked = Date.now(), wasWaiting = isWaiting();
  try { space = await api(key, 'GET', `/api/spaces/${slug}`); } catch (problem) {
    if (problem.isRefusal) refuse(problem);
    throw problem;
  }
  server.take(space.now, asked, Date.now());
  if (first && !isOver(space) && await isAlreadyAllowed()) attempt(openMicrophone);
  root.state = space.state;
  text('title', space.title);
  text('mark', MARKS[space.state] ?? '');
  drawSeats($('seats'), space.speakers, space.seat);
  $('kept').hidden = !space.tracks;
  $('stereo-word').hidden = !space.stereo;
  text('crowd', space.listening ? `${count(space.listening)} listening` : '');
  if (isWaiting() !== wasWaiting) drawConnection();
  drawLamp();
  showProblem($('alarm-host_away'), isOver(space) ? undefined : alarmOf(space, 'host_away'));
  if (isOver(space) && (microphone.isOpen || whip.state !== 'idle')) leave();
  for (const id of ['talk', 'settings', 'stage-box']) $(id).hidden = isOver(space);
  $('check').hidden = isOver(space) || whip.state !== 'idle';
  $('replay').hidden = space.state !== 'ended' || !space.listen_url;
  $('replay').href = space.listen_url ?? '#';
}

const isWaiting = () => space?.speakers?.[space.seat - 1]?.place === 'green_room';

function drawLamp() {
  drawHost();
  const here = { isJoined: whip.state === 'connected', isCutOff: whip.state === 'reconnecting', isMuted: microphone.muted, isLost: microphone.isLost };
  const lamp = lampOf(space, here, server);
  root.lamp = lamp.kind;
  text('lamp', lamp.title);
  text('lamp-word', lamp.words);
  text('clock', lamp.time);
  const title = { on: '● ON AIR', muted: lamp.title, soon: `ON AIR IN ${lamp.time}`, off: MARKS[space.state] }[lamp.kind];
  nameTab(`${title} · ${space.title}`);
}

// ---- Words and keys -------------------------------------------------------------------------------

const say = words => text('status', words);

async function attempt(task) {
  try { await task(); showProblem($('problem')); return true; } catch (problem) { showProblem($('problem'), problem); return false; }
}

function refuse(problem) {
  showProblem($('problem'), problem);
  leave();
  $('place').hidden = true;
}

function onKey(event) {
  if (event.code !== 'Space' || event.repeat || $('mute').hidden || event.target.closest('button, select, input, summary')) return;
  event.preventDefault();
  setMuted(!microphone.muted);
}

$('join').addEventListener('click', join);
$('leave').addEventListener('click', leave);
$('mute').addEventListener('click', () => setMuted(!microphone.muted));
$('device').addEventListener('change', changeMicrophone);
$('clean').addEventListener('change', changeMicrophone);
document.addEventListener('keydown', onKey);
addEventListener('pagehide', () => whip.leave());
navigator.mediaDevices?.addEventListener('devicechange', listMicrophones);
whip.addEventListener('state', drawConnection);
whip.addEventListener('problem', event => showProblem($('problem'), event.detail));
whip.addEventListener('heard', event => {
  $('others').srcObject = event.detail;
  $('others').play().catch(() => {
    say('Press any key or click to hear the others.');
    for (const touch of ['keydown', 'pointerup']) addEventListener(touch, () => $('others').play(), { once: true });
  });
});
reloadOnNewKey();

if (key) {
  repeat(look, POLL_MS);
  setInterval(() => { if (space && (space.cue || space.state === 'live')) drawLamp(); }, LAMP_MS);
  drawLevel();
} else {
  refuse({ title: 'This page needs your personal link', detail: 'Open it from the message of your host: it ends in #key=…' });
}
