// Charts that renew themselves while they are seen.
import uPlot from "uplot";
import { locale } from "./page.js";

const COLOURS = ["--yun-chart-1", "--yun-chart-2", "--yun-chart-3", "--yun-chart-4"];
const STEPS = Array.from({ length: 50 }, (_none, power) => 2 ** power);
const SIZES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

function text(value, unit) {
  if (value == null) return "–";
  if (unit === "%") return `${value.toFixed(value < 10 ? 1 : 0)} %`;
  if (unit.startsWith("B")) {
    let size = value;
    let step = 0;
    while (Math.abs(size) >= 1024 && step < SIZES.length - 1) {
      size /= 1024;
      step += 1;
    }
    return `${size.toFixed(size < 10 && step ? 1 : 0)} ${SIZES[step]}${unit.slice(1)}`;
  }
  return `${value.toLocaleString(locale, { maximumFractionDigits: 1 })}${unit ? ` ${unit}` : ""}`;
}

const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString(locale, { hour12: false });
const faint = (colour) => colour.replace(/^rgb\((.*)\)$/, (_all, parts) => `rgba(${parts}, 0.12)`);

export function chart(figure) {
  const box = figure.querySelector(".chart-box");
  const labels = JSON.parse(figure.dataset.labels);
  const unit = figure.dataset.unit;
  let plot = null;

  // A canvas knows no variables: let the browser resolve them.
  const colour = (name) => {
    figure.style.outlineColor = `var(${name})`;
    return getComputedStyle(figure).outlineColor;
  };
  const axes = () => ({ space: 80, stroke: colour("--tblr-secondary"), grid: { stroke: colour("--tblr-border-color"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" });
  const draw = (data) => {
    plot?.destroy();
    plot = new uPlot({
      width: box.clientWidth, height: 160, cursor: { points: { size: 6 } }, legend: { live: true }, padding: [8, 28, 0, 0],
      scales: { x: { time: true }, y: { range: (_u, _min, max) => [0, unit === "%" ? Math.max(10, Math.min(100, max * 1.2)) : Math.max(max * 1.15, 1)] } },
      axes: [{ ...axes(), values: (_u, ticks) => ticks.map(clock) }, { ...axes(), space: 30, size: 64, ...(unit.startsWith("B") ? { incrs: STEPS } : {}), values: (_u, ticks) => ticks.map((v) => text(v, unit)) }],
      series: [{ label: "\u00a0", value: (_u, v) => (v == null ? "" : clock(v)) }, ...labels.map((label, i) => ({ label, stroke: colour(COLOURS[i]), width: 1.5, points: { show: false }, value: (_u, v) => text(v, unit), ...(i === 0 ? { fill: faint(colour(COLOURS[0])) } : {}) }))],
    }, data, box);
  };
  const load = async () => {
    if (!figure.isConnected) return stop();
    if (document.hidden) return;
    try {
      const response = await fetch(figure.dataset.chart, { headers: { Accept: "application/json" } });
      if (!response.ok) return;
      const { times, series } = await response.json();
      figure.classList.toggle("chart-empty", times.length < 2);
      if (times.length < 2) return;
      if (plot) plot.setData([times, ...series]);
      else draw([times, ...series]);
    } catch {
      // The next round tries again.
    }
  };
  const timer = setInterval(load, 10_000);
  const width = new ResizeObserver(() => plot && box.clientWidth && plot.setSize({ width: box.clientWidth, height: 160 }));
  width.observe(box);
  const stop = () => {
    clearInterval(timer);
    width.disconnect();
    theme.disconnect();
    plot?.destroy();
  };
  // Another theme means other colours: draw anew.
  const theme = new MutationObserver(() => {
    plot?.destroy();
    plot = null;
    load();
  });
  theme.observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
  figure.setAttribute("data-own", "");
  load();
}
