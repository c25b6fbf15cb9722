// Two videos of the same length that always show the same frame: the first one leads, the second one follows.

const SEEK_BEYOND = 0.25; // seconds that the follower may be away before it jumps
const MOST_CORRECTION = 0.1; // of the speed, below that

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

const once = (target, ...names) => new Promise((resolve) => {
  const done = () => {
    names.forEach((name) => target.removeEventListener(name, done));
    resolve();
  };
  names.forEach((name) => target.addEventListener(name, done));
});

/** Calls `presented` with the media time of each frame that a video shows. */
function watchFrames(video, presented) {
  if ("requestVideoFrameCallback" in video) {
    const next = (now, { mediaTime }) => {
      presented(mediaTime);
      video.requestVideoFrameCallback(next);
    };
    video.requestVideoFrameCallback(next);
    return;
  }
  const poll = () => {
    if (!video.paused) presented(video.currentTime);
    requestAnimationFrame(poll);
  };
  requestAnimationFrame(poll);
}

async function seekVideo(video, time) {
  // `emptied`: another video was loaded instead
  const done = once(video, "seeked", "error", "emptied");
  video.currentTime = time;
  await done;
}

/** Events: `frame` (a video shows another frame) and `state` (playing or not). */
class VideoPair extends EventTarget {
  constructor(videos, frames, fps) {
    super();
    Object.assign(this, { videos, frames, fps, playing: false, repeat: true, rate: 1 });
    this.shown = [0, 0]; // the frame that each video shows
    this.wanted = 0;
    this.seeking = null;
    videos.forEach((video, side) => watchFrames(video, (time) => this.presented(side, time)));
    videos[0].addEventListener("ended", () => this.ended());
  }

  get frame() {
    return this.shown[0];
  }

  /** Shows another video on one side, at the same frame. */
  async load(side, url) {
    const video = this.videos[side];
    if (video.src === url) return;
    this.stop();
    const loaded = once(video, "loadeddata", "error");
    video.src = url;
    await loaded;
    await this.seeking;
    await this.seek(this.wanted);
  }

  /** Shows a frame on both sides, and goes on playing if it was playing. */
  async seek(frame) {
    this.wanted = clamp(Math.round(frame), 0, this.frames - 1);
    this.stop();
    this.seeking ??= this.seekUntilThere().finally(() => {
      this.seeking = null;
    });
    await this.seeking;
  }

  async seekUntilThere() {
    let reached;
    do {
      reached = this.wanted;
      // the middle of the frame, so that rounding cannot give its neighbour
      await Promise.all(this.videos.map((video) => seekVideo(video, (reached + 0.5) / this.fps)));
    } while (reached !== this.wanted);
    this.shown = [reached, reached];
    this.dispatchEvent(new Event("frame"));
    if (this.playing) await this.start();
  }

  async play() {
    if (this.playing) return;
    this.playing = true;
    this.dispatchEvent(new Event("state"));
    await this.seek(this.wanted >= this.frames - 1 ? 0 : this.wanted);
  }

  async pause() {
    if (!this.playing) return;
    this.playing = false;
    this.dispatchEvent(new Event("state"));
    await this.seek(this.frame);
  }

  setRate(rate) {
    this.rate = rate;
    this.videos.forEach((video) => {
      video.playbackRate = rate;
    });
  }

  stop() {
    this.videos.forEach((video) => video.pause());
  }

  async start() {
    this.setRate(this.rate);
    try {
      await Promise.all(this.videos.map((video) => video.play()));
    } catch (error) {
      // a seek or another video came before playing began, and starts it again
      if (error.name !== "AbortError") throw error;
    }
  }

  presented(side, time) {
    if (this.seeking) return;
    this.shown[side] = clamp(Math.floor(time * this.fps + 0.01), 0, this.frames - 1);
    if (this.playing && side === 0) {
      this.wanted = this.shown[0];
      this.follow();
    }
    this.dispatchEvent(new Event("frame"));
  }

  /** Keeps the follower with the leader: a little faster or slower, or by a jump. */
  follow() {
    const [leader, follower] = this.videos;
    if (leader.seeking || follower.seeking || leader.ended || follower.ended) return;
    const behind = leader.currentTime - follower.currentTime;
    if (Math.abs(behind) > SEEK_BEYOND) {
      follower.currentTime = leader.currentTime;
      return;
    }
    const correction = Math.abs(behind) * this.fps < 0.2 ? 0 : clamp(4 * behind, -MOST_CORRECTION, MOST_CORRECTION);
    const rate = this.rate * (1 + correction);
    if (follower.playbackRate !== rate) follower.playbackRate = rate;
  }

  async ended() {
    if (!this.playing) return;
    if (this.repeat) {
      await this.seek(0);
    } else {
      this.playing = false;
      this.dispatchEvent(new Event("state"));
      await this.seek(this.frames - 1);
    }
  }
}
