// The table of the indicators: sorting, and a row for each group.
import { byId, element, english, whole } from "./common.js";
import { COUNTS, RATES, level, percent, ratio } from "./quality-figures.js";

/** More rows than this are shown on request only. */
const AT_ONCE = 300;
const byName = new Intl.Collator("zh-CN", { numeric: true });

/** Sorted as *sort* says: a column's id, with "-" before it for the largest first. A rate of nothing is always last. */
export function sorted(rows, sort) {
  const column = sort.replace(/^-/, "");
  const sign = sort.startsWith("-") ? -1 : 1;
  if (column === "name") return [...rows].sort((a, b) => sign * byName.compare(a.title, b.title));
  if (![...RATES, ...COUNTS].some((one) => one.id === column)) return rows;
  return [...rows].sort((a, b) => {
    if (a[column] === null || b[column] === null) return (a[column] === null) - (b[column] === null);
    return sign * (a[column] - b[column]);
  });
}

/** What a click on *column* asks for: worst rates and largest counts first, then the other way round, then as it came. */
function nextSort(column, sort) {
  const first = COUNTS.some((one) => one.id === column) ? `-${column}` : column;
  const second = first === column ? `-${column}` : column;
  if (sort === first) return second;
  return sort === second ? "" : first;
}

function head(column, zh, en, sort, onSort) {
  const cell = element("th", column === "name" ? "" : "number");
  cell.scope = "col";
  if (sort.replace(/^-/, "") === column) {
    cell.setAttribute("aria-sort", sort.startsWith("-") ? "descending" : "ascending");
  }
  const button = element("button");
  button.type = "button";
  button.dataset.column = column;
  button.append(element("span", "", zh), ...(en ? [english(en)] : []));
  button.addEventListener("click", () => onSort(nextSort(column, sort)));
  cell.append(button);
  return cell;
}

function rateCell(rate, row) {
  const value = row[rate.id];
  const cell = element("td", "number rate");
  cell.dataset.level = level(value);
  if (value === null) {
    const dash = element("span", "", "—");
    dash.setAttribute("aria-hidden", "true");
    cell.title = `不计算：${rate.none}`;
    cell.append(dash, element("span", "sr", `不计算：${rate.none}`));
    return cell;
  }
  cell.title = `${rate.zh} ${ratio(rate, row)}`;
  const bar = element("i", "bar");
  bar.setAttribute("aria-hidden", "true");
  bar.style.setProperty("--share", value);
  cell.append(percent(value), bar);
  return cell;
}

function cells(row) {
  return [
    ...RATES.map((rate) => rateCell(rate, row)),
    ...COUNTS.map((count) => element("td", "number", whole.format(row[count.id]))),
  ];
}

function line(row) {
  const tr = element("tr");
  tr.dataset.key = row.key;
  const name = element("th");
  name.scope = "row";
  if (row.href) {
    const link = element("a", "", row.title);
    link.href = row.href;
    name.append(link);
  } else name.append(row.title);
  if (row.code) name.append(element("small", "code", row.code));
  tr.append(name, ...cells(row));
  return tr;
}

/** Show *rows*, in the order given, and their *total*; ``onSort`` is told what a click on a heading asks for. */
export function showTable({ groupTitle, rows, total, sort, onSort }) {
  const table = byId("figures");
  const kept = document.activeElement?.dataset?.column;
  table.tHead.rows[0].replaceChildren(
    head("name", groupTitle, "", sort, onSort),
    ...[...RATES, ...COUNTS].map((column) => head(column.id, column.zh, column.en, sort, onSort)),
  );
  // The heading that was pressed is a new one now.
  if (kept) table.querySelector(`[data-column="${kept}"]`)?.focus();
  table.tBodies[0].replaceChildren(...rows.slice(0, AT_ONCE).map(line));
  const sum = element("tr");
  const name = element("th", "", "合计");
  name.scope = "row";
  sum.append(name, ...cells(total));
  table.tFoot.replaceChildren(...(rows.length ? [sum] : []));
  byId("none").hidden = rows.length > 0;
  const more = byId("more");
  more.hidden = rows.length <= AT_ONCE;
  more.textContent = `显示全部 ${whole.format(rows.length)} 行`;
  more.onclick = () => {
    table.tBodies[0].append(...rows.slice(AT_ONCE).map(line));
    more.hidden = true;
  };
  showNotes(rows);
}

export function clearTable() {
  byId("figures").tBodies[0].replaceChildren();
  byId("figures").tFoot.replaceChildren();
  byId("notes").replaceChildren();
  byId("none").hidden = true;
  byId("more").hidden = true;
}

/** Why some rates are not there, for those that are not. */
function showNotes(rows) {
  const missing = RATES.filter((rate) => rows.some((row) => row[rate.id] === null));
  const reasons = missing.map((rate) => `${rate.zh}：${rate.none}`).join("；");
  byId("notes").replaceChildren(
    ...(reasons ? [element("p", "", `“—”表示没有可计算的对象，不是 0，也不是 100%。${reasons}。`)] : []),
  );
}
