// Who finds the house full: what he sees and may do while he waits. The page loads this only then, and keeps the sound,
// the ticket and the way in for itself.

const NEAR_S = 20;        // who is so close to his turn looks often
const LOOK_S = 2;         // so often; caches keep the counter for a second
const FAILED_MAX_S = 60;  // the longest time from look to look while the counter does not come
const ANSWER_MS = 8000;
const LATER = 'Listen later';
const SPOKEN_MS = 60000;  // from one spoken position to the next

/** How long it takes, in words; as told, or at the pace of the last seconds. */
function time(people, perMinute) {
  if (!perMinute) return 'Nobody has been let in lately, so nobody knows how long it takes.';
  const minutes = people / perMinute;
  if (minutes < .75) return 'Less than a minute.';
  if (minutes < 1.5) return 'About a minute.';
  return minutes < 90 ? `About ${Math.round(minutes)} minutes.` : `About ${Math.round(minutes / 60)} hours.`;
}

/** The waiting room of a page: `page` says where it is, what it may say, and how one leaves and comes back. */
export default function room({ base, $, number, sleep, keep, recall, made, leave, listen: join, state, hooks }) {
  const status = $('status');
  let began, spoken = 0, isLater = false, wasLive, note;

  // The numbers change every few seconds: they are seen at once, and heard once a minute.
  const position = made('p', { id: 'position', 'aria-hidden': 'true' });
  const aloud = made('p', { role: 'status', class: 'aloud' });
  const way = made('progress', { id: 'way', 'aria-label': 'How far you have come in the queue' });
  const later = made('button', { id: 'later', type: 'button' }, LATER);
  const block = made('div', { id: 'queue', hidden: '' }, position, aloud, way, made('p', { class: 'row' }, later));
  status.after(block);
  later.addEventListener('click', () => isLater ? join() : putOff());
  $('listen').addEventListener('click', () => { note = undefined; });

  function draw({ place, serving, per_minute: perMinute, drawn }) {
    const left = place - serving, before = left - 1;
    if (!(began >= left)) began = left;
    keep('began', began);
    way.max = began;
    way.value = !drawn ? 0 : began - left;
    const people = before === 1 ? 'One person is before you.' : `${number.format(before)} people are before you.`;
    const words = left <= 0 ? 'It is your turn.' : !drawn ? 'Your place is drawn when the talk begins.'
      : `${before ? people : 'You are next.'} ${time(left, perMinute)}`;
    if (position.textContent !== words) position.textContent = words;
    if (Date.now() - spoken < SPOKEN_MS && left > 0) return;
    spoken = Date.now();
    aloud.textContent = words;
  }

  /** Waits as told, and looks how far the queue has come when dealt. Ends when the ticket is to be shown again. */
  async function turn(told, isOver) {
    began ??= +recall('began') || undefined;
    if (block.hidden || isLater) spoken = 0;
    decide(false);
    note = undefined;
    later.textContent = LATER;
    block.hidden = way.hidden = false;
    const left = told.place - told.serving, { drawn } = told;
    draw({ ...told, per_minute: told.wait_seconds == null ? 0 : 60 * left / Math.max(1, told.wait_seconds) });
    let again = told.ask_again_seconds, failed = 0;
    for (;;) {
      await sleep(1000 * (again + Math.random() * Math.min(1, again / 4)));
      // Called already: he was told when a place is free.
      if (isOver() || told.place <= told.serving) return;
      const now = await fetch(`${base}now-serving.json`, { signal: AbortSignal.timeout?.(ANSWER_MS) })
        .then(r => r.ok ? r.json() : null).catch(() => null);
      if (isOver()) return;
      if (!now) {
        again = Math.min(FAILED_MAX_S, told.ask_again_seconds * 2 ** ++failed);
        continue;
      }
      failed = 0;
      // The order was drawn, or the house began anew: the ticket tells which place it is now.
      if (now.of < told.place || now.drawn !== drawn) return;
      draw({ ...now, place: told.place });
      const left = told.place - now.serving;
      if (left <= 0) return;
      again = left * 60 <= now.per_minute * NEAR_S ? LOOK_S : told.ask_again_seconds;
    }
  }

  /** In, or nothing to wait for: nothing more to see. */
  function done() {
    block.hidden = true;
    decide(false);
    keep('began', began = undefined);
  }

  function putOff() {
    leave();
    wasLive = state().state === 'live';
    remain();
    globalThis.Notification?.requestPermission?.()?.catch(() => {});
  }

  /** Out of the queue, until he is reminded. */
  function remain() {
    decide(true);
    block.hidden = false;
    way.hidden = true;
    later.textContent = 'Join the queue again';
    status.textContent = '';
    tell('You left the queue, and will be reminded here. All of it will be at this same link, a second after the end.');
  }

  /** A reload remembers whether he listens later, and what he knew of the talk then. */
  function decide(listensLater) {
    isLater = listensLater;
    keep('later', isLater && (wasLive ? 'live' : 'before'));
  }

  function tell(words) {
    position.textContent = aloud.textContent = words;
  }

  /** The state has changed: a reminder, for who listens later. */
  function changed() {
    const { state: now, title, recording } = state();
    if (note) document.title = `${note} · ${title}`;
    if (!isLater) return;
    if (now === 'cancelled') return done();
    const isHere = now === 'ended' && recording?.seconds > 0;
    if (isHere) remind('The replay is here', title);
    else if (now === 'live' && !wasLive) remind('The talk starts', title);
    wasLive ||= now === 'live';
    later.hidden = isHere;
    decide(!isHere);
  }

  /** Where the system may not be asked, the title says it. */
  function remind(words, title) {
    note = words;
    document.title = `${words} · ${title}`;
    tell(`${words}.`);
    try {
      if (Notification.permission === 'granted') new Notification(words, { body: title, tag: base });
    } catch { /* phones allow it to service workers alone */ }
  }

  hooks.add(changed);
  if (recall('later')) {
    wasLive = recall('later') === 'live';
    remain();
    changed();
  }
  return { turn, done, hide: () => { block.hidden = true; }, isLater: () => isLater };
}
