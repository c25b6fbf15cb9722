// The page of `lipar live`: puts together source, call, picture, settings and read-outs. Messages and strip: see the page
// "Live" of the documentation.

import { Connection } from "./connection.js";
import { Divider } from "./divider.js";
import { Feed } from "./feed.js";
import { Figures } from "./figures.js";
import { SettingsForm } from "./form.js";
import { bindKeys } from "./keys.js";
import { Picture } from "./picture.js";
import { Recorder, download } from "./recorder.js";
import { info } from "./server.js";
import { cameras, openCamera, openClip, openFile, openScreen } from "./sources.js";
import { load, save } from "./store.js";

const VIEWS = ["divider", "pair", "result"];
const REFRESH = 500; // milliseconds between two read-outs of what the page measures
const SAID = {
  idle: "Choose a source to begin.",
  connecting: "Connecting to the server.",
  waiting: "Connected. Waiting for the first edited block.",
  live: "Live.",
  paused: "Paused.",
};

const find = (selector) => document.querySelector(selector);
const all = (selector) => [...document.querySelectorAll(selector)];

class Page {
  constructor(server) {
    this.server = server;
    this.stored = load();
    this.settings = { ...server.settings, ...this.stored.settings };
    this.paused = false;
    this.feed = new Feed(find("#source-video"), server.size, server.strip);
    this.picture = new Picture(find("#result-video"), [find("#source"), find("#result")], server.size, server.strip);
    this.connection = new Connection(this.feed.track, find("#result-video"), () => this.settings);
    this.divider = new Divider(find(".picture"), find(".divider"));
    this.form = new SettingsForm(find(".settings"), all("[data-setting]"));
    this.figures = new Figures(find("main"));
    this.recorder = new Recorder(find("#record"), find("#recordings"), (message) => this.connection.send(message));
    this.openers = { camera: () => this.openCamera(), screen: openScreen, file: () => this.openFile(), clip: openClip };
    this.bindParts();
    this.bindControls();
    setInterval(() => this.measure(), REFRESH);
  }

  bindParts() {
    this.feed.addEventListener("drawn", () => this.picture.preview(this.feed.canvas));
    this.feed.addEventListener("ended", ({ detail }) => this.stop(detail));
    this.picture.addEventListener("fresh", () => this.fresh());
    this.connection.addEventListener("state", ({ detail }) => this.connectionChanged(detail));
    this.connection.addEventListener("message", ({ detail }) => this.hear(detail));
    this.form.addEventListener("change", ({ detail }) => this.change(detail));
    this.divider.addEventListener("moved", () => save({ split: this.divider.percent }));
  }

