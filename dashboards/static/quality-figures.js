// How the figures of the indicators are written, on the page and in a file. The service computes them; nobody does here.
import { whole } from "./common.js";

export const RATES = [
  { id: "completeness", zh: "完整率", en: "completeness", part: "complete", of: (row) => row.accepted + row.rejected,
    none: "没有可解析的记录" },
  { id: "timeliness", zh: "及时率", en: "timeliness", part: "timely", of: (row) => row.timed,
    none: "没有设有时限规则的数据集的通过记录" },
  { id: "compliance", zh: "合规率", en: "compliance", part: "accepted", of: (row) => row.records, none: "没有记录" },
  { id: "reporting_rate", zh: "上报率", en: "reporting rate", part: "reported", of: (row) => row.due,
    none: "没有已满一个周期的采集任务" },
];
export const COUNTS = [
  { id: "records", zh: "记录", en: "records" },
  { id: "accepted", zh: "通过", en: "accepted" },
  { id: "suspect", zh: "其中疑问", en: "suspect" },
  { id: "rejected", zh: "退回", en: "rejected" },
  { id: "quarantined", zh: "隔离", en: "quarantined" },
  { id: "due", zh: "应报", en: "due" },
  { id: "reported", zh: "已报", en: "reported" },
];
const FURTHER = [
  { id: "complete", zh: "完整" }, { id: "timed", zh: "计时" }, { id: "timely", zh: "及时" },
  { id: "messages", zh: "消息" }, { id: "repeats", zh: "重复" }, { id: "corrected", zh: "更正" },
];
/** A rate from which a cell is green, and one from which it is yellow. */
const GOOD = 0.95;
const FAIR = 0.8;

/** Rounded down, as on the command line, so that 100 % means all. */
export const percent = (rate) => (rate === null ? "—" : `${(Math.floor(rate * 10000 + 1e-6) / 100).toFixed(2)}%`);

export const ratio = (rate, row) => `${whole.format(row[rate.part])} / ${whole.format(rate.of(row))}`;

export function level(rate) {
  if (rate === null) return "none";
  if (rate >= GOOD) return "good";
  return rate >= FAIR ? "fair" : "poor";
}

// ---- CSV -------------------------------------------------------------------------------------------------------

/** Excel takes a cell that begins so for a formula, full-width signs included. */
const FORMULA = /^\s*[=+\-@|%＝＋－＠]|^[\t\r\n]/u;
const MANY_DIGITS = /^\d{12,}$/;

function cell(text) {
  let safe = text;
  if (FORMULA.test(text)) safe = `'${text}`;
  // Excel keeps fifteen digits of a number; the tab makes it text.
  else if (MANY_DIGITS.test(text)) safe = `${text}\t`;
  return `"${safe.replaceAll('"', '""')}"`;
}

/** The rows as a file that Excel opens with Chinese and codes intact: UTF-8 with its mark, text in quotes. */
export function csv(groupTitle, rows, total) {
  const titles = ["编码", groupTitle, ...[...RATES, ...COUNTS, ...FURTHER].map((column) => column.zh)];
  const line = (key, name, row) => [
    cell(key), cell(name), ...RATES.map((rate) => percent(row[rate.id])),
    ...[...COUNTS, ...FURTHER].map((count) => String(row[count.id])),
  ].join(",");
  const lines = [titles.map(cell).join(","), ...rows.map((row) => line(row.key, row.title, row)), line("", "合计", total)];
  return `\ufeff${lines.join("\r\n")}\r\n`;
}
