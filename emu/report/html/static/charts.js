// Draws what the page's data describes: SVG in currentColor and the page's own variables, so that a theme needs no redrawing.

const charts = JSON.parse(document.getElementById("charts").textContent);
const NARROW = 560; // pixels: names stand above their bars
const LABEL = 130; // pixels that a point's name takes
const LONGEST = 44; // characters of a name
const SIZE = 12.5;

const number = (value) => value.toLocaleString("en");
const color = (name) => `var(--${name})`;
const short = (name) => (name.length > LONGEST ? `${name.slice(0, LONGEST - 12)}…${name.slice(-11)}` : name);
const tip = { fill: "var(--paper)", stroke: "var(--line)", fontSize: 12, lineHeight: 1.35 };
const pen = document.createElement("canvas").getContext("2d");

/** Pixels for names at the left of bars. */
function labelRoom(rows, width) {
  pen.font = `${SIZE}px ${getComputedStyle(document.body).fontFamily}`;
  return Math.min(width * 0.34, Math.max(...rows.map((row) => pen.measureText(short(row)).width)) + 14);
}

const frame = (width, options) => Plot.plot({
  width, marginTop: 4, marginRight: 8, marginBottom: 4, color: { type: "identity" }, style: { fontSize: `${SIZE}px`, background: "none" }, ...options,
});

/** A scale of rows by their place, since names may be alike. */
const places = (rows, narrow, padding) => ({
  domain: rows.map((_, place) => place), axis: narrow ? null : "left", tickFormat: (place) => short(rows[place]), tickSize: 0, label: null, padding,
});

/** Bars of parts, a row a name; the whole stands at its end. */
function stacked(chart, width) {
  const narrow = width < NARROW, shift = narrow ? 8 : 0;
  const cells = [], totals = [];
  chart.rows.forEach((name, row) => {
    let at = 0;
    for (const part of chart.parts) {
      const value = part.values[row];
      if (value) cells.push({ row, x1: at, x2: at + value, fill: color(part.color), title: `${short(name)}\n${part.name}: ${number(value)} ${chart.unit}` });
      at += value;
    }
    totals.push({ row, at, name: short(name), text: number(at) });
  });
  return frame(width, {
    height: chart.rows.length * (narrow ? 48 : 32) + 8,
    marginLeft: narrow ? 0 : labelRoom(chart.rows, width),
    marginRight: 76,
    x: { axis: null, domain: [0, Math.max(1, ...totals.map((total) => total.at))] },
    y: places(chart.rows, narrow, narrow ? 0.55 : 0.32),
    marks: [
      Plot.barX(cells, { x1: "x1", x2: "x2", y: "row", fill: "fill", title: "title", tip, insetRight: 0.5, dy: shift }),
      Plot.text(totals, { x: "at", y: "row", text: "text", textAnchor: "start", dx: 7, dy: shift, fill: "currentColor" }),
      narrow ? Plot.text(totals, { x: 0, y: "row", text: "name", textAnchor: "start", dy: -12, fill: "currentColor" }) : null,
    ],
  });
}

/** Bars beside each other: a group a row, a bar a part. */
function grouped(chart, width) {
  const narrow = width < NARROW;
  const bars = chart.rows.flatMap((name, row) => chart.parts.map((part, place) => ({
    row, place, value: part.values[row], fill: color(part.color), text: place ? part.labels[row] : number(part.values[row]),
    title: `${short(name)}\n${part.name}: ${number(part.values[row])} ${chart.unit}${place ? ` (${part.changes[row]})` : ""}`,
  })));
  const names = chart.rows.map((name, row) => ({ row, name: short(name) }));
  return frame(width, {
    height: chart.rows.length * (chart.parts.length * 17 + (narrow ? 30 : 14)) + 8,
    marginLeft: narrow ? 0 : labelRoom(chart.rows, width),
    marginRight: 132,
    x: { axis: null, domain: [0, Math.max(1, ...bars.map((bar) => bar.value))] },
    fy: places(chart.rows, narrow, narrow ? 0.1 : 0.14),
    y: { domain: chart.parts.map((_, place) => place), axis: null, padding: 0.12, insetTop: narrow ? 18 : 0 },
    marks: [
      Plot.barX(bars, { x: "value", fy: "row", y: "place", fill: "fill", title: "title", tip }),
      Plot.text(bars, { x: "value", fy: "row", y: "place", text: "text", textAnchor: "start", dx: 7, fill: "currentColor", fontSize: 11.5 }),
      narrow ? Plot.text(names, { fy: "row", frameAnchor: "top-left", text: "name", fill: "currentColor" }) : null,
    ],
  });
}

