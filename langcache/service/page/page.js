import { element, histogram, number } from "./parts.js";

const STORED = "langcache-key";
const EVERY_MS = 5000;
const by = (id) => document.getElementById(id);
const state = { key: "", caches: [], asked: [], tried: [], question: "", labels: new Map(), filed: [], timer: 0, keeps: 0 };

class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function call(path, body) {
  const options = { headers: { Authorization: `Bearer ${state.key}` }, cache: "no-store", credentials: "omit" };
  if (body !== undefined) Object.assign(options, { method: "POST", body: JSON.stringify(body) });
  let reply;
  try {
    reply = await fetch(path, options);
  } catch {
    throw new Refused(0, "The service can't be reached.");
  }
  const answer = await reply.json().catch(() => ({}));
  if (!reply.ok) throw new Refused(reply.status, answer.detail || `The service answered ${reply.status}.`);
  return answer;
}

/** Do something, and say what went wrong. A key that is no longer taken is forgotten. */
async function tell(work) {
  try {
    by("said").textContent = "";
    await work();
  } catch (error) {
    if (error.status === 401) leave();
    by("said").textContent = error.message;
  }
}

const chosen = () => state.caches.find((cache) => cache.cacheId === by("cache").value);
const pathOf = (what) => `/page/caches/${encodeURIComponent(chosen().cacheId)}/${what}`;
const readable = () => chosen() !== undefined && typeof chosen().entries === "number" && !state.admin;

async function open(key) {
  state.key = key;
  await load();
  sessionStorage.setItem(STORED, key);
  by("key").value = "";
  by("enter").hidden = true;
  by("inside").hidden = by("leave").hidden = false;
  await show();
  by("main").focus();
}

async function load() {
  const { caches, recent, picture, admin } = await call("/page/caches");
  Object.assign(state, { caches, keeps: recent, admin });
  by("caches").replaceChildren(...caches.map(card));
  const before = by("cache").value;
  by("cache").replaceChildren(...caches.map((cache) => element("option", { value: cache.cacheId }, cache.cacheId)));
  if (caches.some((cache) => cache.cacheId === before)) by("cache").value = before;
  by("which").hidden = caches.length < 2;
  by("picture").hidden = !picture || !readable();
}

function card(cache) {
  const most = cache.maxEntries ? ` of at most ${cache.maxEntries.toLocaleString("en")}` : "";
  const size = cache.failed ? "can't be read at the moment"
    : typeof cache.entries !== "number" ? "not to be read with this key"
    : `${cache.entries.toLocaleString("en")}${most} ${cache.entries === 1 && !most ? "entry" : "entries"}`;
  const kept = cache.ttlMillis ? `${cache.ttlMillis / 1000} s` : "for ever";
  const names = cache.attributes.length ? cache.attributes.join(", ") : "none";
  return element("li", {}, element("strong", {}, cache.cacheId), element("span", { class: "big" }, size),
    element("span", { class: "soft" }, `Threshold ${cache.threshold}, kept ${kept}, attributes: ${names}`));
}

async function show() {
  const cache = chosen();
  by("try").hidden = by("lately").hidden = !readable();
  by("picture").hidden ||= !readable();
  Object.assign(state, { tried: [], question: "", labels: new Map(), filed: [] });
  by("pairs").value = "";
  by("drawn").hidden = by("figures").hidden = true;
  if (!readable()) return;
  by("threshold").value = cache.threshold;
  by("attributes").replaceChildren(...cache.attributes.map((name, at) => element("div", {},
    element("label", { for: `attribute-${at}` }, `Attribute ${name}`), " ",
    element("input", { id: `attribute-${at}`, autocomplete: "off", "data-name": name }))));
  showTried();
  showLabels();
  await showLately();
}

async function showLately() {
  state.asked = (await call(pathOf("recent"))).asked;
  by("none").textContent = state.keeps
    ? state.asked.length ? "" : "Nothing yet. Each process of the service shows what it was asked itself."
    : "This service keeps no questions: see its setting recent.";
  by("histogram").replaceChildren(histogram(state.asked, chosen().threshold));
  by("asked").replaceChildren(...state.asked.map(line));
}

function line(asked) {
  const found = asked.nearest === undefined || asked.nearest === null ? "nothing near"
    : `${asked.hit ? "" : "at most "}${number(asked.similarity)}: ${asked.nearest}`;
  const again = element("button", { type: "button", class: "quiet", "aria-label": `Try: ${asked.prompt}` }, "Try");
  again.addEventListener("click", () => tell(async () => {
    by("question").value = asked.prompt;
    await attempt();
    by("question").focus();
  }));
  return element("li", { class: asked.hit ? "hit" : "miss" },
    element("p", {}, element("span", { class: "mark" }, asked.hit ? "Hit " : "Miss "), asked.prompt),
    element("p", { class: "soft" }, `${found} · threshold ${asked.threshold} · `,
      element("time", { datetime: new Date(asked.at).toISOString() }, new Date(asked.at).toLocaleTimeString())), again);
}

