// Requests to the server. The token is in the address that the terminal shows; only it gives access.

const token = location.hash.slice(1);

/** An answer that is a message to show. */
export class Refused extends Error {}

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { Authorization: `Bearer ${token}` } });
  } catch {
    throw new Refused("the viewer no longer answers; start it again in the terminal");
  }
  if (!response.ok) {
    const { reason } = await response.json().catch(() => ({ reason: response.statusText }));
    throw new Refused(reason);
  }
  return response;
}

const json = async (path, options) => (await ask(path, options)).json();
const post = (path, body = "") => json(path, { method: "POST", body });
const bytes = async (path) => (await ask(path)).arrayBuffer();

export const model = () => json("/api/model");
export const openStudy = () => json("/api/study");
export const beginStudy = async () => (await post("/api/studies")).number;
export const sendFile = async (study, name, file) =>
  (await post(`/api/studies/${study}/files?name=${encodeURIComponent(name)}`, file)).reason;
export const finishStudy = (study) => post(`/api/studies/${study}/open`);
export const probabilities = (study, series) => json(`/api/studies/${study}/series/${series}/probabilities`);

/** The address of a slice, which is also its name in the viewer's cache. */
export const sliceAddress = (study, series, slice) => `/api/studies/${study}/series/${series}/slices/${slice}`;
export const pixels = async (slice) => new Int16Array(await bytes(`${slice}/pixels`));
export const activationMap = async (slice, label) => new Uint8Array(await bytes(`${slice}/maps/${label}`));
