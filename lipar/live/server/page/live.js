// The page of `lipar live`: puts together source, call, picture, settings and figures.

import { Connection } from "./connection.js";
import { Divider } from "./divider.js";
import { Feed } from "./feed.js";
import { Figures } from "./figures.js";
import { SettingsForm } from "./form.js";
import { bindKeys } from "./keys.js";
import { Picture } from "./picture.js";
import { Recorder, download } from "./recorder.js";
import { info } from "./server.js";
import { SourcePicker } from "./source_picker.js";
import { load, save } from "./store.js";

const VIEWS = ["divider", "pair", "result"];
const REFRESH = 500; // milliseconds between two figures that the page measures
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
    const { size, strip } = server;
    this.feed = new Feed(find("#source-video"), size, strip);
    this.sources = new SourcePicker(find(".sources"), this.feed, size);
    this.picture = new Picture(find("#result-video"), [find("#source"), find("#result")], size, strip);
    this.connection = new Connection(this.feed.track, find("#result-video"), () => this.settings);
    this.divider = new Divider(find(".picture"), find(".divider"));
    this.form = new SettingsForm(find(".settings"), all("[data-setting]"));
    this.figures = new Figures(find("main"));
    this.recorder = new Recorder(find("#record"), find("#recordings"), (message) => this.connection.send(message));
    this.bindParts();
    this.bindControls();
    const { picture, figures } = this;
    setInterval(() => figures.measure({ latency: picture.latency, shown: picture.rate.perSecond }), REFRESH);
  }

  bindParts() {
    const { feed, sources, picture, connection, form, divider } = this;
    feed.addEventListener("drawn", () => picture.preview(feed.canvas));
    sources.addEventListener("opening", ({ detail }) => this.opening(detail));
    sources.addEventListener("opened", () => this.opened());
    sources.addEventListener("failed", ({ detail }) => this.sourceFailed(detail));
    sources.addEventListener("ended", ({ detail }) => this.stop(detail));
    picture.addEventListener("fresh", () => this.fresh());
    connection.addEventListener("state", ({ detail }) => this.connectionChanged(detail));
    connection.addEventListener("message", ({ detail }) => this.hear(detail));
    form.addEventListener("change", ({ detail }) => this.change(detail));
    divider.addEventListener("moved", () => save({ split: divider.percent }));
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
    for (const button of all(".views button")) button.addEventListener("click", () => this.view(button.dataset.view));
    // the server need not find out by itself that nobody is there
    window.addEventListener("pagehide", () => this.connection.hangUp());
    window.addEventListener("pageshow", ({ persisted }) => persisted && this.sources.on && this.connection.begin());
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
    const { running, view, split } = this.stored;
    find("#about").textContent = `${model}, ${size.join("x")}, ${device}, lipar ${version}`;
    document.body.style.setProperty("--ratio", size[0] / size[1]);
    find("[data-source=clip]").hidden = !source;
    this.form.show(this.settings);
    this.view(view ?? VIEWS[0]);
    this.divider.set(split ?? 50);
    this.say("idle");
    if (running === "camera") this.sources.use("camera");
    else if (["screen", "file"].includes(running)) this.say("idle", `Choose the ${running} again: a page that is loaded again has none.`);
    else if (source && running !== "none") this.sources.use("clip");
  }

  say(state, text = SAID[state]) {
    document.body.dataset.state = state;
    const place = find("#state");
    if (place.textContent !== text) place.textContent = text;
    find(".veil").textContent = state === "live" ? "" : text;
    find("#again").hidden = !["closed", "failed"].includes(state);
    find("#stop").disabled = !this.sources.on;
    const editing = ["waiting", "live", "paused"].includes(state);
    for (const id of ["pause", "reset", "record"]) find(`#${id}`).disabled = !editing;
    find("#snapshot").disabled = this.picture.stamp === null;
  }

  // Sources

  opening(name) {
    find("#notice").textContent = "";
    this.say("opening", `Opening the ${name}. The browser may ask for permission.`);
  }

  opened() {
    if (this.connection.ready) this.reset();
    else this.connection.begin();
  }

  sourceFailed(reason) {
    if (this.sources.on) {
      find("#notice").textContent = reason;
      this.sayConnected();
      return;
    }
    this.stop();
    this.say("failed", reason);
  }

  stop(reason = "") {
    this.sources.stop();
    this.connection.close();
    this.say("idle", reason || SAID.idle);
  }

  beginAgain() {
    if (this.sources.on) this.connection.begin();
    else this.sources.choose(this.sources.wanted);
  }

  // The call

  sayConnected() {
    if (!this.connection.ready) this.say("connecting");
    else this.say(this.paused ? "paused" : "waiting");
  }

  connectionChanged({ state, reason, wait, status }) {
    if (state === "connecting") {
      this.picture.forget();
      this.figures.clear();
    }
    if (state !== "connected") this.recorder.stopped();
    if (state === "connecting" || state === "connected") this.sayConnected();
    else if (state === "lost") this.say("lost", `Connection lost. ${reason} Trying again in ${wait / 1000} s.`);
    else if (reason) this.say("closed", `The session ended: ${reason}`);
    // settings that were kept from another server, perhaps
    if (status === 400) this.confirmed(this.server.settings);
  }

  hear(message) {
    const { type } = message;
    if (type === "ready") this.begun(message);
    if (type === "ready" || type === "settings") this.confirmed(message.settings, message.latest);
    if (type === "stats") this.figures.show(message);
    if (type === "recorded") this.recorder.recorded(message);
    if (type === "refused") this.refuse(message);
  }

  begun({ size }) {
    // the server was started again with another size
    if (String(size) !== String(this.server.size)) location.reload();
    if (this.paused) this.connection.send({ type: "pause" });
  }

  /** What the server uses; while it has not answered a later change, the form shows that change. */
  confirmed(settings, latest = true) {
    this.settings = settings;
    save({ settings });
    if (latest) this.form.show(settings);
    find("#refused").textContent = "";
  }

  refuse({ reason, ofChange, latest }) {
    find("#refused").textContent = reason;
    if (latest) this.form.show(this.settings);
    if (!ofChange) this.recorder.stopped();
  }

  change(change) {
    // without a call, the next one begins with it
    if (!this.connection.send({ type: "change", ...change })) this.confirmed({ ...this.settings, ...change });
  }

  fresh() {
    // the last picture of a call may be shown after its end
    if (this.connection.ready && !this.paused && document.body.dataset.state !== "live") this.say("live");
  }

  togglePause() {
    if (find("#pause").disabled) return;
    this.paused = !this.paused;
    this.connection.send({ type: this.paused ? "pause" : "resume" });
    find("#pause").setAttribute("aria-pressed", String(this.paused));
    find("#pause").textContent = this.paused ? "Resume" : "Pause";
    this.sayConnected();
  }

  reset() {
    if (!this.connection.send({ type: "reset" })) return;
    if (this.paused) this.say("paused");
    else this.say("waiting", "Waiting for the first block after the reset.");
  }

  // What is shown

  view(name) {
    document.body.dataset.view = name;
    for (const button of all(".views button")) button.setAttribute("aria-pressed", String(button.dataset.view === name));
    save({ view: name });
  }

  async snapshot() {
    if (this.picture.stamp === null) return;
    const time = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
    download(URL.createObjectURL(await this.picture.png()), `lipar-live-${time}.png`);
  }
}

async function start() {
  try {
    new Page(await info()).begin();
  } catch (error) {
    document.body.dataset.state = "failed";
    find("#state").textContent = error.message;
    find(".veil").textContent = error.message;
    find("#again").hidden = false;
    find("#again").addEventListener("click", () => location.reload());
  }
}

await start();
