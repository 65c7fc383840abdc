// Files on their way to the server, one by one, and what is said of those that have no slice to show.

import { beginStudy, finishStudy, Refused, sendFile } from "./server.js";
import { showMessages, showStatus } from "./messages.js";

/** Sends files, each as { name, file }; returns the study that they make, or null if it isn't opened. */
export async function receive(files, mostBytes) {
  const wanted = files.filter(({ name }) => !name.split("/").pop().startsWith("."));
  wanted.sort((one, other) => (one.name < other.name ? -1 : 1));
  const size = wanted.reduce((sum, { file }) => sum + file.size, 0);
  if (!wanted.length) {
    showMessages("There was no file in that");
    return null;
  }
  if (size > mostBytes) {
    showMessages(`${inMiB(size)} of files are more than the ${inMiB(mostBytes)} that a study may have`, [
      "Open a single study, or start the viewer with a higher --max-upload.",
    ]);
    return null;
  }
  try {
    return await send(wanted);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    showMessages("The files were not opened", [error.message]);
    return null;
  } finally {
    showStatus("");
  }
}

async function send(files) {
  const number = await beginStudy();
  const reasons = [];
  for (const [sent, { name, file }] of files.entries()) {
    showStatus(`Reading file ${sent + 1} of ${files.length}…`);
    const content = await file.arrayBuffer().catch(() => null);
    const reason = content ? await sendFile(number, name, content) : "can't be read";
    if (reason) reasons.push(`${name}: ${reason}`);
  }
  const study = await finishStudy(number);
  showRejected(reasons, files.length, study);
  return study;
}

/** Says which files have no slice to show. */
export function showRejected(reasons, total, study) {
  if (!reasons.length) showMessages("");
  else if (!study) showMessages(total === 1 ? "This file has no CT slice" : `None of ${total} files has a CT slice`, reasons);
  else showMessages(`${reasons.length} of ${total} files ${reasons.length === 1 ? "is" : "are"} not shown`, reasons);
}

const inMiB = (bytes) => `${Math.ceil(bytes / 2 ** 20).toLocaleString("en")} MiB`;
