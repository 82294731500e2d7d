// Neurons of a wide network that move in the plane while it learns four points: exclusive or, turned by 45 degrees.
import { grid, number } from "./plot.js";
import { integrate } from "./integrate.js";
import { normals } from "./random.js";

const X = [[1, 0], [-1, 0], [0, 1], [0, -1]], Y = [1, 1, -1, -1];
const SLOPES = { // value and slope
  softplus: [(u) => Math.max(u, 0) + Math.log1p(Math.exp(-Math.abs(u))), (u) => 1 / (1 + Math.exp(-u))],
  tanh: [Math.tanh, (u) => 1 - Math.tanh(u) ** 2],
};

const seen = (x, y) => X.map(([p, q]) => (x * p + y * q) / Math.SQRT2); // h = z·x/√d

export function output(z, c, activation, scaling) {
  const [value] = SLOPES[activation], m = c.length, scale = scaling === "ntk" ? 1 / Math.sqrt(m) : 1 / m, f = [0, 0, 0, 0];
  c.forEach((ci, i) => seen(z[2 * i], z[2 * i + 1]).forEach((h, a) => { f[a] += scale * ci * value(h); }));
  return f;
}

// τ dz_i/dt = c_i/n Σ_a σ'(h_ia) (y_a - f(x_a)) x_a/√d, in NTK scaling with another factor m^-1/2. Neurons beyond those
// of c, with the output weight of the first, feel the field and do not add to it.
export function slope(z, c, activation, scaling) {
  const [, steep] = SLOPES[activation], f = output(z, c, activation, scaling), m = c.length, moved = new Array(z.length);
  const scale = scaling === "ntk" ? 1 / Math.sqrt(m) : 1;
  for (let i = 0; 2 * i < z.length; i += 1) {
    let [p, q] = [0, 0];
    for (let a = 0; a < X.length; a += 1) {
      const h = (z[2 * i] * X[a][0] + z[2 * i + 1] * X[a][1]) / Math.SQRT2;
      const pull = (((c[i] ?? c[0]) * scale) / X.length) * steep(h) * ((Y[a] - f[a]) / Math.SQRT2);
      p += pull * X[a][0];
      q += pull * X[a][1];
    }
    moved[2 * i] = p;
    moved[2 * i + 1] = q;
  }
  return moved;
}

export const flow = (z, c, activation, scaling, times) => integrate((state) => slope(state, c, activation, scaling), z, times, 1e-8, 1e-10);
export const loss = (z, c, activation, scaling) => output(z, c, activation, scaling).reduce((sum, f, a) => sum + (f - Y[a]) ** 2, 0) / (2 * X.length);

// Pairs of neurons with equal weights and opposite output weights: the network starts at zero
export function drawUnits(m, seed, size) {
  const half = normals(m, seed);
  return { z: [...half, ...half], c: Array.from({ length: m }, (_, i) => (i < m / 2 ? size : -size)) };
}

const COUNTS = [20, 60, 200], SCALINGS = ["mean_field", "ntk"], NAMES = Object.keys(SLOPES), END = 30, SIZE = 5, PER_TIME = 2, times = grid(0, END, PER_TIME * END + 1);
let last = { key: "" };

// One run is kept: moving along its time costs nothing.
function run(count, scaling, activation, size, px, py) {
  const key = [count, scaling, activation, size, px, py].join();
  if (last.key !== key) {
    const { z, c } = drawUnits(COUNTS[count], 1, size), options = [NAMES[activation], SCALINGS[scaling]];
    const states = flow([...z, px, py], c, ...options, times);
    last = { key, c, states, losses: states.map((state) => loss(state.slice(0, -2), c, ...options)) };
  }
  return last;
}

export default {
  controls: [
    { name: "time", label: "time *t*", min: 0, max: END, step: 1, value: END, play: true },
    { name: "scaling", label: "scaling of the output", choices: ["mean field, 1/m", "NTK, 1/√m"], value: 0 },
    { name: "count", label: "neurons *m*", min: 0, max: 2, step: 1, value: 1, show: (v) => String(COUNTS[v]) },
    { name: "size", label: "size of the output weights *ĉ*", min: 1, max: 8, step: 0.5, value: 4 },
    { name: "activation", label: "activation", choices: NAMES, value: 0 },
  ],
  values: { px: -0.5, py: 1.5 },
  draw({ time, scaling, count, size, activation, px, py }) {
    const { c, states, losses } = run(count, scaling, activation, size, px, py), k = PER_TIME * time, now = states[k], past = states.slice(0, k + 1), m = c.length, half = m / 2;
    const points = (state, from, to) => [state.slice(2 * from, 2 * to).filter((_, k) => k % 2 === 0), state.slice(2 * from, 2 * to).filter((_, k) => k % 2 === 1)];
    const ways = c.map((_, i) => ({ line: [past.map((s) => s[2 * i]), past.map((s) => s[2 * i + 1])], color: i < half ? 0 : 1, thin: true }));
    const moved = Math.sqrt(now.slice(0, 2 * m).reduce((sum, v, k) => sum + (v - states[0][k]) ** 2, 0) / m);
    const plane = { from: -SIZE, to: SIZE };
    return {
      panels: [{
        name: "weights of the neurons in the plane of the inputs", square: true, x: { label: "first weight *z*₁", ...plane }, y: { label: "second weight *z*₂", ...plane },
        marks: [
          ...ways,
          { line: [past.map((s) => s[2 * m]), past.map((s) => s[2 * m + 1])], color: 6 },
          { dots: points(now, 0, half), color: 0, name: "neurons with *c* > 0" },
          { dots: points(now, half, m), color: 1, shape: "triangle", name: "neurons with *c* < 0" },
          { handle: [px, py], name: "start of one more neuron with c > 0", step: [0.1, 0.1], move: (x, y) => ({ px: x, py: y }) },
        ],
      }, {
        name: "loss against time", x: { label: "time *t*", from: 0, to: END }, y: { label: "loss", from: 1e-6, to: 1, log: true },
        marks: [{ line: [times, losses], color: 2 }, { dots: [[time], [losses[k]]], color: 2, shape: "diamond", name: "now" }],
      }],
      says: `At time ${time} the loss is ${number(losses[k], 2)}; the neurons have moved by ${number(moved, 2)} on average.`,
    };
  },
};
