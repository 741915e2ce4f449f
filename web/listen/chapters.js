// The chapters of a recording (Podcasting 2.0, JSON chapters), where there are any: a list under the seek bar.

const CHAPTERS_MAX = 500;  // what is shown of a longer list
const ANSWER_MS = 8000;

export default function chapters(page) {
  let of = null;
  const changed = () => {
    if (page.tape === of) return;
    of = page.tape;
    if (of) draw(page, of);
  };
  page.hooks.add(changed);
  changed();
}

/** What there is. That there is nothing is no error, and nor is a list that nobody understands. */
async function asked(base) {
  try {
    const answer = await fetch(`${base}chapters.json`, { signal: AbortSignal.timeout?.(ANSWER_MS) });
    const { chapters } = answer.ok ? await answer.json() : {};
    const shown = chapters.filter(({ startTime, title, toc }) => Number.isFinite(startTime) && startTime >= 0 && title && toc !== false);
    return shown.sort((one, other) => one.startTime - other.startTime).slice(0, CHAPTERS_MAX);
  } catch { return []; }
}

async function draw(page, tape) {
  const { base, $, audio, made, hms } = page;
  const all = await asked(base);
  if (page.tape !== tape || !all.length) return;
  const buttons = all.map(({ startTime, title }) => {
    const button = made('button', { type: 'button' }, made('time', {}, hms(startTime)), String(title));
    button.addEventListener('click', () => { tape.seek(startTime); page.play(); });
    return button;
  });
  const list = made('ol', {}, ...buttons.map(button => made('li', {}, button)));
  $('tape').append(made('nav', { id: 'chapters', 'aria-label': 'Chapters' }, list));
  const off = new AbortController();
  let current = -1;
  const mark = () => {
    if (page.tape !== tape) return off.abort();
    const now = all.findLastIndex(({ startTime }) => startTime <= tape.position() + .25);
    if (now === current) return;
    buttons[current]?.removeAttribute('aria-current');
    buttons[current = now]?.setAttribute('aria-current', 'true');
    // Kept in sight, unless somebody looks through the list.
    if (now >= 0 && !list.contains(document.activeElement)) list.scrollTop = buttons[now].offsetTop - list.offsetTop - 44;
  };
  for (const name of ['timeupdate', 'seeking']) audio.addEventListener(name, mark, { signal: off.signal });
  mark();
}
