// The page of the quality indicators: asks what its address says and shows the answer. It asks only when somebody does.
import { ZONE, byId, element, english, trouble } from "./common.js";
import { csv } from "./quality-figures.js";
import { BY, START, address, below, daysOf, dayOf, eachDay, isOwn, parsed, question } from "./quality-state.js";
import { clearTable, showTable, sorted } from "./quality-table.js";
import { Trend } from "./quality-trend.js";

const clock = new Intl.DateTimeFormat("zh-CN", {
  timeZone: ZONE, hour12: false, hour: "2-digit", minute: "2-digit", second: "2-digit",
});
const SETTLE_MS = 120;
const asked = byId("asked");
const trend = new Trend();
let state = parsed(location.search);
let choices = { regions: new Map(), datasets: new Map(), ahead: 0 };
let shown = null;
let trendOf = "";
let running = new AbortController();

// ---- asking ----------------------------------------------------------------------------------------------------

class Refused extends Error {
  constructor({ zh, en }) {
    super(en);
    this.zh = zh;
  }
}

async function ask(path, signal) {
  let answer;
  try {
    answer = await fetch(path, { signal, cache: "no-store", headers: { "X-Zhida-Purpose": "quality page" } });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refused({ zh: "服务无应答，请稍后重试", en: "the service does not answer" });
  }
  // The session is over: the same address shows the sign-in page, which leads back here.
  if (answer.status === 401) location.reload();
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(body.error ?? { zh: "查询失败，请稍后重试", en: "the question failed" });
  return body;
}

const today = () => dayOf(Date.now() + choices.ahead);

async function load({ fresh = false } = {}) {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  const days = daysOf(state, today());
  const wanted = question(state, days);
  shown = null;
  busy(true);
  trouble("");
  showForm(days);
  showWhere(days);
  try {
    // Whoever walks through the choices with the arrow keys asks for the last one only.
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    if (signal.aborted) return;
    const answer = await ask(`v1/quality?${wanted}`, signal);
    shown = { answer, days, rows: answer.rows.map(described) };
    showAnswer();
    trend.showTotal(answer.total);
    await showTrend(answer, wanted, days, fresh, signal);
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof Refused)) throw error;
    trouble(error.zh, error.message);
    clear();
  }
  busy(false);
}

/** By day nothing else is asked, and nothing at all where only the grouping has changed. */
async function showTrend(answer, wanted, days, fresh, signal) {
  const byDay = new URLSearchParams(wanted);
  byDay.set("by", "day");
  const key = byDay.toString();
  if (key === trendOf && !fresh && state.by !== "day") return;
  const found = state.by === "day" ? answer : await ask(`v1/quality?${byDay}`, signal);
  trend.showDays(eachDay(...days), found.rows);
  trendOf = key;
}

/** What is still shown of another question must not stand under this one. */
function clear() {
  trend.showDays([], []);
  trendOf = "";
  if (shown) return;
  clearTable();
  trend.showTotal(null);
  byId("status").textContent = "";
}

// ---- showing ---------------------------------------------------------------------------------------------------

function busy(is) {
  document.body.setAttribute("aria-busy", String(is));
  byId("save").disabled = is || !shown;
  if (is) byId("status").replaceChildren("正在计算 ", english("computing"));
}

/** *row* with its title, its code where that is worth showing, and where it leads. */
function described(row) {
  const region = choices.regions.get(row.key);
  const isRegion = state.by === "city" || state.by === "county";
  const title = row.name || "来源不明";
  const next = below(state, row, choices);
  return {
    ...row,
    title: isRegion && region && isOwn(state, region) ? `${title}本级` : title,
    code: state.by === "unit" && row.key !== row.name ? row.key : "",
    href: next && address(next),
  };
}

function showAnswer() {
  const { answer, rows } = shown;
  showTable({ groupTitle: BY[state.by], rows: sorted(rows, state.sort), total: answer.total, sort: state.sort, onSort });
  byId("status").replaceChildren(`截至 ${clock.format(Date.parse(answer.answered_at))} · ${rows.length} 行`);
}

function showForm([first, last]) {
  const fields = asked.elements;
  // Not asked.dataset: that is the form's field of this name.
  asked.setAttribute("data-period", state.period);
  fields.by.value = state.by;
  fields.period.value = state.period;
  fields.from.value = first;
  fields.to.value = last;
  fields.region.value = state.own ? `${state.region} own` : state.region;
  fields.dataset.value = state.dataset;
}

function regionName(code, own) {
  const name = choices.regions.get(code)?.name ?? code;
  return own ? `${name}本级` : name;
}

