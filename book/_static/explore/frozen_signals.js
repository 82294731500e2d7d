// A network with one hidden layer of ReLUs trains in the page, beside the weight changes that frozen signals predict.
import { number } from "./plot.js";
import { normals } from "./random.js";

const GAINS = [1, Math.SQRT2]; // of the two layers: a ReLU passes half of the second moment
const INPUTS = 4, EXAMPLES = 12, LR = 0.2;

const rows = (flat, size) => Array.from({ length: flat.length / size }, (_, i) => flat.slice(i * size, (i + 1) * size));
const dot = (v, w) => v.reduce((sum, x, i) => sum + x * w[i], 0);

export const task = (scale) => {
  const X = rows(normals(EXAMPLES * INPUTS, 7), INPUTS);
  return { X, y: X.map((x) => scale * Math.sign(x[0] * x[1])) };
};
export const initial = (width) => ({ W: rows(normals(width * INPUTS, 11), INPUTS), a: normals(width, 13) });

// z = W x g1/√d, f = a·relu(z) g2/√N
function forward({ W, a }, X) {
  const c1 = GAINS[0] / Math.sqrt(X[0].length), c2 = GAINS[1] / Math.sqrt(W.length);
  const z = X.map((x) => W.map((w) => c1 * dot(w, x)));
  return { c1, c2, z, f: z.map((zi) => c2 * zi.reduce((sum, v, k) => sum + a[k] * Math.max(v, 0), 0)) };
}

// Minus 1/n Σ_i e_i (backward signal) (input)' in either layer, with the signals and inputs of these weights
function pull(net, X, errors) {
  const { c1, c2, z } = forward(net, X), n = X.length;
  const a = net.a.map((_, k) => -(c2 / n) * errors.reduce((sum, e, i) => sum + e * Math.max(z[i][k], 0), 0));
  const W = net.W.map((w, k) => w.map((_, j) => -((c1 * c2 * net.a[k]) / n) * errors.reduce((sum, e, i) => sum + (z[i][k] > 0 ? e * X[i][j] : 0), 0)));
  return { W, a };
}

// tr(AB)/√(tr A² tr B²) of the Gram matrices A = Δ'Δ of two changes, from the smaller of their two sides
function gramScore(one, other) {
  const turn = (M) => (M.length > M[0].length ? M[0].map((_, j) => M.map((row) => row[j])) : M);
  const columns = one.length > one[0].length, [P, Q] = [turn(one), turn(other)];
  const inner = (M) => M.map((p) => M.map((q) => dot(p, q)));
  const square = (M, N) => (columns ? dot(inner(M).flat(), inner(N).flat()) : M.reduce((sum, p) => sum + N.reduce((s, q) => s + dot(p, q) ** 2, 0), 0));
  return square(P, Q) / Math.sqrt(square(P, P) * square(Q, Q));
}

// Scores of both layers and how far the weights moved, at the steps asked for, which increase from one
export function train(net, X, y, lr, at) {
  const start = net, found = { scores: [], moved: [], loss: [] }, summed = y.map(() => 0);
  const norm = (M) => Math.sqrt(M.reduce((sum, row) => sum + dot(row, row), 0));
  let now = net, done = 0;
  for (const stop of at) {
    for (; done < stop; done += 1) {
      const errors = forward(now, X).f.map((f, i) => f - y[i]), step = pull(now, X, errors);
      errors.forEach((e, i) => { summed[i] += lr * e; });
      now = { W: now.W.map((w, k) => w.map((v, j) => v + lr * step.W[k][j])), a: now.a.map((v, k) => v + lr * step.a[k]) };
    }
    const said = pull(start, X, summed), W = now.W.map((w, k) => w.map((v, j) => v - start.W[k][j])), a = [now.a.map((v, k) => v - start.a[k])];
    found.scores.push([gramScore(W, said.W), gramScore(a, [said.a])]);
    found.moved.push([norm(W) / norm(start.W), norm(a) / norm([start.a])]);
    found.loss.push(forward(now, X).f.reduce((sum, f, i) => sum + (f - y[i]) ** 2, 0) / (2 * y.length));
  }
  return found;
}

const STEPS = [1, 3, 10, 20, 30, 50, 70, 100, 140, 200, 300];

export default {
  controls: [
    { name: "width", label: "width *N*", min: 2, max: 8, step: 1, value: 5, show: (v) => String(2 ** v) },
    { name: "scale", label: "scale of the labels", min: 0.25, max: 4, step: 0.25, value: 1 },
  ],
  draw({ width, scale }) {
    const { X, y } = task(scale), { scores, moved, loss } = train(initial(2 ** width), X, y, LR, STEPS), end = STEPS.length - 1;
    const x = { label: "steps of gradient descent", from: 1, to: 300, log: true, ticks: [1, 10, 100, 300] };
    const layers = ["first layer", "read-out"], line = (values, named) => layers.flatMap((name, l) => [
      { line: [STEPS, values.map((v) => v[l])], color: l, thin: true },
      { dots: [STEPS, values.map((v) => v[l])], color: l, shape: ["circle", "square"][l], name: named ? name : undefined },
    ]);
    return {
      panels: [
        { name: "score of both layers against time", x, y: { label: "Gram score *S*", from: 0, to: 1.05 }, marks: line(scores, true) },
        { name: "relative change of the weights against time", x, y: { label: "change of the weights", from: 1e-3, to: 10, log: true }, marks: line(moved, false) },
      ],
      says: `After 300 steps the loss is ${number(loss[end], 2)}; the weights of the first layer have changed by ${number(100 * moved[end][0], 2)} %, the read-out by ${number(100 * moved[end][1], 2)} %, and the prediction scores ${scores[end][0].toFixed(2)} and ${scores[end][1].toFixed(2)}.`,
    };
  },
};
