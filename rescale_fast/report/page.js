"use strict";
// The pages' behaviour: theme, images that open larger, tables that sort and filter, the heat map.

function initTheme() {
  const button = document.getElementById("theme"), root = document.documentElement;
  const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    dispatchEvent(new Event("resize")); // what is drawn takes the new colours
  });
}

function initImages() {
  const dialog = document.getElementById("larger");
  for (const button of document.querySelectorAll(".opens")) {
    button.addEventListener("click", () => {
      const image = button.querySelector("img"), shown = dialog.querySelector("img");
      shown.src = image.src;
      shown.alt = image.alt;
      dialog.querySelector("p").textContent = button.title;
      dialog.showModal(); // Escape closes it and gives the focus back
    });
  }
}

function initTable(table) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const key = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
  const compare = (a, b) => (isNaN(a) || isNaN(b) || a === "" || b === "" ? a.localeCompare(b) : a - b);
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const falls = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", falls ? "descending" : "ascending");
      const rows = [...body.rows].sort((a, b) => compare(key(a, column), key(b, column)));
      body.append(...(falls ? rows.reverse() : rows));
    });
  });
  if (body.rows.length < 5) return;
  const filter = document.createElement("input");
  filter.type = "search";
  filter.className = "filter";
  filter.placeholder = "Show rows with …";
  filter.setAttribute("aria-label", `Show rows of the table with this text: ${table.getAttribute("aria-label")}`);
  filter.addEventListener("input", () => {
    const wanted = filter.value.toLowerCase();
    for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
  table.parentElement.before(filter);
}

function initHeatMap(canvas) {
  const { names, images, cells, largest } = JSON.parse(document.getElementById("heat-data").textContent);
  const k = names.length, says = document.getElementById("heat-says"), count = new Map();
  for (let i = 0; i < cells.length; i += 3) count.set(cells[i] * k + cells[i + 1], cells[i + 2]);
  let layout, at = null;

  function draw() {
    const pen = canvas.getContext("2d"), width = canvas.clientWidth, labelled = k <= 60 && (width - 130) / k >= 9;
    pen.font = "12px system-ui, sans-serif";
    const longest = Math.max(...names.map((name) => pen.measureText(name).width));
    const left = labelled ? Math.min(130, width / 4, longest + 16) : 26, cell = (width - left - 8) / k;
    const top = left, height = top + k * cell + 8, scale = devicePixelRatio || 1;
    layout = { left, top, cell };
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.height = `${height}px`;
    const { color: ink } = getComputedStyle(says), { color: mark, backgroundColor: ground } = getComputedStyle(canvas);
    pen.scale(scale, scale);
    const size = Math.max(cell, 1.5), faintest = cell < 3 ? 0.35 : 0.12; // small cells must be seen, too
    pen.fillStyle = "#8883";
    for (let i = 0; i < k; i++) pen.fillRect(left + i * cell, top + i * cell, cell, cell);
    pen.font = `${Math.min(12, Math.max(8, cell * 0.42))}px system-ui, sans-serif`;
    for (const [place, images_called] of count) {
      const row = Math.floor(place / k), column = place % k, share = images_called / images[row];
      pen.globalAlpha = faintest + (1 - faintest) * Math.sqrt(share / largest);
      pen.fillStyle = mark;
      pen.fillRect(left + column * cell, top + row * cell, size, size);
      pen.globalAlpha = 1;
      if (k > 20 || cell < 22) continue;
      pen.fillStyle = share > 0.35 * largest ? ground : ink;
      pen.textAlign = "center";
      pen.textBaseline = "middle";
      pen.fillText(String(images_called), left + (column + 0.5) * cell, top + (row + 0.5) * cell);
    }
    pen.fillStyle = ink;
    pen.textBaseline = "middle";
    pen.strokeStyle = "#8885";
    pen.strokeRect(left, top, k * cell, k * cell);
    pen.font = `${Math.min(12, cell * 0.95)}px system-ui, sans-serif`;
    if (labelled) names.forEach((name, i) => label(pen, name, i));
    else axisNames(pen);
    if (at) outline(pen, ink);
  }

  function label(pen, name, i) {
    const { left, top, cell } = layout;
    let shown = name;
    while (shown.length > 1 && pen.measureText(`${shown}…`).width > left - 14) shown = shown.slice(0, -1);
    if (shown !== name) shown += "…";
    pen.textAlign = "right";
    pen.fillText(shown, left - 6, top + (i + 0.5) * cell);
    const turned = pen.measureText(shown).width > cell;
    pen.save();
    pen.translate(left + (i + 0.5) * cell, turned ? top - 6 : top - 10);
    if (turned) pen.rotate(-Math.PI / 2);
    pen.textAlign = turned ? "left" : "center";
    pen.fillText(shown, 0, 0);
    pen.restore();
  }

  function axisNames(pen) {
    const { left, top, cell } = layout, middle = (k * cell) / 2;
    pen.font = "12px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.fillText("called →", left + middle, top / 2);
    pen.save();
    pen.translate(left / 2, top + middle);
    pen.rotate(-Math.PI / 2);
    pen.fillText("← true class", 0, 0);
    pen.restore();
  }

  function outline(pen, color) {
    const { left, top, cell } = layout, [row, column] = at, size = Math.max(cell, 3);
    pen.fillStyle = "#8884";
    pen.fillRect(left, top + row * cell, k * cell, cell);
    pen.fillRect(left + column * cell, top, cell, k * cell);
    pen.strokeStyle = color;
    pen.lineWidth = 2;
    pen.strokeRect(left + column * cell, top + row * cell, size, size);
  }

  function point(row, column) {
    at = [Math.min(k - 1, Math.max(0, row)), Math.min(k - 1, Math.max(0, column))];
    const [a, b] = at, found = count.get(a * k + b) ?? 0, share = images[a] ? (100 * found) / images[a] : 0;
    says.textContent = a === b
      ? `${names[a]}: ${images[a].toLocaleString("en")} images`
      : `${names[a]}, called ${names[b]}: ${found.toLocaleString("en")} of ${images[a].toLocaleString("en")} images (${share.toFixed(1)} %)`;
    draw();
  }

  function follow(event) {
    const { left, top, cell } = layout;
    const row = Math.floor((event.offsetY - top) / cell), column = Math.floor((event.offsetX - left) / cell);
    if (Math.min(row, column) < 0 || Math.max(row, column) >= k) return;
    if (!at || row !== at[0] || column !== at[1]) point(row, column);
  }

  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  canvas.addEventListener("pointermove", follow);
  canvas.addEventListener("pointerdown", follow);
  canvas.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    const [row, column] = at ?? [0, -1];
    point(row + step[0], column + step[1]);
  });
  addEventListener("resize", draw);
  addEventListener("beforeprint", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
}

initTheme();
initImages();
document.querySelectorAll("table.sorts").forEach(initTable);
document.querySelectorAll("canvas.heat").forEach(initHeatMap);
