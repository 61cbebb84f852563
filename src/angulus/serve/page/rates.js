// The threshold explained: histograms of the calibration, a line to drag, and the error rates that move with it.

import { element } from "./photos.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, LOWEST] = [1000, 320, 1e-6];

export function percent(rate) {
  const value = 100 * rate;
  if (value === 0) return "0 %";
  return `${Number(value.toPrecision(value >= 10 ? 3 : 2))} %`;
}

export function oneIn(rate) { return rate > 0 && rate < 0.5 ? `1 in ${Math.round(1 / rate).toLocaleString("en")}` : ""; }

export function rateText(rate) { return `${percent(rate.estimate)} (${percent(rate.low)} to ${percent(rate.high)})`; }

// The last kept threshold that is not above this one: between two of them the rates of the lower one hold.
function placeOf(thresholds, threshold) {
  let place = 0;
  while (place + 1 < thresholds.length && thresholds[place + 1] <= threshold + 1e-12) place += 1;
  return place;
}

function at(line, place) { return { estimate: line.estimate[place], low: line.low[place], high: line.high[place] }; }

export class Rates {
  constructor(ask) {
    this.ask = ask;
    for (const id of ["histogram", "scale", "line", "value", "rates", "rates-said", "measured", "level", "meaning", "use", "people-wanted", "logarithmic"]) {
      this[id] = document.getElementById(id);
    }
    this.line.addEventListener("input", () => this.move());
    this.line.addEventListener("change", () => { this["rates-said"].textContent = this.sentence(); });
    this.use.addEventListener("change", () => { this.draw(); this.move(); });
    this.logarithmic.addEventListener("change", () => { this.draw(); this.move(); });
    this["people-wanted"].addEventListener("change", () => this.load(Number(this["people-wanted"].value) || null));
    document.getElementById("present").addEventListener("click", () => this.load(null));
    const drag = (event) => { if (event.buttons & 1) this.moveTo(event); };
    this.histogram.addEventListener("pointerdown", (event) => { this.histogram.setPointerCapture(event.pointerId); this.moveTo(event); });
    this.histogram.addEventListener("pointermove", drag);
  }

  get threshold() { return Number(this.line.value); }

  // The threshold that holds now for what is chosen below the picture.
  get inForce() { return this.points?.[this.use.value]?.threshold; }

  async load(people, points = this.points) {
    const kept = this.found ? this.threshold : null;
    this.found = await this.ask("GET", `calibration${people ? `?people=${people}` : ""}`);
    this.points = points;
    const { thresholds, calibration_people, genuine_pairs, stranger_pairs, level } = this.found;
    this["people-wanted"].value = this.found.people;
    this.level.textContent = percent(level);
    this.measured.textContent =
      `Measured with this very network on ${calibration_people.toLocaleString("en")} people: ${genuine_pairs.toLocaleString("en")} pairs of one ` +
      `person, ${stranger_pairs.toLocaleString("en")} of two. A score above the line counts as the same person.`;
    const [low, high] = [Math.ceil(thresholds[0] * 1000) / 1000, Math.floor(thresholds[thresholds.length - 1] * 1000) / 1000];
    [this.line.min, this.line.max] = [low, high];
    this.line.value = kept ?? this.inForce ?? thresholds[Math.floor(thresholds.length / 2)];
    // the handle stands below the line: half of it hangs over at each end
    this.line.style.marginLeft = `calc(${(100 * this.x(low)) / WIDTH}% - 8px)`;
    this.line.style.width = `calc(${(100 * (this.x(high) - this.x(low))) / WIDTH}% + 16px)`;
    this.draw();
    this.move();
  }

  x(score) {
    const { edges } = this.found;
    return ((score - edges[0]) / (edges[edges.length - 1] - edges[0])) * WIDTH;
  }

