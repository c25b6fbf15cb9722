// What is sent: the source, cropped to the size of the model, with its time in the strip below, on a canvas whose stream
// goes to the server. A camera and a file are thereby the same to the server, and the source can change without a new call.

import { Rate, watchFrames } from "./frames.js";
import { since, writeStrip } from "./strip.js";

const STALE = 100; // milliseconds after which the same picture is sent again: a screen at rest gives no frames
const OLDEST = 1000; // milliseconds; an older capture time is one of another clock
const NO_CAPTURE = "This browser cannot send what is drawn on a canvas. Use a current Firefox, Chromium or Safari.";
const NO_CODEC = "The file cannot be played by this browser. Most play H.264 in MP4 and VP9 in WebM.";
const ENDED = "The source has ended: it was closed or unplugged. Choose one to go on.";

/** Events: `drawn` after each frame, `ended` when the source gives no more. */
export class Feed extends EventTarget {
  constructor(video, [width, height], strip) {
    super();
    Object.assign(this, { video, width, height, strip, last: -Infinity, rate: new Rate() });
    this.canvas = document.createElement("canvas");
    Object.assign(this.canvas, { width, height: height + strip });
    this.context = this.canvas.getContext("2d", { alpha: false });
    if (!this.canvas.captureStream) throw new Error(NO_CAPTURE);
    this.stream = this.canvas.captureStream();
    [this.track] = this.stream.getVideoTracks();
    watchFrames(video, (time, { captureTime }) => this.draw(captureTime));
    video.addEventListener("error", () => this.end(NO_CODEC));
    const ticker = new Worker(new URL("ticker.js", import.meta.url));
    ticker.onmessage = () => this.tick();
  }

  /** Shows another source from now on; the one before is closed. Gives whether it is still the one in use. */
  async use({ stream = null, url = null }) {
    this.close();
    const source = { stream, url };
    this.source = source;
    for (const track of stream?.getVideoTracks() ?? []) {
      track.addEventListener("ended", () => {
        if (this.source === source) this.end(ENDED);
      });
    }
    this.video.srcObject = stream;
    if (url) this.video.src = url;
    try {
      await this.video.play();
    } catch (error) {
      // another source came in the meantime, or the file is refused, which has an event of its own
      if (error.name !== "AbortError" && error.name !== "NotSupportedError") throw error;
    }
    return this.source === source;
  }

  end(reason) {
    if (!this.source) return;
    this.close();
    this.dispatchEvent(new CustomEvent("ended", { detail: reason }));
  }

  close() {
    const { source } = this;
    this.source = null;
    if (!source) return;
    source.stream?.getTracks().forEach((track) => track.stop());
    this.video.pause();
    this.video.srcObject = null;
    this.video.removeAttribute("src");
    this.video.load();
    if (source.url?.startsWith("blob:")) URL.revokeObjectURL(source.url);
  }

  /** Frames of a page out of sight, and of a source that stands still. */
  tick() {
    if (document.hidden || performance.now() - this.last > STALE) this.draw();
  }

  draw(captured) {
    const { video, width, height, strip } = this;
    if (!this.source || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA || !video.videoWidth) return;
    const scale = Math.max(width / video.videoWidth, height / video.videoHeight);
    const [w, h] = [width / scale, height / scale];
    this.context.drawImage(video, (video.videoWidth - w) / 2, (video.videoHeight - h) / 2, w, h, 0, 0, width, height);
    const now = performance.now();
    const known = captured !== undefined && since(Math.round(captured), now) < OLDEST;
    writeStrip(this.context, width, height, strip, known ? captured : now);
    this.last = now;
    this.rate.count(now);
    this.dispatchEvent(new Event("drawn"));
  }
}
