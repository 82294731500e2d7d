// A promise about the loss of a wide network on two inputs, made before training, and the loss itself.
import { grid, number } from "./plot.js";
import { integrate } from "./integrate.js";
import { drawUnits } from "./neurons.js";

const KAPPA = 0.5, UNITS = 40, END = 40, times = grid(0, END, 121); // the slope of u + sin(u)/2 is one half at least
const value = (u) => u + Math.sin(u) / 2, steep = (u) => 1 + Math.cos(u) / 2;

// Products of the two inputs, both of length √d, at an angle
const gram = (angle) => [[1, Math.cos(angle)], [Math.cos(angle), 1]];
export const smallestEigenvalue = (angle) => 1 - Math.abs(Math.cos(angle));

// Theorem A: L(t) ≤ L(0) exp(-rt) with r = 2/n λ_min κ² ĉ²
export const promisedRate = (angle, size) => smallestEigenvalue(angle) * KAPPA ** 2 * size ** 2;

// The flow of all pre-activations in mean-field scaling, state [h_11, h_12, h_21, ...], and its loss
export function losses(angle, size, y, h0, c, at) {
  const G = gram(angle), m = c.length;
  const error = (h) => [0, 1].map((a) => y[a] - c.reduce((sum, ci, i) => sum + (ci / m) * value(h[2 * i + a]), 0));
  const slope = (h) => {
    const e = error(h);
    return c.flatMap((ci, i) => {
      const pull = [0, 1].map((a) => (ci / 2) * steep(h[2 * i + a]) * e[a]);
      return [0, 1].map((b) => pull[0] * G[0][b] + pull[1] * G[1][b]);
    });
  };
  return integrate(slope, h0, at, 1e-8, 1e-10).map((h) => error(h).reduce((sum, e) => sum + e ** 2, 0) / 4);
}

// Pre-activations of neurons with these weights in the plane of the two inputs
export function start(angle, size) {
  const { z, c } = drawUnits(UNITS, 1, size);
  return { h0: c.flatMap((_, i) => [z[2 * i], z[2 * i] * Math.cos(angle) + z[2 * i + 1] * Math.sin(angle)]), c };
}

export default {
  controls: [
    { name: "degrees", label: "angle between the inputs", min: 0, max: 180, step: 1, value: 70, show: (v) => `${number(v)}°` },
    { name: "size", label: "size of the output weights *ĉ*", min: 0.5, max: 2, step: 0.1, value: 1 },
    { name: "labels", label: "labels", choices: ["+1 and −1", "+1 and +1"], value: 0 },
  ],
  draw({ degrees, size, labels }) {
    const angle = (Math.PI * degrees) / 180, rate = promisedRate(angle, size), { h0, c } = start(angle, size);
    const y = labels ? [1, 1] : [1, -1], found = losses(angle, size, y, h0, c, times), fall = found.map((v) => v / found[0]);
    const seen = fall.findIndex((v) => v < 1e-3), k = seen < 0 ? times.length - 1 : seen, measured = -Math.log(fall[k]) / times[k];
    const [x, z] = [Math.cos(angle), Math.sin(angle)], plane = { from: -1.3, to: 1.3, ticks: [-1, 0, 1] }, circle = grid(0, 2 * Math.PI, 73);
    return {
      panels: [{
        name: "the two inputs in their plane", square: true, x: { label: "*x*₁/√*d*", ...plane }, y: { label: "*x*₂/√*d*", ...plane },
        marks: [
          { line: [circle.map(Math.cos), circle.map(Math.sin)], color: 6, thin: true, dash: true },
          { line: [[0, 1], [0, 0]], color: 0, name: "first input" }, { line: [[0, x], [0, z]], color: 1, name: "second input" },
          { handle: [x, z], name: "second input", step: [0.05, 0.05], says: `${number(degrees)} degrees from the first`, move: (p, q) => ({ degrees: (180 * Math.atan2(Math.max(q, 0), p)) / Math.PI }) },
        ],
      }, {
        name: "loss against time, and what is promised", x: { label: "time *t*", from: 0, to: END }, y: { label: "loss over its start", from: 1e-6, to: 2, log: true },
        marks: [
          { line: [times, times.map((t) => Math.exp(-rate * t))], color: 6, dash: true, name: "promised before training" },
          { line: [times, fall], color: 0, name: "flow of all neurons" },
        ],
      }],
      says: `The smallest eigenvalue is ${number(smallestEigenvalue(angle))}, the promised rate ${number(rate)}; the loss has fallen at the rate ${number(measured)}.`,
    };
  },
};
