// Talks to the server that gave this page out; a word of its own for each way that can fail.

let reviewer = "reviewer";

export function setReviewer(name) {
  reviewer = name;
}

async function send(path, options = {}) {
  const headers = { "x-reviewer": encodeURIComponent(reviewer), ...options.headers };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch {
    throw new Error("The server does not answer. Start `labelmine review` again and open its new address: all decisions are saved.");
  }
  if (answer.ok) return answer;
  let told = "";
  try {
    told = (await answer.json()).error;
  } catch {
    told = answer.status === 401 ? "The server was started anew: open the address that the terminal shows." : `refused (${answer.status})`;
  }
  throw Object.assign(new Error(told), { status: answer.status });
}

export const getJson = async (path) => (await send(path)).json();

export const getBlob = async (path) => {
  const answer = await send(path);
  return answer.status === 204 ? null : answer.blob();
};

export const post = (path, said = {}) =>
  send(path, { method: "POST", body: JSON.stringify(said), headers: { "content-type": "application/json" } });
