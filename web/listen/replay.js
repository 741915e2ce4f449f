// The replay; and the seek bar, which who starts over has, too. The page plays the file by itself: this is what moves in it.

const SPEEDS = [.75, 1, 1.25, 1.5, 2];
const BACK_S = -15, FORTH_S = 30;
const POSITIONS_MAX = 50;  // spaces of which the browser remembers where somebody was; of more, the oldest is forgotten
const WORTH_S = 5;         // who heard less than this, or to this before the end, is not brought back
const KEEP_EVERY_S = 5;
const STALLED_MS = 12000;  // without sound: the line is asked anew
const AGAIN_MAX_S = 30;

export default function replay(page) {
  const { root, state, hooks } = page;
  const look = () => state().state === 'ended' && root.via === 'file' && !page.tape && open(page);
  hooks.add(look);
  look();
  return { transport: tape => transport(page, tape), remember: at => remember(page, at) };
}

/** The file of a space that has ended. */
function open(page) {
  const { audio, state } = page;
  const tape = page.tape = {
    position: () => audio.currentTime,
    length: () => Number.isFinite(audio.duration) ? audio.duration : state().recording.seconds,
    seek: seconds => go(audio, seconds),
  };
  const download = page.made('a', { id: 'download', href: `${page.base}recording.m4a`, download: '' }, 'Download');
  const { row } = transport(page, tape, link(page, tape), download);
  const asked = moment(location.hash), before = remembered(page), { handed } = page;
  page.handed = null;
  if (handed) {
    go(audio, handed.at);
    if (handed.on) page.play();
  } else if (asked !== null) go(audio, asked);
  else if (before) offer(page, tape, row, before);
  addEventListener('hashchange', () => page.tape === tape && moment(location.hash) !== null && tape.seek(moment(location.hash)));
  page.hooks.add(() => page.tape === tape && !audio.src.endsWith(page.recording()) && anew(page, page.recording()));
  const chapters = () => page.more('chapters');
  if (page.root.playing === 'true') chapters(); // it played before this module was here
  else audio.addEventListener('playing', chapters, { once: true });
  page.show(); // who drew before there was a tape draws again
  goOn(page, tape);
}

/** Seconds from `#t=754`, `#t=12:34` or `#t=1:02:03`; else null. */
function moment(hash) {
  const at = /^#t=((\d+:){0,2}\d+(\.\d+)?)$/.exec(hash)?.[1];
  return at ? at.split(':').reduce((sum, part) => sum * 60 + +part, 0) : null;
}

function go(audio, seconds) {
  const there = () => { audio.currentTime = Math.min(seconds, Number.isFinite(audio.duration) ? audio.duration : seconds); };
  audio.readyState ? there() : audio.addEventListener('loadedmetadata', there, { once: true });
}

/** Loads the file, or another, and goes on where it was. */
function anew({ audio, root, play }, source) {
  const at = audio.currentTime, on = root.pressed === 'true';
  if (source) audio.src = source;
  else audio.load();
  go(audio, at);
  if (on) play();
}

/** A line that broke or went silent is asked anew, by itself, and the sound goes on where it stopped. */
function goOn(page, tape) {
  const { audio, root, say } = page;
  let tries = 0, timer;
  const again = (words, seconds) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (page.tape !== tape || root.playing === 'true') return;
      tries++;
      anew(page);
    }, seconds * 1000);
    if (words) say(words, true);
  };
  const broke = () => {
    root.playing = 'false';
    if (page.tape === tape && audio.error) again('The recording does not come. Trying again by itself.', Math.min(AGAIN_MAX_S, 2 ** tries));
  };
  audio.addEventListener('error', broke);
  if (audio.error) broke(); // it was faster than this module
  audio.addEventListener('waiting', () => page.tape === tape && again('', STALLED_MS / 1000));
  for (const name of ['playing', 'pause']) audio.addEventListener(name, () => { clearTimeout(timer); tries = 0; });
}