/** One memory from its first byte to its last. */
function map(chart, width) {
  const tiles = chart.tiles.map((tile) => ({ ...tile, fill: tile.kind === "reserve" ? "url(#reserve)" : color(tile.color) }));
  const named = chart.sections.filter((section) => ((section.x2 - section.x1) / chart.size) * width > section.name.length * 7 + 8);
  return frame(width, {
    height: 92, marginTop: 20, marginBottom: 22, marginLeft: 1, marginRight: 1,
    x: { domain: [0, chart.size], label: null, ticks: width < NARROW ? 3 : 6, tickFormat: number, tickSize: 4 },
    y: { axis: null },
    marks: [
      () => reserve(),
      Plot.rectX(tiles, { x1: "x1", x2: "x2", y1: 0, y2: 1, fill: "fill", insetRight: 0.5, title: "title", tip }),
      Plot.text(named, { x: "x1", frameAnchor: "top", text: "name", textAnchor: "start", dy: -12, fill: "currentColor", fillOpacity: 0.7 }),
    ],
  });
}

/** What was set aside for the stack and not used. */
function reserve() {
  const definitions = document.createElementNS("http://www.w3.org/2000/svg", "defs");
  definitions.innerHTML = `<pattern id="reserve" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
    <rect width="6" height="6" fill="var(--reserve)"></rect><rect width="2" height="6" fill="var(--paper)" opacity="0.6"></rect></pattern>`;
  return definitions;
}

/** Work a byte against work a cycle, both logarithmic, under the core's bounds. */
function roofline(chart, width) {
  const narrow = width < NARROW;
  const height = Math.min(440, Math.max(300, width * 0.42)), marginTop = 28, marginBottom = 40;
  const across = Plot.scale({ x: { type: "log", domain: chart.x, range: [0, width] } }).apply;
  const down = Plot.scale({ y: { type: "log", domain: chart.y, range: [height - marginBottom, marginTop] } }).apply;
  const points = spread(chart.points.map((point) => ({ ...point, left: across(point.x), at: down(point.y) })));
  return frame(width, {
    height, marginLeft: 44, marginRight: 12, marginBottom, marginTop,
    x: { type: "log", domain: chart.x },
    y: { type: "log", domain: chart.y },
    marks: [
      Plot.gridX(steps(chart.x, narrow)), Plot.gridY(steps(chart.y, false)), // `text`, since a format of ours is not asked on a logarithmic scale
      Plot.axisX(steps(chart.x, narrow), { text: String, label: "MACs a byte", labelAnchor: "center" }),
      Plot.axisY(steps(chart.y, false), { text: String, label: "MACs a cycle" }),
      Plot.ruleX(points, { x: "x", y1: "y", y2: "bound", stroke: "currentColor", strokeOpacity: 0.3, strokeDasharray: "2 3" }),
      Plot.line(chart.bound, { x: "x", y: "y", stroke: "currentColor", strokeWidth: 1.75 }),
      Plot.text([chart.label], { x: "x", y: "y", text: "text", textAnchor: "end", dy: -10, fill: "currentColor" }),
      Plot.dot(points, { x: "x", y: "y", r: 5, fill: "var(--minimum)", title: "title", tip }),
      ...points.map((point) => Plot.text([point], { x: "x", y: "y", text: "name", textAnchor: "start", dx: 10, dy: point.shift, fill: "currentColor" })),
    ],
  });
}

/** Names of points that lie beside each other, moved apart. */
function spread(points) {
  let before = null;
  for (const point of points.sort((a, b) => a.at - b.at)) {
    point.shift = before && Math.abs(before.left - point.left) < LABEL ? Math.max(0, before.at + before.shift + 15 - point.at) : 0;
    before = point;
  }
  return points;
}

/** 1, 2, 5 of every power of ten between; in a narrow place 1 alone. */
function steps([low, high], narrow) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
    for (const step of narrow ? [1] : [1, 2, 5]) {
      const value = Number((step * 10 ** power).toPrecision(1));
      if (value >= low && value <= high) found.push(value);
    }
  }
  return found;
}

const drawings = { stacked, grouped, map, roofline };

// A place is drawn when it has a width, which it has not while it is folded, and again when that changes.
const seen = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    const width = Math.floor(contentRect.width);
    if (!width || target.drawn === width) continue;
    target.drawn = width;
    const chart = charts[target.dataset.chart];
    const drawing = drawings[chart.kind](chart, width);
    drawing.setAttribute("aria-hidden", "true"); // the place says what it shows, and a table has the figures
    target.replaceChildren(drawing);
  }
});
for (const place of document.querySelectorAll("[data-chart]")) seen.observe(place);
