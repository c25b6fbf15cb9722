// The call to the server: pictures both ways and a channel of messages. A call that breaks off is made again, after longer
// and longer waits, until the server says why it ended it.

import { offer, Refusal } from "./server.js";

const WAITS = [500, 1000, 2000, 4000, 8000]; // milliseconds
const STEADY = 5000; // milliseconds after which a call counts as good, and waits begin at the shortest again
const GATHERING = 2000; // milliseconds for the addresses of this machine
const CONNECTING = 15_000;
const RECOVERS = 3000; // milliseconds that a call may be interrupted
const MOST_BITS = 6_000_000; // a second

const SERVER_ENDS = "the server ends"; // the reason that does not end the session for good

const NO_PATH =
  "The server answers, but no pictures come through: WebRTC needs UDP between this machine and the server, which a " +
  "tunnel of TCP ports does not carry.";

const BROKE_OFF = "The connection broke off.";

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function gathered(peer) {
  if (peer.iceGatheringState === "complete") return;
  const complete = new Promise((resolve) => {
    peer.addEventListener("icegatheringstatechange", () => peer.iceGatheringState === "complete" && resolve());
  });
  await Promise.race([complete, pause(GATHERING)]);
}

/**
 * An offer without names that stand for addresses: the server would look for them for a second in vain, and if there are
 * no other addresses and there will be none (Firefox says so), it would give up. Our checks tell it where we are.
 */
const reachable = (sdp) =>
  sdp
    .split("\r\n")
    .filter((line) => line !== "a=end-of-candidates" && !/^a=candidate:.* \S+\.local /.test(line))
    .join("\r\n");

/** Latency before smoothness, and the full size before all frames. */
function tune(transceiver) {
  if ("jitterBufferTarget" in transceiver.receiver) transceiver.receiver.jitterBufferTarget = 0;
  const parameters = transceiver.sender.getParameters();
  parameters.degradationPreference = "maintain-resolution";
  for (const encoding of parameters.encodings ?? []) encoding.maxBitrate = MOST_BITS;
  transceiver.sender.setParameters(parameters).catch(() => {}); // a wish: some browsers refuse it before the first answer
}

/**
 * Events: `state` with `{state, reason}`, state one of connecting, connected, lost (is made again after `wait`
 * milliseconds), closed (`status`: of HTTP, where the offer was refused); `message` with each message of the server.
 */
export class Connection extends EventTarget {
  constructor(track, video, settings) {
    super();
    Object.assign(this, { track, video, settings, peer: null, control: null, failures: 0, timers: new Set() });
    const atOnce = () => this.lost && !document.hidden && this.begin();
    window.addEventListener("online", atOnce);
    document.addEventListener("visibilitychange", atOnce);
  }

  get ready() {
    return this.control?.readyState === "open";
  }

  say(state, reason = "", more = {}) {
    this.lost = state === "lost";
    this.dispatchEvent(new CustomEvent("state", { detail: { state, reason, ...more } }));
  }

  send(message) {
    if (!this.ready) return false;
    if (message.type === "change") this.changes += 1;
    this.control.send(JSON.stringify(message));
    return true;
  }

  later(milliseconds, action) {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      action();
    }, milliseconds);
    this.timers.add(timer);
  }

  /** Makes a new call; one that there is ends. */
  async begin() {
    this.hangUp();
    this.say("connecting");
    const peer = new RTCPeerConnection(); // no outside server is asked for addresses
    this.peer = peer;
    this.changes = 0; // that were sent and not answered
    const mine = (action) => (event) => this.peer === peer && action(event);
    this.later(CONNECTING, () => this.again(NO_PATH));
    peer.addEventListener("track", mine(({ track }) => this.show(track)));
    peer.addEventListener("connectionstatechange", mine(() => this.changed(peer)));
    this.control = peer.createDataChannel("control");
    this.control.addEventListener("message", mine(({ data }) => this.hear(data)));
    this.control.addEventListener("close", mine(() => this.again("The server closed the connection.")));
    const transceiver = peer.addTransceiver(this.track, { direction: "sendrecv" });
    tune(transceiver);
    try {
      await peer.setLocalDescription();
      await gathered(peer);
      const { sdp, type } = peer.localDescription;
      const answer = await offer({ sdp: reachable(sdp), type, settings: this.settings() });
      if (this.peer === peer) await peer.setRemoteDescription({ sdp: answer.sdp, type: answer.type });
    } catch (error) {
      if (this.peer !== peer) return;
      if (error instanceof Refusal && !error.again) this.close(error.message, error.status);
      else this.again(error.message);
    }
  }

  show(track) {
    this.video.srcObject = new MediaStream([track]);
    this.video.play().catch(() => {}); // replaced by the next call
  }

  changed(peer) {
    const { connectionState } = peer;
    if (connectionState === "failed") this.again(this.failures ? NO_PATH : BROKE_OFF);
    if (connectionState === "disconnected") {
      this.later(RECOVERS, () => {
        if (peer === this.peer && peer.connectionState === "disconnected") this.again(BROKE_OFF);
      });
    }
  }

  hear(data) {
    const message = JSON.parse(data);
    if (message.type === "closed") {
      if (message.reason === SERVER_ENDS) this.again("The server was stopped.");
      else this.close(message.reason);
      return;
    }
    if (message.type === "settings" || message.type === "refused") {
      // every change is answered by one of them; a refusal besides is that of a recording
      message.ofChange = this.changes > 0;
      if (message.ofChange) this.changes -= 1;
      message.latest = this.changes === 0;
    }
    if (message.type === "ready") {
      this.forgetTimers();
      this.later(STEADY, () => {
        this.failures = 0;
      });
      this.say("connected");
    }
    this.dispatchEvent(new CustomEvent("message", { detail: message }));
  }

  /** Calls again after a while. */
  again(reason) {
    this.hangUp();
    const wait = WAITS[Math.min(this.failures, WAITS.length - 1)];
    this.failures += 1;
    this.say("lost", reason, { wait });
    this.later(wait, () => this.begin());
  }

  /** Ends the call; only `begin` makes another. */
  close(reason = "", status = 0) {
    this.hangUp();
    this.failures = 0;
    this.say("closed", reason, { status });
  }

  forgetTimers() {
    this.timers.forEach(clearTimeout);
    this.timers.clear();
  }

  hangUp() {
    this.forgetTimers();
    const { peer } = this;
    this.peer = null;
    this.control = null;
    peer?.close();
  }
}
