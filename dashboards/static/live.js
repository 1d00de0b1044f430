// The live page: the newest state of the stream, shown.
import { AXIS, ZONE, byId, element, english, fitted, setText, trouble, whole } from "./common.js";

const WINDOW = 180;
const STALL_MS = 6000;
const clock = new Intl.DateTimeFormat("zh-CN", {
  timeZone: ZONE, hour12: false, hour: "2-digit", minute: "2-digit", second: "2-digit",
});
const day = new Intl.DateTimeFormat("zh-CN", {
  timeZone: ZONE, hour12: false, month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit",
  second: "2-digit",
});

const LINK = {
  connecting: ["正在连接", "connecting"],
  live: ["实时", "live"],
  late: ["数据延迟", "late"],
  lost: ["数据已中断", "interrupted"],
};
const BALANCE = {
  balanced: ["核对一致", "balanced"],
  moving: ["处理中", "in progress"],
  stuck: ["在途记录停滞", "stalled"],
  over: ["核对不一致", "mismatch"],
  unknown: ["无法核对：消息系统无应答", "broker silent"],
};

function setPill(id, state, [zh, en]) {
  const node = byId(id);
  if (node.dataset.state === state && node.dataset.shown === zh) return;
  node.dataset.state = state;
  node.dataset.shown = zh;
  node.replaceChildren(`${zh} `, english(en));
}

const count = (value) => (value === null || value === undefined ? "–" : whole.format(value));
const share = (part, all) => (all ? `${((100 * part) / all).toFixed(1)}%` : "–");
const milliseconds = (value) => (value === null || value === undefined ? "–" : `${whole.format(Math.round(value))} ms`);

function age(seconds) {
  if (seconds === null) return "暂无";
  if (seconds < 60) return `${seconds} 秒`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} 分`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} 小时`;
  return `${Math.floor(seconds / 86400)} 天`;
}

// ---- charts ----------------------------------------------------------------------------------------------------

function chart(id, series, floor) {
  return fitted({
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), ZONE),
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { size: 6 } },
    padding: [10, 12, 0, 0],
    scales: {
      x: { range: (_, low, high) => [high - WINDOW, high] },
      y: { range: (_, low, high) => [0, Math.max(floor, (high || 0) * 1.15)] },
    },
    axes: [
      { ...AXIS, space: 80, size: 26, values: (_, ticks) => ticks.map((tick) => clock.format(tick * 1000)) },
      { ...AXIS, size: 58, values: (_, ticks) => ticks.map((tick) => whole.format(tick)) },
    ],
    series: [{}, ...series],
  }, [[], ...series.map(() => [])], byId(id));
}

const rateChart = chart("rate-chart", [
  { label: "rate", stroke: "#2563d6", width: 2, fill: "rgba(37, 99, 214, .12)", points: { show: false } },
], 10);
const latencyChart = chart("latency-chart", [
  { label: "p50", stroke: "#2563d6", width: 2, points: { show: false } },
  { label: "p99", stroke: "#e08a00", width: 2, points: { show: false } },
], 20);

// ---- parts of the page -----------------------------------------------------------------------------------------

function showTotals(totals) {
  for (const name of ["received", "accepted", "suspect", "rejected", "quarantined", "in_flight"]) {
    setText(name, count(totals[name]));
  }
  const judged = totals.accepted + totals.rejected + totals.quarantined;
  setText("rejected-share", share(totals.rejected, judged));
  setText("quarantined-share", share(totals.quarantined, judged));
  setPill("balance", totals.state, BALANCE[totals.state] || BALANCE.unknown);
}

function showRate(rate) {
  const seconds = rate.values.map((_, index) => rate.start + index);
  rateChart.setData([seconds, rate.values]);
  // The last seconds are still on their way to the store.
  const recent = rate.values.slice(-7, -2);
  setText("rate-now", count(Math.round(recent.reduce((sum, value) => sum + value, 0) / Math.max(recent.length, 1))));
  setText("rate-peak", count(Math.max(0, ...rate.values)));
}