  draw() {
    const { edges, genuine, strangers, thresholds, far, smallest_far } = this.found;
    const shape = (name, attributes) => {
      const made = document.createElementNS(SVG, name);
      for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
      return made;
    };
    const drawn = [];
    const blind = far.estimate.findIndex((rate) => rate < smallest_far);
    if (blind >= 0) drawn.push(shape("rect", { class: "unresolved", x: this.x(thresholds[blind]), y: 0, width: Math.max(0, WIDTH - this.x(thresholds[blind])), height: HEIGHT }));
    const shares = [strangers, genuine].map((counts) => { const all = counts.reduce((a, b) => a + b, 0) || 1; return counts.map((count) => count / all); });
    const most = Math.max(...shares.flat(), LOWEST);
    const least = Math.max(LOWEST, Math.min(...shares.flat().filter((share) => share > 0)) / 2);
    const height = (share) => {
      if (share <= 0) return 0;
      return HEIGHT * (this.logarithmic.checked ? Math.log(share / least) / Math.log(most / least) : share / most);
    };
    shares.forEach((row, which) => {
      const points = row.flatMap((share, bin) => [edges[bin], edges[bin + 1]].map((edge) => `${this.x(edge)},${HEIGHT - height(share)}`));
      drawn.push(shape("polygon", { class: which ? "genuine" : "strangers", points: `0,${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}` }));
    });
    drawn.push(shape("line", { class: "axis", x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }));
    if (this.inForce !== undefined) drawn.push(shape("line", { class: "force", x1: this.x(this.inForce), x2: this.x(this.inForce), y1: 0, y2: HEIGHT }));
    this.mark = shape("line", { class: "line", y1: 0, y2: HEIGHT });
    this.histogram.replaceChildren(...drawn, this.mark);
    const [low, high] = [edges[0], edges[edges.length - 1]];
    this.scale.replaceChildren(...[0, 1, 2, 3, 4].map((part) => {
      const tick = element("span", {}, (low + ((high - low) * part) / 4).toFixed(2));
      tick.style.left = `${25 * part}%`;
      return tick;
    }));
  }

  moveTo(event) {
    const box = this.histogram.getBoundingClientRect();
    const { edges } = this.found;
    const score = edges[0] + ((event.clientX - box.left) / box.width) * (edges[edges.length - 1] - edges[0]);
    this.line.value = score.toFixed(3);
    this.move();
    if (event.type !== "pointermove") this.line.focus({ preventScroll: true });
  }

  rows() {
    const { thresholds, far, frr, fpir, search_thresholds, smallest_far, smallest_fpir, stranger_pairs, people, photos } = this.found;
    const place = placeOf(thresholds, this.threshold);
    const above = thresholds[place] >= this.threshold - 1e-12 ? place : Math.min(place + 1, thresholds.length - 1);
    const rows = [
      { name: "FAR", said: "two people are taken for one", rate: at(far, place), smallest: smallest_far, of: `${stranger_pairs.toLocaleString("en")} pairs of two people` },
      { name: "FRR", said: "one person is taken for two", rate: at(frr, above) },
    ];
    if (fpir && people) {
      rows.push({
        name: "FPIR", said: `a stranger is taken for somebody, in a gallery of ${people.toLocaleString("en")} people (${photos.toLocaleString("en")} photos)`,
        rate: at(fpir, placeOf(search_thresholds, this.threshold)), smallest: smallest_fpir, of: "the strangers of the calibration",
      });
    }
    return rows;
  }

  move() {
    const score = this.threshold;
    const place = this.x(score);
    this.mark.setAttribute("x1", place);
    this.mark.setAttribute("x2", place);
    this.value.textContent = score.toFixed(3);
    this.line.setAttribute("aria-valuetext", this.sentence());
    this.rates.replaceChildren(...this.rows().map((row) => {
      const blind = row.smallest && row.rate.estimate < row.smallest;
      const shown = blind ? `below ${percent(row.smallest)}` : percent(row.rate.estimate);
      const note = blind ? `your data cannot resolve below this (${row.of})` : oneIn(row.rate.estimate);
      return element("tr", {},
        element("th", { scope: "row" }, row.name, element("div", { class: "soft small" }, row.said)),
        element("td", {}, element("strong", {}, shown), element("div", { class: "small" }, `${percent(row.rate.low)} to ${percent(row.rate.high)}`),
          element("div", { class: blind ? "warn small" : "soft small" }, note)));
    }));
    this.meaning.textContent = this.said();
  }

  sentence() {
    const said = this.rows().map((row) => `${row.name} ${row.smallest && row.rate.estimate < row.smallest ? `below ${percent(row.smallest)}, not resolved` : percent(row.rate.estimate)}`);
    return `threshold ${this.threshold.toFixed(3)}: ${said.join(", ")}`;
  }

  // What is stored: for searches the wanted FPIR, so that the threshold goes on moving with the gallery.
  choice() {
    if (this.use.value === "verify") return { use: "verify", threshold: this.threshold };
    const row = this.rows().find((one) => one.name === "FPIR");
    return row && row.rate.estimate >= row.smallest ? { use: "search", rate: row.rate.estimate } : { use: "search", threshold: this.threshold };
  }

  said() {
    const choice = this.choice();
    if (choice.use === "verify") return `Scores above ${choice.threshold.toFixed(3)} will count as the same person.`;
    if (choice.rate) return `Searches will keep FPIR at ${percent(choice.rate)} at most: the threshold rises as the gallery grows.`;
    return `Searches will use ${choice.threshold.toFixed(3)} whatever the size of the gallery, as your data cannot resolve its FPIR.`;
  }
}
