// The plane of the two weights of a mode: every start runs along its hyperbola to a minimum, in closed form.
import { grid, number } from "./plot.js";
import { riccati } from "./one_mode.js";

// Both weights at time t: the squares of their sum and of their difference obey scalar Riccati equations.
export function chainWeights(t, s, b1, b2) {
  const sum = b1 + b2, difference = b1 - b2, q = sum * difference;
  const p = Math.sign(sum) * Math.sqrt(riccati(t, s, sum ** 2, q));
  const m = Math.sign(difference) * Math.sqrt(riccati(t, -s, difference ** 2, q));
  return [(p + m) / 2, (p - m) / 2];
}

// b1 ← b1 + lr (s - b1 b2) b2, b2 ← b2 + lr (s - b1 b2) b1
export function descend(b1, b2, s, lr, steps) {
  const path = [[b1, b2]];
  for (let step = 0; step < steps; step += 1) {
    const [x, y] = path[step], e = lr * (s - x * y);
    path.push([x + e * y, y + e * x]);
  }
  return path;
}

const END = 12, SIZE = 2, times = grid(0, END, 241);
const onGrid = (v) => Math.round(20 * v) / 20; // so that a start can lie on the diagonal
const split = (path) => [path.map(([x]) => x), path.map(([, y]) => y)];

export default {
  controls: [{ name: "target", label: "what the data ask for *s*", min: 0.2, max: 2, step: 0.1, value: 1 }],
  values: { b1: -1.6, b2: 1.4 },
  draw({ target: s, b1, b2 }) {
    const way = times.map((t) => chainWeights(t, s, b1, b2)), strength = way.map(([x, y]) => x * y);
    const steps = descend(b1, b2, s, 0.01, 100 * END).filter((_, k) => k % 60 === 0), branch = grid(s / SIZE, SIZE, 60);
    const ring = (size, n) => grid(0, n - 1, n).map((k) => (2 * Math.PI * (k + 0.25)) / n).map((angle) => [size * Math.cos(angle), size * Math.sin(angle)]);
    const around = [...ring(0.25, 8), ...ring(1.1, 12), ...ring(1.95, 16)].map((b) => times.map((t) => chainWeights(t, s, ...b)));
    const half = strength.findIndex((a) => a >= s / 2), closest = Math.min(...way.map(([x, y]) => Math.hypot(x, y)));
    const when = half === 0 ? "starts beyond half of its final strength" : half < 0 ? `has not come half of the way after ${END} time constants` : `reaches half of its final strength after ${number(times[half], 2)} time constants`;
    return {
      panels: [{
        name: "plane of the two weights", square: true, x: { label: "first weight *b*₁", from: -SIZE, to: SIZE }, y: { label: "second weight *b*₂", from: -SIZE, to: SIZE },
        marks: [
          ...around.map((path) => ({ line: split(path), color: 5, thin: true })),
          ...[1, -1].map((sign) => ({ line: [branch.map((v) => sign * v), branch.map((v) => (sign * s) / v)], color: 6, dash: true, name: sign > 0 ? "minima" : undefined })),
          { line: split(way), color: 0, name: "closed form" },
          { dots: split(steps), color: 0, name: "gradient descent" },
          { handle: [b1, b2], name: "start of both weights", step: [0.1, 0.1], move: (x, y) => ({ b1: onGrid(x), b2: onGrid(y) }) },
        ],
      }, {
        name: "strength of the mode against time", x: { label: "time *t*/τ", from: 0, to: END }, y: { label: "mode strength *a*", from: -4, to: 4 },
        marks: [
          { line: [[0, END], [s, s]], color: 6, dash: true, thin: true },
          { line: [times, strength], color: 0 },
          { dots: [grid(0, END, steps.length), steps.map(([x, y]) => x * y)], color: 0 },
        ],
      }],
      says: `The mode ${when}; the weights come as close to the saddle as ${number(closest, 2)}.`,
    };
  },
};
