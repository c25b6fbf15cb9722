// Requests to the server. The token, where one is needed, is in the address of the page and goes with every request.

const SECONDS = 15;

const token = new URLSearchParams(location.search).get("token");

/** An address below the page's own, with the token. */
export function address(path) {
  const url = new URL(path.replace(/^\//, ""), new URL(".", location.href));
  if (token !== null) url.searchParams.set("token", token);
  return url.href;
}

/** A request that gave no result. `again`: whether to ask again later. */
export class Refusal extends Error {
  constructor(message, { again = false, status = 0 } = {}) {
    super(message);
    this.again = again;
    this.status = status;
  }
}

async function reasonOf(answer) {
  try {
    return String((await answer.json()).error ?? "");
  } catch {
    return "";
  }
}

function refusal(status, reason) {
  if (status === 401 || status === 403) {
    const why = reason ? ` (${reason})` : "";
    return new Refusal(
      token === null
        ? `The server asks for a token${why}. Open the address that \`lipar live\` printed, with its ?token=.`
        : `The server does not accept the token of this address${why}. Open the address that \`lipar live\` printed.`,
      { status },
    );
  }
  const again = status === 429 || status >= 500;
  return new Refusal(reason || `The server answered with status ${status}.`, { again, status });
}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(address(path), { cache: "no-store", signal: AbortSignal.timeout(1000 * SECONDS), ...options });
  } catch {
    throw new Refusal("The server does not answer.", { again: true });
  }
  if (!answer.ok) throw refusal(answer.status, await reasonOf(answer));
  return answer.json();
}

export const info = () => ask("api/info");

export const offer = (description) =>
  ask("api/offer", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(description),
  });
