// Shortcuts. Where letters are written, and where space and arrows have a use of their own, they are left alone.

const WRITING = "textarea, select, input:not([type=checkbox], [type=radio], [type=range])";
const PRESSED = "button, summary, input, a";

export function bindKeys(actions) {
  // after a click with the mouse, space is a shortcut again and does not press the same button once more
  document.addEventListener("click", ({ target, detail }) => detail > 0 && target.closest("button")?.blur());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || event.isComposing) return;
    if (event.target.closest(WRITING)) return;
    if (event.key === " " && event.target.closest(PRESSED)) return;
    const action = actions[event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    action();
  });
}
