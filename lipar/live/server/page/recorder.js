// Recordings are made by the server, of what the model gives; the page asks for them and offers the files.

import { address } from "./server.js";

/** Hands a file to the user. */
export function download(url, name) {
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  if (url.startsWith("blob:")) setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

export class Recorder {
  constructor(button, list, send) {
    Object.assign(this, { button, list, send, count: 0 });
    button.addEventListener("click", () => this.toggle());
  }

  get on() {
    return this.button.getAttribute("aria-pressed") === "true";
  }

  toggle() {
    if (this.button.disabled) return;
    const on = !this.on;
    if (this.send({ type: "record", on })) this.show(on);
  }

  show(on) {
    this.button.setAttribute("aria-pressed", String(on));
    this.button.textContent = on ? "Stop recording" : "Record";
  }

  /** The server does not record, or no longer. */
  stopped() {
    this.show(false);
  }

  recorded({ path, seconds, frames }) {
    this.show(false);
    this.count += 1;
    const link = document.createElement("a");
    link.href = address(path);
    link.download = `lipar-live-${this.count}.mp4`;
    link.textContent = `recording ${this.count}`;
    const item = document.createElement("li");
    item.append(link, ` mp4, ${seconds.toFixed(1)} s, ${frames} frames`);
    this.list.append(item);
  }
}
