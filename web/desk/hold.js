// Hold music of the host's own: a file that is played until the stage is heard.
import { upload } from './api.js';
import { onPress } from './confirm.js';
import { $, isOver, showProblem, text } from './words.js';

let sending = false;

/** Makes the controls work; `show` shows the space that the server answers with. */
export function takeHold(key, path, show, forget) {
  const input = $('hold-file');
  input.addEventListener('change', async () => {
    const [file] = input.files;
    input.value = '';
    if (!file || sending) return;
    sending = true;
    text('hold-word', `Sending ${file.name}…`);
    const answer = upload(key, `${path}/hold`, file).finally(() => { sending = false; });
    try {
      show(await answer);
      showProblem($('problem'));
    } catch (problem) { showProblem($('problem'), problem); }
  });
  onPress($('hold-ours'), forget);
}

export function drawHold({ hold, state, ...space }) {
  $('hold-box').hidden = state === 'live' || isOver({ state, ...space });
  $('hold-ours').hidden = !hold.own;
  $('hold-file').disabled = sending;
  if (sending) return;
  text('hold-word', !hold.own ? 'Who waits hears the server’s hold music.'
    : hold.ready ? `Who waits hears your file, ${hold.seconds} s long.`
      : 'Your file is being made ready. Until then who waits hears the server’s.');
}
