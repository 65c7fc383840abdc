// The table of labels: the shown slice's probabilities and decisions, and where in the scan each label is present.

/** Fills the table's body; `choose(label)` and `go(slice)` are called for what is clicked. */
export function makeAnswers(body, labels, thresholds, { choose, go }) {
  const rows = labels.map((label, number) => {
    const row = body.insertRow();
    row.innerHTML = `<th scope="row"><button type="button"></button></th>
      <td><span class="bar"><span class="filled"></span><span class="tick"></span></span> <output></output></td>
      <td class="decision"></td><td class="count"></td>
      <td><button type="button" class="peak"></button></td>`;
    const [name, peak] = row.querySelectorAll("button");
    name.textContent = label;
    name.addEventListener("click", () => choose(number));
    peak.addEventListener("click", () => go(Number(peak.textContent) - 1));
    row.querySelector(".tick").style.left = `${100 * thresholds[number]}%`;
    return row;
  });
  return (state) => rows.forEach((row, number) => fill(row, number, thresholds[number], state));
}

function fill(row, number, threshold, { probabilities, slice, label }) {
  const [name, peak] = row.querySelectorAll("button");
  name.setAttribute("aria-pressed", String(number === label));
  peak.hidden = !probabilities;
  const value = probabilities?.[slice][number];
  row.classList.toggle("present", value >= threshold);
  row.querySelector(".filled").style.width = `${100 * (value ?? 0)}%`;
  row.querySelector("output").textContent = compared(value, threshold);
  row.querySelector(".decision").textContent = decision(value, threshold);
  row.querySelector(".count").textContent = "";
  if (!probabilities) return;
  const column = probabilities.map((of) => of[number]);
  const highest = Math.max(...column);
  row.querySelector(".count").textContent = `${column.filter((one) => one >= threshold).length}/${column.length}`;
  peak.textContent = column.indexOf(highest) + 1;
  peak.title = `Go to slice ${peak.textContent}, where it is ${highest.toFixed(2)}`;
}

/** A probability beside its threshold, in as many digits as it takes to see which is higher. */
function compared(value, threshold) {
  if (value === undefined) return "…";
  const sign = value >= threshold ? "≥" : "<";
  const digits = [2, 3, 4, 5, 6].find((count) => value.toFixed(count) !== threshold.toFixed(count)) ?? 2;
  return `${value.toFixed(digits)} ${sign} ${threshold.toFixed(digits)}`;
}

function decision(value, threshold) {
  if (value === undefined) return "";
  return value >= threshold ? "present" : "absent";
}
