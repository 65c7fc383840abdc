"use strict";
// Tables sort by a click on a head: numbers by their full value, texts as people order them, empty cells last.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const textOf = (row, column) => row.cells[column].textContent.trim();

  function sort(column) {
    const head = heads[column];
    const rows = [...body.rows];
    const filled = rows.filter((row) => textOf(row, column) !== "" && textOf(row, column) !== "–");
    const numbers = filled.map((row) => parseFloat(row.cells[column].dataset.value ?? textOf(row, column)));
    const numeric = numbers.every((number) => !Number.isNaN(number));
    const keys = new Map(filled.map((row, place) => [row, numeric ? numbers[place] : textOf(row, column)]));
    const down = head.ariaSort ? head.ariaSort === "ascending" : false;
    const compare = numeric ? (a, b) => a - b : (a, b) => a.localeCompare(b, "en", { numeric: true });
    filled.sort((a, b) => (down ? -1 : 1) * compare(keys.get(a), keys.get(b)));
    body.append(...filled, ...rows.filter((row) => !keys.has(row)));
    heads.forEach((other) => (other.ariaSort = null));
    head.ariaSort = down ? "descending" : "ascending";
  }

  // No buttons: paper, where a head stands on each page again, would have them on the first page alone.
  heads.forEach((head, column) => {
    head.tabIndex = 0;
    head.addEventListener("click", () => sort(column));
    head.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      sort(column);
    });
  });
}
