// Where pictures come from: a camera, the screen, a file, or the clip that the server was given. Each opener returns what
// a video element can show, `{stream}` or `{url}`, or fails with an Error whose text is for the person at the page.

import { address } from "./server.js";

const FRAME_RATE = { ideal: 30, max: 60 };

const SECURE =
  "Browsers give the camera and the screen only to pages of this machine (127.0.0.1, localhost) and to pages over https. " +
  "Start `lipar live` with a certificate: see its documentation. A file works without.";

const REASONS = {
  NotAllowedError: (what) =>
    `The browser does not allow this page to use the ${what}. Allow it next to the address, then press the button again.`,
  NotFoundError: (what) => `There is no ${what} on this machine. Connect one, or choose another source.`,
  NotReadableError: (what) => `The ${what} is used by another program. Close that, then press the button again.`,
  OverconstrainedError: (what) => `The chosen ${what} is no longer there. Choose another one.`,
};

function inWords(error, what) {
  if (what === "screen" && error.name === "NotAllowedError") return new Error(NO_SCREEN);
  const reason = REASONS[error.name];
  return new Error(reason ? reason(what) : `The ${what} cannot be opened: ${error.message || error.name}`);
}

const NO_SCREEN = "No screen was chosen, or the browser does not allow it. Press the button again to choose one.";

async function openDevice(what, open) {
  if (!navigator.mediaDevices?.[open.name]) {
    throw new Error(window.isSecureContext ? `This browser gives pages no ${what}. Choose another source.` : SECURE);
  }
  try {
    return { stream: await navigator.mediaDevices[open.name](open.constraints) };
  } catch (error) {
    throw inWords(error, what);
  }
}

/** A camera: the one with this id, else the one facing the user; not larger than is needed. */
export function openCamera(id, [width, height]) {
  const which = id ? { deviceId: { exact: id } } : { facingMode: "user" };
  const size = { width: { ideal: Math.max(640, width) }, height: { ideal: Math.max(480, height) } };
  const constraints = { video: { ...which, ...size, frameRate: FRAME_RATE }, audio: false };
  return openDevice("camera", { name: "getUserMedia", constraints });
}

export function openScreen() {
  const constraints = { video: { frameRate: FRAME_RATE }, audio: false };
  return openDevice("screen", { name: "getDisplayMedia", constraints });
}

export const openFile = async (file) => ({ url: URL.createObjectURL(file), name: file.name });

export const openClip = async () => ({ url: address("api/clip") });

/** Cameras by id and name; browsers tell names only after permission was given. */
export async function cameras() {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  return devices
    .filter(({ kind, deviceId }) => kind === "videoinput" && deviceId)
    .map(({ deviceId, label }, index) => ({ id: deviceId, label: label || `camera ${index + 1}` }));
}
