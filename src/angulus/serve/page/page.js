// The page: tabs, the key, and what each form asks of the service.

import { element, Picker, remarks } from "./photos.js";
import { percent, rateText, Rates } from "./rates.js";

const KEY = "angulus-key";
const at = (id) => document.getElementById(id);

class Refused extends Error {}

async function fetched(method, path, body, json) {
  const headers = {};
  const key = sessionStorage.getItem(KEY);
  if (key) headers.Authorization = `Bearer ${key}`;
  if (json) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(`v1/${path}`, { method, headers, body: json ? JSON.stringify(json) : body });
  } catch {
    throw new Refused("The service does not answer.");
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => null);
  if (answer.status === 401) at("access").open = true;
  throw new Refused(said?.error?.message ?? `The service answered ${answer.status}.`);
}

const ask = async (method, path, body, json) => (await fetched(method, path, body, json)).json();

function answer(kind, title, reason, facts = [], ...more) {
  const list = element("dl");
  for (const [name, value] of facts) if (value) list.append(element("dt", {}, name), element("dd", {}, value));
  return element("div", { class: `answer ${kind}` }, element("h3", {}, title), element("p", {}, reason), list, ...more);
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

// A form that asks: its button waits, its place says what came of it.
function form(id, place, run) {
  at(id).addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = event.submitter ?? at(id).querySelector("button[type=submit]");
    button.disabled = true;
    at(place).replaceChildren(element("p", {}, element("span", { class: "busy", "aria-hidden": "true" }), "Working ..."));
    try {
      at(place).replaceChildren(await run());
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      at(place).replaceChildren(answer("bad", "Not done", sentence(error.message.replace(/\.$/, ""))));
    } finally {
      button.disabled = false;
    }
  });
}

function parts(photos, words = {}) {
  const body = new FormData();
  for (const [name, picked] of photos) {
    if (!picked.photos.length) throw new Refused("choose a photo first");
    for (const photo of picked.photos) body.append(name, photo, photo.name);
  }
  for (const [name, value] of Object.entries(words)) if (value) body.append(name, String(value));
  return body;
}

const pickers = Object.fromEntries([...document.querySelectorAll("[data-picker]")].map((place) => [place.dataset.picker, new Picker(place)]));

function seenFacts(photos) {
  return photos.map((photo) => [photo.name, [...(photo.face ? [`face ${photo.face.number} of ${photo.face.found}: ${photo.face.reason}`] : []), ...remarks(photo)].join("; ")]);
}

form("verify-form", "verify-result", async () => {
  const body = parts([["left", pickers.left], ["right", pickers.right]], { undecided: at("undecided").checked });
  const found = await ask("POST", "verify", body);
  pickers.left.mark([found.photos[0]]);
  pickers.right.mark([found.photos[1]]);
  const title = { same: "The same person", different: "Different people", "cannot tell": "Cannot tell" }[found.decision];
  const kind = { same: "good", different: "bad", "cannot tell": "open" }[found.decision];
  return answer(kind, title, sentence(found.reason), [
    ["score", found.score?.toFixed(3)],
    ["threshold", `${found.point.threshold.toFixed(3)} (${found.point.source})`],
    ["two people pass (FAR)", found.point.far && rateText(found.point.far)],
    ["one person fails (FRR)", found.point.frr && rateText(found.point.frr)],
    ["evidence", found.log_likelihood_ratio !== undefined ? evidence(found.log_likelihood_ratio) : ""],
    ...seenFacts(found.photos),
  ]);
});

function evidence(llr) {
  const times = Math.exp(Math.min(Math.abs(llr), 20));
  const number = times >= 100 ? Math.round(times).toLocaleString("en") : times.toPrecision(2);
  return `the score is ${number} times likelier for ${llr >= 0 ? "one person than for two" : "two people than for one"}`;
}

