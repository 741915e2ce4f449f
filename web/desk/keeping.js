// For how long the recording is kept, and taking it away: what is lost is named before it is gone.
import { api } from './api.js';
import { onPress } from './confirm.js';
import { $, clock, moment, showProblem, text } from './words.js';

/** Begins to keep or delete the recording of the space at `path`; `done(words)` says what was done, and asks what is now. */
export function takeKeeping(key, path, done) {
  const act = async (words, method, at, body) => {
    try {
      await api(key, method, `${path}${at}`, body);
      showProblem($('problem'));
      await done(words);
    } catch (problem) { showProblem($('problem'), problem); }
  };
  $('keeping').addEventListener('submit', event => {
    event.preventDefault();
    const days = Number($('keep-days').value) || null;
    delete $('keep-days').dataset.held;
    act(days ? `The recording is kept for ${days === 1 ? 'a day' : `${days} days`} after the end.` : 'The recording is kept for ever.', 'PATCH', '', { keep_recording_days: days });
  });
  $('keep-days').addEventListener('input', () => { $('keep-days').dataset.held = true; });
  onPress($('delete-recording'), () => act('The recording is gone.', 'DELETE', '/recording'));
}

/** Shows what is kept; to change that is the host's and the operator's, and cohosts read it. */
export function drawKeeping(space, isHost) {
  const { recording_deleted_at: gone, recording_deleted_by: by, recording_until: until, keep_recording_days: days } = space;
  $('keeping-box').hidden = space.state === 'cancelled';
  if (!$('keep-days').dataset.held) $('keep-days').value = days ?? '';
  $('keeping').hidden = Boolean(gone) || !isHost;
  const ended = space.state === 'ended' && !gone;
  $('deleting').hidden = !ended || !isHost;
  text('lost', `${clock(space.recording?.seconds ?? 0)} of sound: the replay, the downloads and every older part of the programme.`);
  text('keeping-word', gone ? `The recording was here until ${moment(gone)}. ${by === 'time' ? 'It was kept for as long as was wanted.' : isHost ? 'You have deleted it.' : 'The host has deleted it.'} The link stays, and says so.`
    : until ? `It is deleted on ${moment(until)}. The link stays, and says so.`
    : days ? `It is deleted ${days === 1 ? 'a day' : `${days} days`} after the end. The link stays, and says so.`
    : 'It is kept for ever.');
}
