// Files that are dropped or chosen, also in folders, with their paths.

/** The files of a drop, each as { name, file }. */
export async function droppedFiles(transfer) {
  // Entries are gone after the event's first await, so all are taken at once.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  return (await Promise.all(entries.map(filesOf))).flat();
}

/** The files of an <input>, each as { name, file }. */
export function chosenFiles(input) {
  return [...input.files].map((file) => ({ name: file.webkitRelativePath || file.name, file }));
}

async function filesOf(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{ name: entry.fullPath.slice(1), file }];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    // A reader gives a folder's entries in parts, the last of which is empty.
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!part.length) break;
    found.push(...part);
  }
  return (await Promise.all(found.map(filesOf))).flat();
}