form("search-form", "search-result", async () => {
  const found = await ask("POST", "search", parts([["photo", pickers.photo]]));
  pickers.photo.mark([found.photo]);
  const { point } = found;
  const facts = [
    ["best score", found.score?.toFixed(3)],
    ["threshold", point.threshold?.toFixed(3)],
    ["strangers taken for somebody (FPIR)", point.fpir && rateText(point.fpir)],
    ["gallery", `${point.people.toLocaleString("en")} people, ${point.photos.toLocaleString("en")} photos`],
    ...seenFacts([found.photo]),
  ];
  if (found.decision === "cannot tell") return answer("open", "Cannot tell", sentence(found.reason), facts);
  if (found.decision === "unknown") {
    return answer("open", "Unknown", "Nobody in the gallery is alike enough: this is a stranger, or somebody who is not enrolled.", facts);
  }
  const matches = await Promise.all(found.candidates.map(match));
  return answer("good", found.person, sentence(found.reason), facts, ...matches);
});

async function match(candidate) {
  const said = element("div", {}, element("strong", {}, candidate.name), element("div", {}, `score ${candidate.score.toFixed(3)}`));
  const made = element("div", { class: "match" }, said);
  if (!candidate.photo) return made;
  said.append(element("div", { class: "soft small" }, `nearest enrolled photo ${candidate.photo.slice(0, 8)}, score ${candidate.photo_score.toFixed(3)}`));
  if (!candidate.crop) {
    said.append(element("div", { class: "soft small" }, "photos are not kept here"));
    return made;
  }
  const path = `people/${encodeURIComponent(candidate.name)}/photos/${candidate.photo}/crop`;
  const image = URL.createObjectURL(await (await fetched("GET", path)).blob());
  made.prepend(element("img", { src: image, alt: `the enrolled photo of ${candidate.name} that is nearest` }));
  return made;
}

form("enrol-form", "enrol-result", async () => {
  const words = { name: at("name").value, add: at("add").checked, refuse_lookalikes: at("refuse").checked };
  const found = await ask("POST", "people", parts([["photos", pickers.photos]], words));
  pickers.photos.mark(found.photos.map((one) => one.photo));
  const enrolled = found.photos.filter((one) => one.id).length;
  const lines = found.photos.map((one) => {
    const said = one.id ? `enrolled, score to the whole ${one.template_score.toFixed(3)}` : "not enrolled";
    const again = one.same_as?.length ? `the very same file is enrolled as ${one.same_as.join(", ")}` : "";
    return element("li", {}, `${one.photo.name}: ${[said, again, ...remarks(one.photo)].filter(Boolean).join("; ")}`);
  });
  const alike = found.lookalikes.map((one) => element("li", { class: "warn" }, `${one.score.toFixed(2)} like ${one.name}, enrolled ${one.added.slice(0, 10)}: is it the same person?`));
  await showPeople();
  return answer("good", `${found.name} is enrolled`, `${enrolled} of ${found.photos.length} photos were taken; ${found.people.toLocaleString("en")} people are enrolled now.`,
    [["lowest score of a photo to the whole", found.lowest_score?.toFixed(3)]], element("ul", { class: "plain" }, ...lines, ...alike));
});

let next = "";

async function showPeople(more = false) {
  const found = await ask("GET", `people?most=20${more && next ? `&after=${encodeURIComponent(next)}` : ""}`);
  const rows = found.people.map((one) => {
    const remove = element("button", { type: "button" }, "Remove", element("span", { class: "unseen" }, ` ${one.name}`));
    remove.addEventListener("click", () => removePerson(one.name));
    return element("tr", {}, element("td", { class: "name" }, one.name), element("td", {}, String(one.photos)), element("td", {}, one.added.slice(0, 10)), element("td", {}, remove));
  });
  if (more) at("people").append(...rows);
  else at("people").replaceChildren(...rows);
  next = found.next ?? "";
  at("more-people").hidden = !next;
  at("people-count").textContent = found.total === 1 ? "1 person" : `${found.total.toLocaleString("en")} people`;
}

