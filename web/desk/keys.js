// Which keys are the desk's: those that are pressed where nobody writes.

// Boxes, sliders and lists take no letters, but for a list that jumps by them: ours have nothing that begins with a key of the desk.
const WRITES = 'textarea, input:not([type=checkbox], [type=file], [type=radio], [type=range])';

/** Whether letters that are pressed there are words of somebody's. */
export const isWriting = target => Boolean(target.closest?.(WRITES)) || Boolean(target.isContentEditable);
