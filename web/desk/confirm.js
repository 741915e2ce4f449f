// A button that cannot be taken back asks for a second press within five seconds.

const ARMED_MS = 5_000; // as long as the ring in style.css takes to close

/** `act` runs on the first press, or on the second where the button has data-confirm words. */
export function onPress(button, act) {
  const words = button.dataset.confirm;
  const label = button.textContent;
  let timer;
  const disarm = () => {
    clearTimeout(timer);
    delete button.dataset.armed;
    button.textContent = label;
  };
  button.addEventListener('click', event => {
    if (words && !button.dataset.armed) {
      button.dataset.armed = 'true';
      button.textContent = words;
      timer = setTimeout(disarm, ARMED_MS);
    } else if (event.detail < 2) { // a double click or a key held down is a slip, not an answer
      disarm();
      act();
    }
  });
  button.addEventListener('keydown', event => {
    if (event.repeat) event.preventDefault();
    if (event.key === 'Escape') disarm();
  });
}
