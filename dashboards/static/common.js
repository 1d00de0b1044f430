// What the pages share. Whatever comes from the service is set as text; nothing on these pages ever becomes HTML.

export const ZONE = "Asia/Shanghai";
export const whole = new Intl.NumberFormat("zh-CN");
/** How the axes of all charts look. */
export const AXIS = {
  stroke: "#5a6781", grid: { stroke: "#edf0f6", width: 1 }, ticks: { show: false }, font: "12px system-ui",
};

export const byId = (id) => document.getElementById(id);

export function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

/** The English beside a Chinese text, marked as such for screen readers. */
export function english(text, tag = "small", className = "") {
  const node = element(tag, className, text);
  node.lang = "en";
  return node;
}

export function setText(id, text) {
  const node = byId(id);
  if (node.textContent !== text) node.textContent = text;
}

/** Show what is wrong at the top of the page; nothing is wrong without *zh*. */
export function trouble(zh, en) {
  const node = byId("trouble");
  node.hidden = !zh;
  if (zh) node.replaceChildren(zh, english(en));
}

/** A chart that keeps the size of its *host*. */
export function fitted(options, data, host) {
  const plot = new uPlot({ ...options, width: Math.max(host.clientWidth, 80), height: host.clientHeight }, data, host);
  new ResizeObserver(() => {
    if (host.clientWidth > 80) plot.setSize({ width: host.clientWidth, height: host.clientHeight });
  }).observe(host);
  return plot;
}
