// Three modes that race through a bottleneck of width d in an infinitely wide linear network.
import { grid, number, power } from "./plot.js";
import { integrate } from "./integrate.js";

// The kernel along a mode grows with it: h² = h0² + κ b²
export function modeRate(b, d, cg, cf) {
  return Math.hypot(cg + cf, Math.sqrt((4 * cg * cf) / d) * b);
}

// Time to b from zero, with z = ln S/(S - b) given apart so that b may come close to S
function clock(z, b, S, d, cg, cf) {
  const kappa = (4 * cg * cf) / d, h0 = cg + cf, end = modeRate(S, d, cg, cf);
  return (Math.log((end * modeRate(b, d, cg, cf) + h0 ** 2 + kappa * S * b) / (end * h0 + h0 ** 2)) + z) / end;
}

export const modeTime = (b, S, d, cg, cf) => clock(Math.log(S / (S - b)), b, S, d, cg, cf);
export const acceleration = (S, d, cg, cf) => modeRate(S, d, cg, cf) / (cg + cf);

export function modeStrength(t, S, d, cg, cf) {
  let low = 0, high = t * modeRate(S, d, cg, cf);
  for (let i = 0; i < 70; i += 1) {
    const z = (low + high) / 2;
    if (clock(z, S * -Math.expm1(-z), S, d, cg, cf) > t) high = z;
    else low = z;
  }
  return S * -Math.expm1(-(low + high) / 2);
}

// The same from the equations of the map b and of both moments p, q, which the closed form does not use
export function simulate(S, d, cg, cf, times) {
  const slope = ([b, p, q]) => [(cg * p + cf * q) * (S - b), ((2 * cf) / d) * b * (S - b), ((2 * cg) / d) * b * (S - b)];
  return integrate(slope, [0, 1, 1], times).map(([b]) => b);
}

const TARGETS = [6, 3, 1.5], PLACES = [[1, 3], [2, 2], [3, 1]], END = 3, times = grid(0, END, 121), widths = grid(0, 3, 61).map((v) => 10 ** v);

export default {
  controls: [
    { name: "width", label: "bottleneck width *d*", min: 0, max: 3, step: 0.05, value: 0.6, show: power },
    { name: "scale", label: "scale of the labels", min: 0.1, max: 4, step: 0.1, value: 1 },
    { name: "place", label: "layers below and above the bottleneck", choices: ["one and three", "two and two", "three and one"], value: 1 },
  ],
  draw({ width, scale, place }) {
    const d = 10 ** width, [cg, cf] = PLACES[place], h0 = cg + cf, targets = TARGETS.map((S) => scale * S);
    const clocked = times.map((v) => v / h0), marked = grid(0, END, 21), names = ["strong", "middle", "weak"];
    const faster = targets.map((S) => Math.log(2) / h0 / modeTime(S / 2, S, d, cg, cf));
    return {
      panels: [{
        name: "fraction learned of three modes against time", x: { label: "time, in units of 1/(*λh*₀)", from: 0, to: END }, y: { label: "strength over target *b*/*S*", from: 0, to: 1.05 },
        marks: [
          { line: [times, times.map((v) => -Math.expm1(-v))], color: 6, dash: true, thin: true, name: "infinite width" },
          ...targets.flatMap((S, i) => [
            { line: [times, clocked.map((t) => modeStrength(t, S, d, cg, cf) / S)], color: i, name: `${names[i]}, *S* = ${number(S)}` },
            { dots: [marked, simulate(S, d, cg, cf, marked.map((v) => v / h0)).map((b) => b / S)], color: i, shape: ["circle", "square", "triangle"][i] },
          ]),
        ],
      }, {
        name: "acceleration against the width of the bottleneck", x: { label: "bottleneck width *d*", from: 1, to: 1000, log: true }, y: { label: "final over first rate *ρ*", from: 1, to: 100, log: true },
        marks: [
          ...targets.map((S, i) => ({ line: [widths, widths.map((v) => acceleration(S, v, cg, cf))], color: i })),
          { handle: [d, acceleration(targets[0], d, cg, cf)], name: "width of the bottleneck", step: [10 ** 0.05, 1], says: number(d), move: (x) => ({ width: Math.log10(x) }) },
        ],
      }],
      says: `The strong mode ends ${number(acceleration(targets[0], d, cg, cf))} times as fast as it began; it is half learned ${number(faster[0])} times sooner than without a bottleneck, the weak one ${number(faster[2])} times.`,
    };
  },
};
