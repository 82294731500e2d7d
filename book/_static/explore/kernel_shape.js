// The order parameter of a gated network of finite width: the kernel's weight of every pair of gates, from a table.
import { number } from "./plot.js";

const table = await (await fetch(new URL("kernel_shape.json", import.meta.url))).json();
const { widths, priors, temperatures } = table.parameters;

// U at an entry of the table, which holds its upper triangle along the widths
export function orderParameter(prior, temperature, width) {
  const [a, b, c, d, e, f] = table.results.U[prior][temperature][width];
  return [[a, b, c], [b, d, e], [c, e, f]];
}

// y'Ky / (|y|² |K|): how far the kernel points along the labels
export const aligned = (prior, temperature, width) => table.results.aligned[prior][temperature][width];

const show = (values) => (index) => number(values[index]);
const gates = { from: 0, to: 3, ticks: [0.5, 1.5, 2.5], words: ["1", "2", "3"] };
const order = widths.map((_, k) => k);

export default {
  controls: [
    { name: "width", label: "width *N*", min: 0, max: widths.length - 1, step: 1, value: widths.length - 1, show: show(widths) },
    { name: "prior", label: "prior variance *σ*²", min: 0, max: priors.length - 1, step: 1, value: 5, show: show(priors) },
    { name: "temperature", label: "temperature *T*", min: 0, max: temperatures.length - 1, step: 1, value: 1, show: show(temperatures) },
  ],
  draw({ width, prior, temperature }) {
    const U = orderParameter(prior, temperature, width), size = Math.max(...U.flat().map(Math.abs)), s2 = priors[prior];
    const own = (gate) => order.map((k) => orderParameter(prior, temperature, k)[gate][gate] / s2);
    return {
      panels: [{
        name: "order parameter as a map, one row and one column a gate", square: true, x: { label: "gate *n*", ...gates }, y: { label: "gate *m*", ...gates },
        marks: [{ cells: U, range: [-size, size], diverging: true }],
      }, {
        name: "weights of the three gates against width", x: { label: "width *N*", from: -0.3, to: widths.length - 0.7, ticks: order, words: widths.map((N) => (N < 10000 ? String(N) : "10⁴")) }, y: { label: "weight of a gate *Uₙₙ*/*σ*²", from: 0.1, to: 20, log: true },
        marks: [
          ...[1, 0, 2].map((gate, i) => ({ line: [order, own(gate)], color: i, dash: i > 0, name: gate === 1 ? "gate 2, which the teacher uses" : `gate ${gate + 1}` })),
          { handle: [width, U[1][1] / s2], name: "width of the network", step: [1, 1], says: number(widths[width]), move: (x) => ({ width: Math.round(x) }) },
        ],
      }],
      says: `Gate 2 weighs ${number(U[1][1] / Math.max(U[0][0], U[2][2]))} times as much as the next. The kernel points along the labels with a cosine of ${number(aligned(prior, temperature, width))}, ${number(aligned(prior, temperature, 0))} in the widest network.`,
    };
  },
};
