// The keyboard: what each key does, and the list of them.

/** Follows keys anywhere on the page except in fields that use them; `keys` is a list of { keys, text, act }. */
export function followKeys(keys) {
  const acts = new Map(keys.flatMap(({ keys: names, act }) => names.map((name) => [name, act])));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("input, select, dialog")) return;
    const act = acts.get(event.key);
    if (!act) return;
    event.preventDefault();
    act(event.key);
  });
}

/** Lists keys, and what else there is to know, in a <dl>. */
export function listKeys(list, keys, others) {
  const shown = keys.map(({ keys: names, text }) => [names.map(plain), text]);
  for (const [names, text] of [...shown, ...others.map(({ name, text }) => [[name], text])]) {
    const term = document.createElement("dt");
    names.forEach((name) => {
      const key = document.createElement("kbd");
      key.textContent = name;
      term.append(key, " ");
    });
    const meaning = document.createElement("dd");
    meaning.textContent = text;
    list.append(term, meaning);
  }
}

function plain(name) {
  const arrows = { ArrowRight: "→", ArrowDown: "↓", ArrowLeft: "←", ArrowUp: "↑" };
  return arrows[name] ?? name.replace(/^Page/, "Page ");
}
