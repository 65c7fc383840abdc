// Messages that stay until they are dismissed, and the line that says what is going on.

const SHOWN = 12;

/** Shows a title and a list of texts in place of the messages before; none of either hides them. */
export function showMessages(title, texts = []) {
  const section = document.querySelector("#messages");
  section.hidden = !title;
  section.querySelector("h2").textContent = title;
  const items = texts.slice(0, SHOWN);
  if (texts.length > SHOWN) items.push(`and ${texts.length - SHOWN} more`);
  section.querySelector("ul").replaceChildren(
    ...items.map((text) => {
      const item = document.createElement("li");
      item.textContent = text;
      return item;
    }),
  );
}

export function showStatus(text) {
  document.querySelector("#status").textContent = text;
}
