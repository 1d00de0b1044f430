// The four totals, each with its trend by day.
import { AXIS, byId, element, english, fitted } from "./common.js";
import { RATES, level, percent, ratio } from "./quality-figures.js";

const COLOURS = { completeness: "#2563d6", timeliness: "#b66a00", compliance: "#0f8a5f", reporting_rate: "#6d4bc3" };
/** Days between two labels of the time axis: the first of these that leaves them room. */
const LABELLED_DAYS = [1, 2, 3, 4, 5, 7, 14, 28, 56, 91];
const seconds = (day) => Date.parse(day) / 1000;
const short = (day) => day.slice(5);

/** The cards of the four rates; made once, told figures as often as they change. */
export class Trend {
  #cards;
  #days = [];
  #rows = new Map();

  constructor() {
    const host = byId("rates");
    this.#cards = RATES.map((rate) => this.#card(rate));
    host.replaceChildren(...this.#cards.map((card) => card.node));
    for (const card of this.#cards) card.plot = this.#plot(card);
  }

  /** The totals of what the table shows; null while they are not known. */
  showTotal(total) {
    for (const { rate, figure, of } of this.#cards) {
      const value = total && total[rate.id];
      figure.textContent = total ? percent(value) : "…";
      figure.dataset.level = total ? level(value) : "none";
      of.textContent = total ? (value === null ? rate.none : ratio(rate, total)) : "";
    }
  }

  /** The rows of *days*, one a day that has any; a day without figures is a gap. */
  showDays(days, rows) {
    this.#days = days;
    this.#rows = new Map(rows.map((row) => [row.key, row]));
    const at = days.map(seconds);
    for (const card of this.#cards) {
      card.chart.style.visibility = days.length ? "visible" : "hidden";
      const values = days.map((day) => this.#value(card.rate, day));
      card.plot.setData([at, values.map((value) => (value === null ? null : 100 * value))]);
      card.chart.setAttribute("aria-label", this.#told(card.rate, values));
      this.#point(card, null);
    }
  }

  #value(rate, day) {
    return this.#rows.get(day)?.[rate.id] ?? null;
  }

  #told(rate, values) {
    const known = this.#days.map((day, index) => [day, values[index]]).filter(([, value]) => value !== null);
    if (!known.length) return `${rate.zh}每日走势：没有数据`;
    const least = known.reduce((a, b) => (b[1] < a[1] ? b : a));
    const most = known.reduce((a, b) => (b[1] > a[1] ? b : a));
    const say = ([day, value]) => `${day} ${percent(value)}`;
    return `${rate.zh}每日走势：最低 ${say(least)}，最高 ${say(most)}，最近 ${say(known.at(-1))}。按日期分组可逐日查看`;
  }

  #card(rate) {
    const node = element("article", "card rate-card");
    node.dataset.rate = rate.id;
    const title = element("h2", "", `${rate.zh} `);
    title.append(english(rate.en));
    const figure = element("b", "figure", "…");
    const of = element("span", "of");
    const line = element("p");
    line.append(figure, of);
    const chart = element("div", "chart");
    chart.setAttribute("role", "img");
    const pointed = element("p", "pointed", "每日走势");
    node.append(title, line, chart, pointed);
    return { rate, node, figure, of, chart, pointed };
  }

  #plot(card) {
    const colour = COLOURS[card.rate.id];
    return fitted({
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, y: false, points: { size: 8 }, sync: { key: "quality" } },
      padding: [8, 10, 0, 0],
      scales: { x: { range: around }, y: { range: readable } },
      axes: [
        {
          ...AXIS, space: 42, size: 24, grid: { show: false }, incrs: LABELLED_DAYS.map((days) => days * 86400),
          values: (_, ticks) => ticks.map((at) => short(new Date(at * 1000).toISOString().slice(0, 10))),
        },
        { ...AXIS, space: 24, size: 46, values: (_, ticks) => ticks.map((value) => `${Number(value.toFixed(2))}%`) },
      ],
      series: [{}, { stroke: colour, width: 2, fill: `${colour}14`, points: { show: true, size: 6, fill: colour } }],
      hooks: { setCursor: [(plot) => this.#point(card, plot.cursor.idx)] },
    }, [[], []], card.chart);
  }

  #point(card, index) {
    const day = index === null || index === undefined ? undefined : this.#days[index];
    const row = this.#rows.get(day);
    let text = "每日走势";
    if (day) text = `${day}：${percent(this.#value(card.rate, day))}${row ? `（${ratio(card.rate, row)}）` : ""}`;
    if (card.pointed.textContent !== text) card.pointed.textContent = text;
  }
}

/** Half a day on both sides, so that the first and the last point are whole. */
const around = (_, low, high) => (low === null ? [0, 1] : [low - 43200, high + 43200]);

/** Not from zero, or rates near 100 % would all be one line; never less than four points wide. */
function readable(_, low, high) {
  if (low === null || high === null) return [0, 100];
  const room = Math.max(4 - (high - low), (high - low) * 0.2) / 2;
  const top = Math.min(100, high + room);
  return [Math.max(0, Math.min(low - room, top - 4)), top === 100 ? 100.4 : top];
}
