// What survives a reload of the page, in this tab. Without storage (a private window) nothing does, and all else works.

const KEY = "lipar-live";

export function load() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}

export function save(values) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ ...load(), ...values }));
  } catch {
    // full or forbidden
  }
}