/** The seek bar over a tape, and what stands below it. */
function transport(page, tape, ...more) {
  const { $, audio, made } = page;
  const button = (id, label, by, words) => {
    const one = made('button', { id, type: 'button', 'aria-label': label }, words);
    one.addEventListener('click', () => tape.skip(by));
    return one;
  };
  tape.skip = by => tape.seek(Math.max(0, Math.min(tape.length(), tape.position() + by)));
  const seek = made('input', { id: 'seek', type: 'range', min: 0, max: 1, step: 1, value: 0, 'aria-label': 'Position' });
  const at = made('span', { id: 'at' }), of = made('span', { id: 'of' });
  const speed = made('select', { id: 'speed', 'aria-label': 'Speed' }, ...SPEEDS.map(times => new Option(`${times}×`, times, times === 1, times === 1)));
  speed.addEventListener('change', () => { audio.preservesPitch = audio.webkitPreservesPitch = true; audio.playbackRate = audio.defaultPlaybackRate = +speed.value; });
  const row = made('p', { class: 'row' }, button('back', 'Back: −15 s', BACK_S, '−15 s'), button('forth', 'Forward: +30 s', FORTH_S, '+30 s'), speed, ...more);
  $('tape').replaceChildren(seek, made('p', { class: 'times' }, at, of), row);
  follow(page, tape, { seek, at, of });
  return { row };
}

/** Keeps the seek bar where the sound is, and moves the sound where it is dragged. */
function follow(page, tape, { seek, at, of }) {
  const { audio, hms, text, root } = page;
  const off = new AbortController(), { signal } = off;
  let dragged = false, kept = 0;
  const draw = () => {
    if (page.tape !== tape) return off.abort();
    const position = dragged ? +seek.value : tape.position(), length = tape.length();
    seek.max = Math.floor(length);
    if (!dragged) seek.value = position;
    // Who holds the bar is told where he goes, not each second that passes.
    if (dragged || document.activeElement !== seek) seek.setAttribute('aria-valuetext', `${hms(position)} of ${hms(length)}`);
    text('at', hms(position));
    text('of', hms(length) + (tape.grows ? ' so far' : ''));
    root.position = audio.currentTime.toFixed(2);
    if (audio.paused || Math.abs(position - kept) < KEEP_EVERY_S) return;
    remember(page, kept = position);
  };
  for (const name of ['timeupdate', 'seeking', 'loadedmetadata', 'durationchange']) audio.addEventListener(name, draw, { signal });
  audio.addEventListener('pause', () => page.tape === tape && remember(page, tape.position()), { signal });
  seek.addEventListener('input', () => { dragged = true; draw(); });
  seek.addEventListener('change', () => { tape.seek(+seek.value); draw(); dragged = false; });
  seek.addEventListener('keydown', e => {
    const by = { ArrowLeft: BACK_S, ArrowDown: BACK_S, ArrowRight: FORTH_S, ArrowUp: FORTH_S }[e.key];
    if (!by) return;
    e.preventDefault();
    tape.skip(by);
    seek.setAttribute('aria-valuetext', `${hms(tape.position())} of ${hms(tape.length())}`);
  });
  draw();
}

/** Where somebody was in which space, the latest last. */
function positions({ stored }) {
  try {
    const all = JSON.parse(stored('positions') ?? '[]');
    return Array.isArray(all) ? all.filter(one => Array.isArray(one) && one.length === 2) : [];
  } catch { return []; }
}
function remember(page, position) {
  const { slug } = page.state(), others = positions(page).filter(([other]) => other !== slug);
  const isWorth = position > WORTH_S && position < page.tape.length() - WORTH_S;
  page.stored('positions', JSON.stringify([...others, ...isWorth ? [[slug, Math.floor(position)]] : []].slice(-POSITIONS_MAX)));
}
const remembered = page => +positions(page).find(([slug]) => slug === page.state().slug)?.[1] || 0;

function offer({ made, hms, play }, tape, row, before) {
  const button = made('button', { id: 'go-on', type: 'button', class: 'chief' }, `Go on from ${hms(before)}`);
  button.addEventListener('click', () => { tape.seek(before); play(); button.remove(); });
  row.prepend(button);
}

/** Copies a link to this moment; where the browser does not, it stands in the address bar. */
function link({ made, hms, rest, say }, tape) {
  const button = made('button', { id: 'link', type: 'button', 'aria-label': 'Copy link to this moment' }, 'Copy link');
  button.addEventListener('click', async () => {
    const url = `${location.href.replace(/#.*/, '')}#t=${Math.floor(tape.position())}`;
    const copied = await navigator.clipboard?.writeText(url).then(() => true, () => false);
    if (!copied) history.replaceState(null, '', url);
    say(`${copied ? 'Copied: a' : 'The address bar has a'} link that starts at ${hms(tape.position())}.`);
    setTimeout(rest, 6000);
  });
  return button;
}
