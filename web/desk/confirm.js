// A button that cannot be taken back asks for a second press within five seconds.

const ARMED_MS = 5_000; // as long as the ring in style.css takes to close
const DOUBLE_CLICK_MS = 400; // a second click this soon is a slip, not an answer

/** `act` runs on the first press, or on the second where the button has data-confirm words. */
export function onPress(button, act) {
  const words = button.dataset.confirm;
  let timer, armedAt;
  const disarm = () => {
    clearTimeout(timer);
    delete button.dataset.armed;
    button.textContent = label;
  };
  const label = button.textContent;
  button.addEventListener('click', () => {
    if (words && !button.dataset.armed) {
      button.dataset.armed = 'true';
      button.textContent = words;
      armedAt = performance.now();
      timer = setTimeout(disarm, ARMED_MS);
    } else if (!words || performance.now() - armedAt > DOUBLE_CLICK_MS) {
      disarm();
      act();
    }
  });
  button.addEventListener('keydown', event => { if (event.key === 'Escape') disarm(); });
}
