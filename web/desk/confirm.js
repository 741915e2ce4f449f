// A button that cannot be taken back asks for a second press within five seconds, aloud, too.
import { make } from './words.js';

const ARMED_MS = 5_000; // as long as the ring in style.css takes to close
const aloud = make('p', { class: 'aloud', role: 'status' });
document.body.append(aloud);

/** `act` runs on the first press, or on the second where the button has data-confirm words. */
export function onPress(button, act) {
  const words = button.dataset.confirm;
  const label = button.textContent, name = button.getAttribute('aria-label');
  let timer;
  const say = (shown, called) => {
    button.textContent = shown;
    if (name) button.setAttribute('aria-label', called);
  };
  const disarm = () => {
    clearTimeout(timer);
    if (!button.dataset.armed) return;
    delete button.dataset.armed;
    say(label, name);
    aloud.textContent = '';
  };
  const arm = () => {
    button.dataset.armed = 'true';
    aloud.textContent = `${words}. (${name ?? label})`;
    say(words, aloud.textContent);
    timer = setTimeout(disarm, ARMED_MS);
  };
  button.addEventListener('click', event => {
    if (words && !button.dataset.armed) arm();
    else if (event.detail < 2) { // a double click or a key held down is a slip, not an answer
      disarm();
      act();
    }
  });
  button.addEventListener('keydown', event => {
    if (event.repeat) event.preventDefault();
    if (event.key === 'Escape') disarm();
  });
}