async function attempt() {
  const attributes = {};
  for (const input of by("attributes").querySelectorAll("input"))
    if (input.value) attributes[input.dataset.name] = input.value;
  const prompt = by("question").value;
  const { data } = await call(pathOf("try"), { prompt, attributes });
  Object.assign(state, { tried: data, question: prompt });
  showTried();
}

function showTried() {
  const threshold = Number(by("threshold").value);
  by("at").textContent = number(threshold);
  const best = state.tried[0];
  by("would").textContent = state.question === "" ? "" : best === undefined ? "No entry is near."
    : best.similarity >= threshold ? `A hit: ${number(best.similarity)} is not below ${number(threshold)}.`
    : `A miss: ${number(best.similarity)} is below ${number(threshold)}.`;
  by("found").replaceChildren(...state.tried.map((entry) => tried(entry, threshold)));
}

function tried(entry, threshold) {
  const hit = entry.similarity >= threshold;
  const id = JSON.stringify([state.question, entry.id]);
  const buttons = [["Right answer", true], ["Wrong answer", false]].map(([text, same]) => {
    const button = element("button", { type: "button", class: "quiet", "aria-label": `${text}: ${entry.prompt}`,
      "aria-pressed": String(state.labels.get(id)?.same === same) }, text);
    button.addEventListener("click", () => {
      state.labels.set(id, { similarity: entry.similarity, same });
      const others = button.parentElement.querySelectorAll("button");
      for (const other of others) other.setAttribute("aria-pressed", String(other === button));
      showLabels();
    });
    return button;
  });
  return element("li", { class: hit ? "hit" : "miss" },
    element("p", {}, element("span", { class: "mark" }, hit ? "Hit " : "Miss "), `${number(entry.similarity)}: ${entry.prompt}`),
    element("details", {}, element("summary", {}, "Its answer"), element("p", {}, entry.response)),
    ...(by("picture").hidden ? [] : [element("div", { class: "row" }, ...buttons)]));
}

const pairs = () => [...state.filed, ...state.labels.values()];

function showLabels() {
  const same = pairs().filter((pair) => pair.same).length;
  by("labels").textContent = `${same} right, ${pairs().length - same} wrong`;
  by("draw").disabled = same === 0 || same === pairs().length;
}

async function readPairs(file) {
  const read = [];
  for (const text of (await file.text()).split("\n")) {
    if (!text.trim()) continue;
    let pair;
    try {
      pair = JSON.parse(text);
    } catch {
      throw new Error("The file has to have one JSON object in each line.");
    }
    if (typeof pair?.similarity === "number" && typeof pair.same === "boolean")
      read.push({ similarity: pair.similarity, same: pair.same });
  }
  if (!read.length) throw new Error("No line of the file has a similarity and same.");
  state.filed = read;
  showLabels();
}

async function draw() {
  const { svg, table } = await call(pathOf("picture"), { pairs: pairs() });
  URL.revokeObjectURL(by("drawn").src);
  by("drawn").src = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
  by("table").textContent = table;
  by("drawn").hidden = by("figures").hidden = false;
}

function leave() {
  sessionStorage.removeItem(STORED);
  clearInterval(state.timer);
  Object.assign(state, { key: "", caches: [], asked: [], tried: [], question: "", labels: new Map(), filed: [] });
  by("follow").checked = false;
  for (const id of ["caches", "cache", "found", "asked", "attributes", "histogram"]) by(id).replaceChildren();
  for (const id of ["table", "would"]) by(id).textContent = "";
  by("question").value = "";
  URL.revokeObjectURL(by("drawn").src);
  by("drawn").removeAttribute("src");
  by("inside").hidden = by("leave").hidden = true;
  by("enter").hidden = false;
  by("key").focus();
}

function submits(form, work) {
  by(form).addEventListener("submit", (event) => {
    event.preventDefault();
    tell(work);
  });
}

submits("enter", () => open(by("key").value.trim()));
submits("asking", attempt);
by("leave").addEventListener("click", leave);
by("cache").addEventListener("change", () => tell(async () => { await load(); await show(); }));
by("threshold").addEventListener("input", showTried);
by("again").addEventListener("click", () => tell(async () => { await load(); await showLately(); }));
by("follow").addEventListener("change", () => {
  clearInterval(state.timer);
  if (by("follow").checked)
    state.timer = setInterval(() => document.hidden || tell(showLately), EVERY_MS);
});
by("pairs").addEventListener("change", () => tell(async () => {
  if (by("pairs").files.length) await readPairs(by("pairs").files[0]);
}));
by("draw").addEventListener("click", () => tell(draw));
const kept = sessionStorage.getItem(STORED);
if (kept) tell(() => open(kept));
