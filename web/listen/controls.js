// What a listener may set and press once there is sound: volume, data saver, starting over, keys, the lock screen.

const LOUDER = .05;
const SETTLED_S = 20;  // a talk that is younger is not worth starting over
const CUSHION_S = 4;   // who is farther from the newest sound that he has may jump to it
const NOTE_MS = 8000;
const PAUSED = 'Starting over is paused while so many listen. All of it will be at this link when it has ended.';
const KEYS = [
  ['Space', 'k', 'Listen, pause'], ['m', 'Mute'], ['↑', '↓', 'Louder, softer'], ['←', '→', 'Back 15 s, forward 30 s: in the replay, and where you started over'],
  ['l', 'Jump to now'], ['?', 'These keys'],
];

export default function controls(page) {
  const { $, made } = page;
  const note = made('p', { id: 'note', role: 'status' });
  let timer;
  const tell = words => {
    clearTimeout(timer);
    note.textContent = words;
    timer = setTimeout(() => { note.textContent = ''; }, NOTE_MS);
  };
  const { start, now, hint } = travel(page, tell);
  $('controls').replaceChildren(made('p', { class: 'row' }, start, now, ...loudness(page), saver(page, tell), help(page)), hint, note);
  lockScreen(page);
}

function loudness({ audio, made, stored, keys }) {
  const mute = made('button', { id: 'mute', type: 'button', 'aria-keyshortcuts': 'm' }, 'Mute');
  const bar = made('input', { id: 'volume', type: 'range', min: 0, max: 1, step: .05, 'aria-label': 'Volume', 'aria-keyshortcuts': 'ArrowUp ArrowDown' });
  const set = (volume, muted) => { audio.volume = Math.min(1, Math.max(0, volume)); audio.muted = muted; };
  const draw = () => {
    bar.value = audio.volume;
    bar.setAttribute('aria-valuetext', `${Math.round(100 * audio.volume)} %`);
    mute.setAttribute('aria-pressed', audio.muted);
  };
  keys.m = () => set(audio.volume, !audio.muted);
  keys.ArrowUp = () => set(audio.volume + LOUDER, false);
  keys.ArrowDown = () => set(audio.volume - LOUDER, false);
  mute.addEventListener('click', keys.m);
  bar.addEventListener('input', () => set(+bar.value, false));
  audio.addEventListener('volumechange', () => { draw(); stored('volume', audio.volume); });
  draw();
  // iOS keeps the volume to its buttons.
  const probe = new Audio();
  probe.volume = .5;
  return probe.volume === .5 ? [mute, bar] : [mute];
}

function saver({ made, hooks, save, wished, playable }, tell) {
  const button = made('button', { id: 'saver', type: 'button' }, 'Data saver');
  const draw = () => button.setAttribute('aria-pressed', Boolean(wished()));
  button.addEventListener('click', () => {
    save(!wished());
    const [lean, rich] = playable() ? [7, 22] : [14, 29];
    tell(wished() ? `The sound is lean from now on: some ${lean} MB an hour instead of ${rich}.` : `The sound is rich again: some ${rich} MB an hour.`);
  });
  hooks.add(draw);
  draw();
  return button;
}

/** To the beginning of what is live, and back. */
function travel(page, tell) {
  const { made, hooks, state, keys, audio, listen, more, clock, root } = page;
  const start = made('button', { id: 'start-over', type: 'button' }, 'Start over');
  const now = made('button', { id: 'now', type: 'button', class: 'chief', 'aria-keyshortcuts': 'l' }, 'Jump to now');
  const hint = made('p', { id: 'paused', class: 'hint' }, PAUSED);
  const isPaused = () => state().rung > 2;
  const draw = () => {
    const { state: is, started_at: since } = state(), travels = Boolean(page.tape);
    start.hidden = is !== 'live' || travels || root.via === 'hold' || clock() - Date.parse(since) < SETTLED_S * 1000;
    now.hidden = is !== 'live' || !travels;
    hint.hidden = start.hidden || !isPaused();
    start.setAttribute('aria-disabled', isPaused());
    // A description is read, be it hidden or not.
    if (isPaused()) start.setAttribute('aria-describedby', 'paused');
    else start.removeAttribute('aria-describedby');
  };
  let going = false;
  start.addEventListener('click', async () => {
    if (going) return;
    if (isPaused()) return tell(PAUSED);
    going = true;
    tell('Going to the start…');
    const module = await more('start-over');
    const why = module ? await module.begin(PAUSED) : 'Starting over did not work: a part of the page did not come.';
    going = false;
    tell(why);
    if (!why) now.focus();
  });
  keys.l = () => {
    if (state().state === 'ended') return;
    const { tape } = page, { buffered } = audio, end = buffered.length ? buffered.end(buffered.length - 1) : 0;
    if (tape) tape.now();
    else if (root.pressed !== 'true') listen();
    else if (root.via === 'mse' && end - audio.currentTime > CUSHION_S + 1) audio.currentTime = end - CUSHION_S;
  };
  keys.ArrowLeft = () => page.tape?.skip?.(-15);
  keys.ArrowRight = () => page.tape?.skip?.(30);
  now.addEventListener('click', () => { keys.l(); page.$('listen').focus(); });
  hooks.add(draw);
  draw();
  setInterval(draw, 5000);
  return { start, now, hint };
}