/** The heading, the document's title, and the way back up. */
function showWhere([first, last]) {
  const named = choices.datasets.get(state.dataset)?.zh ?? state.dataset;
  const region = state.region ? regionName(state.region, state.own) : "全省";
  const where = named ? `${region} · ${named}` : region;
  const period = first === last ? first : `${first} 至 ${last}`;
  byId("title").replaceChildren(`${where} · 按${BY[state.by]} `, element("small", "", period));
  document.title = `${where} · 按${BY[state.by]} · 质量指标 · 直达`;
  const steps = [];
  let code = state.own ? state.region : choices.regions.get(state.region)?.parent;
  while (choices.regions.has(code)) {
    const { level } = choices.regions.get(code);
    // The province is where one starts, with no region at all.
    if (level !== "province") steps.unshift([regionName(code), { region: code, by: "county" }]);
    code = choices.regions.get(code).parent;
  }
  if (state.region) steps.unshift(["全省", { region: "", by: "city" }]);
  const list = element("ol");
  for (const [name, change] of steps) list.append(step(name, { ...state, own: false, sort: "", ...change }));
  if (named) list.append(step("全部数据集", { ...state, dataset: "", sort: "" }));
  byId("path").replaceChildren(...(list.children.length ? [list] : []));
}

function step(name, to) {
  const item = element("li");
  const link = element("a", "", name);
  link.href = address(to);
  item.append(link);
  return item;
}

// ---- choosing --------------------------------------------------------------------------------------------------

function go(next) {
  state = next;
  history.pushState(null, "", address(state));
  return load();
}

function onSort(sort) {
  state = { ...state, sort };
  history.replaceState(null, "", address(state));
  if (shown) showAnswer();
}

function onChange(event) {
  const fields = asked.elements;
  const { name } = event.target;
  const next = { ...state };
  if (name === "by") Object.assign(next, { by: fields.by.value, sort: "" });
  if (name === "dataset") next.dataset = fields.dataset.value;
  if (name === "region") {
    const [region, own] = fields.region.value.split(" ");
    Object.assign(next, { region, own: own === "own" });
  }
  if (name === "period") next.period = fields.period.value;
  if (name === "from" || name === "to" || next.period === "days") {
    // A day that is still being typed is no day yet.
    if (!fields.from.value || !fields.to.value || fields.from.value < "2000-01-01") return;
    Object.assign(next, { period: "days", from: fields.from.value, to: fields.to.value });
  }
  go(next);
}

/** Links within the page change what is shown; with a modifier key they open as links do. */
function onLink(event) {
  const link = event.target.closest("a");
  if (!link || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  go(parsed(new URL(link.href).search));
  // The link is gone with its table.
  byId("title").focus({ preventScroll: true });
}

function save() {
  const { days, rows, answer } = shown;
  const where = state.region ? regionName(state.region, state.own) : "全省";
  const named = choices.datasets.get(state.dataset)?.zh;
  const parts = ["质量指标", where, named, `按${BY[state.by]}`, ...new Set(days)].filter(Boolean);
  const text = csv(BY[state.by], sorted(rows, state.sort), answer.total);
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  link.download = `${parts.join("_").replace(/[\\/:*?"<>|\s]/g, "-")}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function offer({ datasets, regions }) {
  const option = (value, text) => new Option(text, value);
  asked.elements.dataset.append(...datasets.map(({ code, zh }) => option(code, zh)));
  const select = asked.elements.region;
  for (const { code, name } of regions.filter(({ level }) => level === "province")) {
    select.append(option(`${code} own`, `${name}本级`));
  }
  for (const city of regions.filter(({ level }) => level === "city")) {
    const group = element("optgroup");
    group.label = city.name;
    const counties = regions.filter(({ parent }) => parent === city.code);
    group.append(
      option(city.code, city.name), option(`${city.code} own`, `${city.name}本级`),
      ...counties.map(({ code, name }) => option(code, name)),
    );
    select.append(group);
  }
}

async function start() {
  busy(true);
  try {
    const found = await ask("v1/quality/choices");
    const byCode = (list) => new Map(list.map((one) => [one.code, one]));
    choices = {
      regions: byCode(found.regions), datasets: byCode(found.datasets), ahead: Date.parse(found.now) - Date.now(),
    };
    offer(found);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    trouble(error.zh, error.message);
    byId("status").textContent = "";
    return;
  }
  await load();
}

asked.addEventListener("change", onChange);
asked.addEventListener("submit", (event) => {
  event.preventDefault();
  if (choices.regions.size) load({ fresh: true });
  else start();
});
byId("figures").addEventListener("click", onLink);
byId("path").addEventListener("click", onLink);
byId("save").addEventListener("click", save);
byId("define").addEventListener("click", () => byId("definitions").showModal());
window.addEventListener("popstate", () => {
  state = parsed(location.search);
  load();
});
start();
