// What listeners are told: a form that follows what others change, and sends what was changed in it, and no more.
import { $, localInput, moment } from './words.js';

// By field: how it shows what the server says, and what it asks for in turn.
const FIELDS = {
  'new-title': { shows: space => space.title, asks: value => ({ title: value.trim() }) },
  'new-time': { shows: space => localInput(space.scheduled_at), asks: value => ({ scheduled_at: value ? new Date(value).toISOString() : null }) },
  reason: { shows: space => space.delay_reason ?? '', asks: value => ({ delay_reason: value.trim() || null }) },
  message: { shows: space => space.message ?? '', asks: value => ({ message: value.trim().replace(/\s+/g, ' ') || null }) },
  expected: { shows: space => String(space.expected_listeners ?? ''), asks: value => ({ expected_listeners: Number(value) || null }) },
};
const isTouched = field => field.value !== field.shown;

/** Makes the form work; `act.tell(changes)` changes the space and says whether that was done, `act.say` tells the host. */
export function takeDetails(act) {
  for (const id of Object.keys(FIELDS)) $(id).shown = $(id).value;
  $('details').addEventListener('submit', async event => {
    event.preventDefault();
    const sent = Object.keys(FIELDS).filter(id => isTouched($(id))).map(id => ({ field: $(id), value: $(id).value, asks: FIELDS[id].asks }));
    if (!sent.length) return act.say('Nothing was changed here.');
    const next = await act.tell(Object.assign({}, ...sent.map(({ asks, value }) => asks(value))));
    if (!next) return;
    for (const { field, value } of sent) field.shown = value;
    drawDetails(next);
    act.say(sent.some(({ field }) => field.id === 'new-time') ? `Listeners are told: ${moment(next.scheduled_at)}.`
      : sent.every(({ field }) => field.id === 'expected') ? 'It is noted. Only you see it.' : 'Listeners are told.');
  });
}

/** Fills what nobody has touched. */
export function drawDetails(space) {
  for (const [id, { shows }] of Object.entries(FIELDS)) {
    const field = $(id), words = shows(space);
    if (isTouched(field) || field.shown === words) continue;
    field.value = words;
    field.shown = field.value;
  }
}