function showLatency(latency) {
  latencyChart.setData([latency.at.map((moment) => moment / 1000), latency.p50, latency.p99]);
  setText("p50", milliseconds(latency.p50.at(-1)));
  setText("p99", milliseconds(latency.p99.at(-1)));
}

function showCities(cities) {
  const list = byId("cities");
  if (list.children.length !== cities.length) {
    list.replaceChildren(...cities.map(() => {
      const card = element("li", "city");
      card.append(element("span", "name"), element("span", "age"), element("span", "count"));
      return card;
    }));
  }
  cities.forEach((city, index) => {
    const card = list.children[index];
    card.dataset.level = city.level;
    card.dataset.city = city.code;
    const [name, old, records] = card.children;
    name.textContent = city.name;
    old.textContent = age(city.age);
    records.textContent = `${whole.format(city.accepted)} 条`;
  });
}

let shownRejects = "";
let knownRejects = new Set();

function rejectRow(reject, key, isNew) {
  const row = element("tr", isNew ? "new" : "");
  row.dataset.key = key;
  const unit = element("td", "", reject.unit || "未知单位");
  if (reject.city) unit.append(" ", element("span", "city-name", reject.city));
  const why = element("td");
  const tag = element("span", "tag", reject.verdict === "quarantined" ? "隔离" : "退回");
  tag.dataset.verdict = reject.verdict;
  why.append(tag, reject.zh + (reject.more ? `（另有 ${reject.more} 项）` : ""));
  if (reject.en) why.append(english(reject.en, "span", "en"));
  row.append(
    element("td", "", day.format(reject.time)), unit, element("td", "", reject.dataset || "–"),
    element("td", "", reject.record_id || "–"), element("td", "", reject.rule || "–"), why,
  );
  return row;
}

function showRejects(rejects) {
  const keys = rejects.map((reject) => JSON.stringify([reject.time, reject.unit, reject.dataset, reject.record_id, reject.rule]));
  const all = keys.join("\n");
  if (all === shownRejects) return;
  const first = shownRejects === "";
  byId("rejects").replaceChildren(
    ...rejects.map((reject, index) => rejectRow(reject, keys[index], !first && !knownRejects.has(keys[index]))),
  );
  byId("no-rejects").hidden = rejects.length > 0;
  shownRejects = all;
  knownRejects = new Set(keys);
}

// ---- the stream ------------------------------------------------------------------------------------------------

let lastState = 0;

function show(state) {
  lastState = Date.now();
  setText("at", clock.format(state.at));
  delete document.body.dataset.lost;
  setPill("link", "live", LINK.live);
  if (state.problems.includes("store")) {
    setPill("link", "late", LINK.late);
    trouble("数据仓库暂时无应答，页面显示的是之前的数据", "the store does not answer; figures are from before");
  } else {
    trouble("");
  }
  if (state.totals) showTotals(state.totals);
  if (state.rate) showRate(state.rate);
  if (state.latency) showLatency(state.latency);
  if (state.cities) showCities(state.cities);
  if (state.rejects) showRejects(state.rejects);
}

function lost() {
  document.body.dataset.lost = "1";
  setPill("link", "lost", LINK.lost);
  const since = lastState ? `，以下为 ${clock.format(lastState)} 的数据` : "";
  trouble(`数据已中断，正在重新连接${since}`, "the stream is interrupted; reconnecting");
}

async function reopen() {
  try {
    // An event source does not tell why it was refused.
    const answer = await fetch("live/events", { method: "HEAD", cache: "no-store" });
    if (answer.status === 401) {
      location.reload();
      return;
    }
  } catch {
    // The server is away: try again below.
  }
  open();
}

function open() {
  const stream = new EventSource("live/events");
  stream.addEventListener("state", (event) => show(JSON.parse(event.data)));
  stream.addEventListener("error", () => {
    lost();
    // CONNECTING means that the browser is trying again by itself.
    if (stream.readyState === EventSource.CLOSED) setTimeout(reopen, 3000);
  });
}

setInterval(() => {
  if (lastState && Date.now() - lastState > STALL_MS && !document.body.dataset.lost) {
    setPill("link", "late", LINK.late);
  }
}, 1000);
open();