async function removePerson(name) {
  if (!confirm(`Remove ${name} from the gallery and from the log? This cannot be undone.`)) return;
  try {
    await ask("DELETE", `people/${encodeURIComponent(name)}`);
    await showPeople();
    at("enrol-result").replaceChildren(answer("good", `${name} is removed`, "Nothing of this person is left in the gallery, the crops and the log."));
  } catch (error) {
    at("enrol-result").replaceChildren(answer("bad", "Not done", sentence(error.message)));
  }
  at("people-title").scrollIntoView({ block: "nearest" });
}

at("more-people").addEventListener("click", () => quietly(() => showPeople(true), "people-count"));

const rates = new Rates(ask);

async function showThreshold() {
  const points = await ask("GET", "operating-point");
  await rates.load(null, points);
  const lines = points.choices.map((one) => {
    const what = one.use === "verify" ? "comparing" : "searching";
    const value = one.threshold !== undefined ? `threshold ${one.threshold.toFixed(3)}` : `${one.use === "verify" ? "FAR" : "FPIR"} ${percent(one.rate)}`;
    return element("li", {}, one.holds ? element("span", { class: "holds" }, "in force: ") : "", `${what}, ${value}, by ${one.by} (${one.key}) on ${one.time.slice(0, 16).replace("T", " ")}: ${one.reason}`);
  });
  const usual = points.verify && points.verify.source === "calibration" ? [element("li", {}, element("span", { class: "holds" }, "in force: "), `comparing, threshold ${points.verify.threshold.toFixed(3)}, as the bundle brings it`)] : [];
  at("choices").replaceChildren(...usual, ...lines);
}

form("choose-form", "choose-result", async () => {
  const choice = rates.choice();
  await ask("PUT", "operating-point", null, { ...choice, by: at("by").value, reason: at("reason").value });
  const said = rates.said();
  await showThreshold();
  return answer("good", "In force from now on", said);
});

async function quietly(run, place) {
  try {
    await run();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    at(place).textContent = sentence(error.message.replace(/\.$/, ""));
  }
}

const opened = { enrol: () => quietly(showPeople, "people-count"), threshold: () => quietly(showThreshold, "measured") };
const tabs = [...document.querySelectorAll("[role=tab]")];

function open(tab, { focus = true } = {}) {
  for (const one of tabs) {
    const chosen = one === tab;
    one.setAttribute("aria-selected", String(chosen));
    one.tabIndex = chosen ? 0 : -1;
    at(one.getAttribute("aria-controls")).hidden = !chosen;
  }
  if (focus) tab.focus();
  const name = tab.getAttribute("aria-controls");
  history.replaceState(null, "", `#${name}`);
  opened[name]?.();
}

tabs.forEach((tab, place) => {
  tab.addEventListener("click", () => open(tab));
  tab.addEventListener("keydown", (event) => {
    const move = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (move === undefined) return;
    event.preventDefault();
    open(tabs[(move + tabs.length) % tabs.length]);
  });
});

async function greet() {
  try {
    const card = await ask("GET", "card");
    const people = card.calibration ? `calibrated on ${card.calibration.people.toLocaleString("en")} people` : "never calibrated";
    at("about").textContent = `${card.model.file ?? card.model.source ?? card.model.network ?? "model"}, ${card.artefact.kind} ${card.artefact.precision}, ${people}`;
    at("access").open = false;
  } catch (error) {
    at("about").textContent = error.message;
  }
}

at("access-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, at("key").value.trim());
  at("key").value = "";
  greet().then(() => open(tabs.find((tab) => tab.getAttribute("aria-selected") === "true"), { focus: false }));
});
at("forget-key").addEventListener("click", () => { sessionStorage.removeItem(KEY); greet(); });

await greet();
const start = tabs.find((tab) => `#${tab.getAttribute("aria-controls")}` === location.hash);
if (start) open(start, { focus: false });
