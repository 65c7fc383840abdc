// The table of labels: the shown slice's probabilities, thresholds and decisions, and where the scan's highest are.

/** Fills the table's body; `choose(label)` and `go(slice)` are called for what is clicked. */
export function makeAnswers(body, labels, thresholds, { choose, go }) {
  const rows = labels.map((label, number) => {
    const row = body.insertRow();
    row.innerHTML = `<th scope="row"><button type="button" aria-pressed="false"></button></th>
      <td><span class="bar"><span class="filled"></span><span class="tick"></span></span> <output></output></td>
      <td class="decision"></td><td><button type="button" class="peak"></button></td>`;
    const [name, peak] = row.querySelectorAll("button");
    name.textContent = label;
    name.addEventListener("click", () => choose(number));
    peak.addEventListener("click", () => go(Number(peak.dataset.slice)));
    row.querySelector(".tick").style.left = `${100 * thresholds[number]}%`;
    row.querySelector(".bar").title = `threshold ${thresholds[number].toFixed(2)}`;
    return row;
  });
  return (state) => rows.forEach((row, number) => fill(row, number, thresholds[number], state));
}

function fill(row, number, threshold, { probabilities, slice, label }) {
  const [name, peak] = row.querySelectorAll("button");
  name.setAttribute("aria-pressed", String(number === label));
  const value = probabilities?.[slice][number];
  const present = value >= threshold;
  row.classList.toggle("present", present);
  row.querySelector(".filled").style.width = `${100 * (value ?? 0)}%`;
  row.querySelector("output").textContent = value === undefined ? "…" : value.toFixed(2);
  row.querySelector(".decision").textContent = value === undefined ? "" : present ? "present" : "not present";
  peak.hidden = !probabilities;
  if (!probabilities) return;
  const column = probabilities.map((of) => of[number]);
  const highest = column.indexOf(Math.max(...column));
  const count = column.filter((one) => one >= threshold).length;
  peak.dataset.slice = highest;
  peak.textContent = `in ${count} of ${column.length}; highest at ${highest + 1}`;
  peak.title = `Go to slice ${highest + 1}, where it is ${column[highest].toFixed(2)}`;
}
