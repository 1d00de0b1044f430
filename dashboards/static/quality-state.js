// What is asked: kept in the page's address, so that it can be bookmarked, sent on and gone back to.
import { ZONE } from "./common.js";

export const BY = { city: "设区市", county: "县区", unit: "单位", dataset: "数据集", day: "日期" };
export const START = { by: "city", period: "week", from: "", to: "", region: "", own: false, dataset: "", sort: "" };
const PERIODS = new Set(["today", "week", "month", "this-month", "last-month"]);
const DAY_MS = 86400000;
const inChina = new Intl.DateTimeFormat("en-CA", { timeZone: ZONE, year: "numeric", month: "2-digit", day: "2-digit" });

/** The day in China at a moment in milliseconds, as 2026-01-31. */
export const dayOf = (moment) => inChina.format(moment);
const plus = (day, days) => new Date(Date.parse(day) + days * DAY_MS).toISOString().slice(0, 10);

/** First and last day of what is asked. */
export function daysOf(state, today) {
  const month = `${today.slice(0, 8)}01`;
  switch (state.period) {
    case "today": return [today, today];
    case "month": return [plus(today, -29), today];
    case "this-month": return [month, today];
    case "last-month": return [`${plus(month, -1).slice(0, 8)}01`, plus(month, -1)];
    case "days": return [state.from, state.to];
    default: return [plus(today, -6), today];
  }
}

/** Every day from the first to the last. */
export function eachDay(first, last) {
  const days = [];
  for (let day = first; day <= last; day = plus(day, 1)) days.push(day);
  return days;
}

export function parsed(search) {
  const query = new URLSearchParams(search);
  const state = { ...START };
  if (Object.hasOwn(BY, query.get("by") ?? "")) state.by = query.get("by");
  if (PERIODS.has(query.get("period"))) state.period = query.get("period");
  if (query.get("from") && query.get("to")) {
    Object.assign(state, { period: "days", from: query.get("from"), to: query.get("to") });
  }
  state.region = query.get("city") ?? "";
  state.own = Boolean(state.region) && query.get("own") === "true";
  state.dataset = query.get("dataset") ?? "";
  state.sort = query.get("sort") ?? "";
  return state;
}

/** The address of the page for *state*: what is usual is left out. */
export function address(state) {
  const query = new URLSearchParams();
  if (state.by !== START.by) query.set("by", state.by);
  if (state.period === "days") {
    query.set("from", state.from);
    query.set("to", state.to);
  } else if (state.period !== START.period) query.set("period", state.period);
  if (state.region) query.set("city", state.region);
  if (state.own) query.set("own", "true");
  if (state.dataset) query.set("dataset", state.dataset);
  if (state.sort) query.set("sort", state.sort);
  const text = query.toString();
  return text ? `quality?${text}` : "quality";
}

/** What the service is asked for *state*. */
export function question(state, [first, last]) {
  const query = new URLSearchParams({ by: state.by, from: first, to: last });
  if (state.region) query.set("city", state.region);
  if (state.own) query.set("own", "true");
  if (state.dataset) query.set("dataset", state.dataset);
  return query;
}

/** Where a row leads, one level down; null where there is nothing below. */
export function below(state, row, choices) {
  const { regions, datasets } = choices;
  const next = { ...state, sort: "" };
  if (state.by === "day") return { ...next, by: within(state, regions), period: "days", from: row.key, to: row.key };
  if (state.by === "dataset") {
    return datasets.has(row.key) ? { ...next, by: within(state, regions), dataset: row.key } : null;
  }
  const region = regions.get(row.key);
  if (!region || state.by === "unit") return null;
  // Where its parts are listed, a region's own units stand under the region itself.
  const own = isOwn(state, region);
  return { ...next, by: own || region.level === "county" ? "unit" : "county", region: region.code, own };
}

/** Whether the row of *region* is about the region's own units alone. */
export function isOwn(state, region) {
  if (state.by === "county") return region.level !== "county";
  return state.by === "city" && region.level === "province";
}

/** The grouping that shows the parts of where we are. */
function within(state, regions) {
  const level = regions.get(state.region)?.level;
  if (state.own || level === "county") return "unit";
  return level === "city" ? "county" : "city";
}