/** What the keys do, for who asks. */
function help({ made, keys }) {
  const rows = KEYS.flatMap(all => {
    const names = all.slice(0, -1).flatMap((name, n) => n ? [' ', made('kbd', {}, name)] : [made('kbd', {}, name)]);
    return [made('dt', {}, ...names), made('dd', {}, all.at(-1))];
  });
  const close = made('button', { type: 'button' }, 'Close');
  const dialog = made('dialog', { id: 'keys', 'aria-labelledby': 'keys-title' },
    made('h2', { id: 'keys-title' }, 'Keys'), made('dl', {}, ...rows), made('p', { class: 'row' }, close));
  const open = made('button', { id: 'show-keys', type: 'button', 'aria-haspopup': 'dialog', 'aria-keyshortcuts': '?' }, 'Keys');
  keys['?'] = () => dialog.open || dialog.showModal();
  open.addEventListener('click', keys['?']);
  close.addEventListener('click', () => dialog.close());
  document.body.append(dialog);
  return open;
}

/** What the system shows of us: title, picture, buttons, and where in it he is. */
function lockScreen(page) {
  const session = navigator.mediaSession;
  if (!session) return;
  const { audio, state, root, hooks, play, rests } = page;
  const artwork = [{ src: icon(page), sizes: '512x512', type: 'image/png' }];
  const act = (action, does) => { try { session.setActionHandler(action, does); } catch { /* not offered here */ } };
  act('play', play); act('pause', rests); act('stop', rests);
  let told;
  const tell = () => {
    const { title, state: is } = state(), { tape } = page;
    const artist = is === 'ended' ? 'Replay' : tape ? 'From the start' : is === 'live' ? 'Live' : 'Hold music';
    session.playbackState = root.pressed === 'true' ? 'playing' : 'paused';
    const print = title + artist + Boolean(tape); // a replay has its name before it has its tape
    if (told === print) return;
    told = print;
    session.metadata = new MediaMetadata({ title, artist, album: 'Throng', artwork });
    act('seekbackward', tape ? () => tape.skip(-15) : null);
    act('seekforward', tape ? () => tape.skip(30) : null);
    act('seekto', tape ? ({ seekTime }) => tape.seek(seekTime) : null);
    place();
  };
  const place = () => {
    const duration = page.tape?.length();
    try {
      session.setPositionState?.(duration ? { duration, position: Math.min(duration, page.tape.position()), playbackRate: audio.playbackRate } : {});
    } catch { /* a browser that knows less */ }
  };
  for (const name of ['seeked', 'ratechange', 'durationchange', 'playing']) audio.addEventListener(name, place);
  hooks.add(tell);
  tell();
}

/** Our mark, drawn: a lamp in a round house. */
function icon({ made }) {
  const canvas = made('canvas', { width: 512, height: 512 }), pen = canvas.getContext('2d');
  pen.fillStyle = '#150f1c';
  pen.fillRect(0, 0, 512, 512);
  pen.fillStyle = pen.strokeStyle = '#ff7a66';
  pen.lineCap = 'round';
  [[70, 0], [125, 22], [175, 30], [222, 38]].forEach(([radius, seats]) => {
    pen.beginPath();
    pen.arc(256, 256, radius, 0, 2 * Math.PI);
    if (!seats) return pen.fill();
    pen.lineWidth = radius / 12;
    pen.setLineDash([0, 2 * Math.PI * radius / seats]);
    pen.stroke();
  });
  return canvas.toDataURL();
}
