// Buttons of the sources, the chooser of cameras, and the feed that they fill.

import { cameras, openCamera, openClip, openFile, openScreen } from "./sources.js";
import { load, save } from "./store.js";

const WAITS_FOR_A_CLICK = "The browser waits for a click before it plays a video. Press the button of the source.";

/**
 * Events: `opening` and `opened` with the name of a source; `failed` with a reason, the source before may go on; `ended`
 * with a reason.
 */
export class SourcePicker extends EventTarget {
  constructor(root, feed, size) {
    super();
    this.feed = feed;
    this.active = null; // name of the source in use
    this.wanted = null; // name of the one that was asked for last
    this.buttons = [...root.querySelectorAll("[data-source]")];
    this.chooser = root.querySelector("#camera");
    this.files = root.querySelector("#file");
    this.openers = {
      camera: () => openCamera(this.chooser.value || load().camera, size),
      screen: openScreen,
      file: () => this.openFile(),
      clip: openClip,
    };
    for (const button of this.buttons) button.addEventListener("click", () => this.choose(button.dataset.source));
    this.chooser.addEventListener("change", () => this.use("camera"));
    this.files.addEventListener("change", () => this.use("file"));
    feed.addEventListener("ended", ({ detail }) => {
      this.stop();
      this.tell("ended", detail);
    });
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.listCameras());
  }

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** Whether pictures come. */
  get on() {
    return this.feed.source !== null;
  }

  choose(name) {
    if (name === "file") this.files.click();
    else this.use(name);
  }

  async openFile() {
    const [file] = this.files.files;
    this.files.value = ""; // so that the same file can be chosen again
    return openFile(file);
  }

  async use(name) {
    this.wanted = name;
    // phones open a second camera only when the first is closed
    if (name === "camera" && this.active === "camera") this.feed.close();
    try {
      // first of all: a browser shows its screens only in answer to a click
      const opened = this.openers[name]();
      this.tell("opening", name);
      await this.show(name, await opened);
    } catch (error) {
      this.wanted = this.active ?? name;
      this.tell("failed", error.message);
    }
  }

  async show(name, source) {
    let shown;
    try {
      shown = await this.feed.use(source);
    } catch {
      this.feed.close();
      throw new Error(WAITS_FOR_A_CLICK);
    }
    // another source was chosen in the meantime, or this one has ended
    if (!shown) return;
    this.mark(name);
    save({ running: name });
    await this.listCameras();
    this.tell("opened", name);
  }

  mark(name) {
    this.active = name;
    for (const button of this.buttons) button.setAttribute("aria-pressed", String(button.dataset.source === name));
  }

  async listCameras() {
    const found = await cameras();
    const inUse = this.feed.source?.stream?.getVideoTracks()[0]?.getSettings().deviceId;
    const chosen = inUse ?? this.chooser.value;
    this.chooser.replaceChildren(...found.map(({ id, label }) => new Option(label, id, false, id === chosen)));
    this.chooser.parentElement.hidden = this.active !== "camera" || found.length < 2;
    if (this.active === "camera" && inUse) save({ camera: inUse });
  }

  stop() {
    this.feed.close();
    this.mark(null);
    this.chooser.parentElement.hidden = true;
    save({ running: "none" });
  }
}
