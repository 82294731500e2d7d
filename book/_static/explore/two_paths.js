// Two paths from the items to their features race for the same modes: the short one has one hidden layer.
import { grid, number, power } from "./plot.js";
import { integrate } from "./integrate.js";

// One mode: all edges of a path are equally strong, a and b; both paths see one error.
export function slope([a, b], S, D, hidden) {
  const E = S - D * (a ** 2 + b ** (hidden + 1));
  return [a * E, b ** hidden * E];
}

// Strengths of the short and of the long path at increasing times from zero
export function twoPaths(S, D, hidden, start, times) {
  const states = integrate((state) => slope(state, S, D, hidden), [start, start], times);
  return { short: states.map(([a]) => a ** 2), long: states.map(([, b]) => b ** (hidden + 1)) };
}

// Correlations of the first three modes of four items with seven features
export const MODES = [Math.sqrt(185) / 4, Math.sqrt(41) / 4, 3 / 4], INPUT = 1 / 4;
const END = 8, times = grid(0, END, 161);

export default {
  controls: [
    { name: "start", label: "strength at the start", min: -1.5, max: 0.2, step: 0.05, value: -0.5, show: power },
    { name: "hidden", label: "layers on the long path", min: 1, max: 5, step: 1, value: 2 },
    { name: "time", label: "time *t*/τ", min: 0, max: END, step: 0.05, value: END, play: true },
  ],
  draw({ start, hidden, time }) {
    const runs = MODES.map((S) => twoPaths(S, INPUT, hidden, 10 ** start, times)), shown = times.filter((t) => t <= time + 1e-9).length;
    const until = (values) => [times.slice(0, shown), values.slice(0, shown)], [first] = runs;
    const share = (run) => run.long[shown - 1] / (run.long[shown - 1] + run.short[shown - 1]);
    return {
      panels: [{
        name: "strength of three modes on two paths against time", x: { label: "time *t*/τ", from: 0, to: END }, y: { label: "strength of a mode on a path", from: 0, to: 15 },
        marks: runs.flatMap(({ short, long }, i) => [
          { line: until(short), color: i, name: `mode ${i + 1}, short path` },
          { line: until(long), color: i, dash: true, thin: true, name: `mode ${i + 1}, long path` },
        ]),
      }],
      says: `At time ${number(time)} the strongest mode stands at ${number(first.short[shown - 1])} on the short path and ${number(first.long[shown - 1])} on the long one, which carries ${number(100 * share(first))} % of it.`,
    };
  },
};