  bindControls() {
    const clicks = {
      stop: () => this.stop(),
      again: () => this.beginAgain(),
      pause: () => this.togglePause(),
      reset: () => this.reset(),
      snapshot: () => this.snapshot(),
    };
    for (const [id, action] of Object.entries(clicks)) find(`#${id}`).addEventListener("click", action);
    for (const button of all("[data-source]")) button.addEventListener("click", () => this.choose(button.dataset.source));
    for (const button of all(".views [data-view]")) button.addEventListener("click", () => this.view(button.dataset.view));
    find("#camera").addEventListener("change", () => this.use("camera"));
    find("#file").addEventListener("change", () => this.use("file"));
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.listCameras());
    // the server need not find out by itself
    window.addEventListener("pagehide", () => this.connection.hangUp());
    window.addEventListener("pageshow", ({ persisted }) => persisted && this.source && this.connection.begin());
    bindKeys({
      " ": () => this.togglePause(),
      r: () => this.reset(),
      o: () => find("#overlay").click(),
      v: () => this.view(VIEWS[(VIEWS.indexOf(document.body.dataset.view) + 1) % VIEWS.length]),
      s: () => this.snapshot(),
      m: () => this.recorder.toggle(),
      p: () => find("#prompt").focus(),
    });
  }

  begin() {
    const { model, device, size, version, source } = this.server;
    find("#about").textContent = `${model}, ${size.join("x")}, ${device}, lipar ${version}`;
    document.body.style.setProperty("--ratio", size[0] / size[1]);
    find("[data-source=clip]").hidden = !source;
    this.form.show(this.settings);
    this.view(this.stored.view ?? VIEWS[0]);
    this.divider.set(this.stored.split ?? 50);
    this.say("idle");
    const { running } = this.stored;
    // the screen and files ask for a click, by rule of the browser
    if (running === "camera" || (source && running !== "none")) this.use(running === "camera" ? "camera" : "clip");
    else if (running === "screen" || running === "file") this.say("idle", `Choose the ${running} again: after a reload the browser asks for it.`);
  }

  say(state, text = SAID[state]) {
    document.body.dataset.state = state;
    const place = find("#state");
    if (place.textContent !== text) place.textContent = text;
    find(".veil").textContent = state === "live" ? "" : text;
    find("#again").hidden = !["closed", "failed"].includes(state);
    find("#stop").disabled = !this.source && state !== "opening";
    for (const id of ["pause", "reset", "record"]) find(`#${id}`).disabled = !["waiting", "live", "paused"].includes(state);
    find("#snapshot").disabled = this.picture.stamp === null;
  }

  // Sources

  choose(name) {
    if (name === "file") find("#file").click();
    else this.use(name);
  }

  openCamera() {
    return openCamera(find("#camera").value || this.stored.camera, this.server.size);
  }

  async openFile() {
    const [file] = find("#file").files;
    find("#file").value = ""; // so that the same file can be chosen again
    return openFile(file);
  }

  async use(name) {
    this.wanted = name;
    find("#notice").textContent = "";
    // phones open a second camera only when the first is closed
    if (name === "camera" && this.source === "camera") this.feed.close();
    const opened = this.openers[name]();
    this.say("opening", `Opening the ${name}. The browser may ask for permission.`);
    let source;
    try {
      source = await opened;
    } catch (error) {
      this.failed(error.message);
      return;
    }
    const switched = this.connection.ready;
    try {
      if (!(await this.feed.use(source))) return;
    } catch {
      this.failed("The browser waits for a click before it plays a video. Press the button of the source.");
      return;
    }
    this.source = name;
    save({ running: name });
    for (const button of all("[data-source]")) button.setAttribute("aria-pressed", String(button.dataset.source === name));
    if (name === "camera") await this.listCameras();
    if (switched) this.reset();
    else this.connection.begin();
  }

  failed(reason) {
    if (this.feed.source) {
      // the source before goes on
      this.wanted = this.source;
      find("#notice").textContent = reason;
      this.say(this.connection.ready ? "waiting" : "connecting");
      return;
    }
    this.stop();
    this.say("failed", reason);
  }

  async listCameras() {
    const found = await cameras();
    const active = this.feed.source?.stream?.getVideoTracks()[0]?.getSettings().deviceId;
    const chosen = active ?? find("#camera").value;
    find("#camera").replaceChildren(...found.map(({ id, label }) => new Option(label, id, false, id === chosen)));
    find("#camera-label").hidden = this.source !== "camera" || found.length < 2;
    if (active) save({ camera: active });
  }

  stop(reason = "") {
    this.source = null;
    save({ running: "none" });
    this.feed.close();
    this.connection.close();
    for (const button of all("[data-source]")) button.setAttribute("aria-pressed", "false");
    find("#camera-label").hidden = true;
    this.say("idle", reason || SAID.idle);
  }

  beginAgain() {
    if (this.source) this.connection.begin();
    else this.choose(this.wanted);
  }

  // The call

  connectionChanged({ state, reason, wait, status }) {
    if (state === "connecting" || state === "connected") this.picture.forget();
    if (state !== "connected") this.recorder.stopped();
    if (state === "connecting") this.figures.clear();
    if (state === "connected") this.say(this.paused ? "paused" : "waiting");
    else if (state === "connecting") this.say("connecting");
    else if (state === "lost") this.say("lost", `Connection lost. ${reason} Trying again in ${wait / 1000} s.`);
    else if (reason) this.say("closed", `The session ended: ${reason}`);
    // settings that were kept from another server, perhaps
    if (status === 400) this.confirmed(this.server.settings);
  }

  hear(message) {
    const { type } = message;
    // the server was started again with another size
    if (type === "ready" && String(message.size) !== String(this.server.size)) location.reload();
    if (type === "ready" || type === "settings") this.confirmed(message.settings);
    if (type === "ready" && this.paused) this.connection.send({ type: "pause" });
    if (type === "stats") this.figures.show(message);
    if (type === "recorded") this.recorder.recorded(message);
    if (type === "refused") this.refuse(message.reason);
  }

  confirmed(settings) {
    this.settings = settings;
    save({ settings });
    this.form.show(settings);
    find("#refused").textContent = "";
  }

  refuse(reason) {
    find("#refused").textContent = reason;
    this.form.show(this.settings);
    this.recorder.stopped();
  }

  change(change) {
    // without a call, the next one begins with it
    if (!this.connection.send({ type: "change", ...change })) this.confirmed({ ...this.settings, ...change });
  }

  fresh() {
    if (!this.paused && document.body.dataset.state !== "live") this.say("live");
  }

  togglePause() {
    if (find("#pause").disabled) return;
    this.paused = !this.paused;
    this.connection.send({ type: this.paused ? "pause" : "resume" });
    find("#pause").setAttribute("aria-pressed", String(this.paused));
    find("#pause").textContent = this.paused ? "Resume" : "Pause";
    this.say(this.paused ? "paused" : "waiting");
  }

  reset() {
    if (!this.connection.send({ type: "reset" })) return;
    if (!this.paused) this.say("waiting", "Waiting for the first block after the reset.");
  }

  // What is shown

  view(name) {
    document.body.dataset.view = name;
    for (const button of all(".views [data-view]")) button.setAttribute("aria-pressed", String(button.dataset.view === name));
    save({ view: name });
  }

  measure() {
    const { latency, rate } = this.picture;
    this.figures.measure({ latency, shown: rate.perSecond });
  }

  async snapshot() {
    if (this.picture.stamp === null) return;
    const time = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
    download(URL.createObjectURL(await this.picture.png()), `lipar-live-${time}.png`);
  }
}

async function start() {
  try {
    const page = new Page(await info());
    page.begin();
  } catch (error) {
    document.body.dataset.state = "failed";
    find("#state").textContent = error.message;
    find(".veil").textContent = error.message;
    const again = find("#again");
    again.hidden = false;
    again.addEventListener("click", () => location.reload());
  }
}

await start();
