// The race: a hidden path shared by P of the M² routes, beside a path of its own for every route.
import { grid, number, power, round } from "./plot.js";
import { integrate } from "./integrate.js";

// With E = S - D (B₂ˢ B₁ˢ² + B₂ᵈ B₁ᵈ²), an edge learns at the rate of the routes it serves, among M².
export function slope([s1, s2, d1, d2], S, D, M, P) {
  const E = S - D * (s2 * s1 ** 2 + d2 * d1 ** 2);
  return [(Math.sqrt(P) / M ** 2) * s2 * s1 * E, (P / M ** 2) * s1 ** 2 * E, (d2 * d1 * E) / M ** 2, (d1 ** 2 * E) / M ** 2];
}

// What each kind of path gives to the strength of a route, at increasing times from zero
export function race(S, D, M, P, shared, dedicated, times) {
  const states = integrate((state) => slope(state, S, D, M, P), [shared, shared, dedicated, dedicated], times);
  return { shared: states.map(([s1, s2]) => s2 * s1 ** 2), dedicated: states.map(([, , d1, d2]) => d2 * d1 ** 2) };
}

// How much sooner a path that serves P routes leaves its plateau, from equal small strengths
export function speedUp(P) {
  const gap = Math.sqrt(Math.sqrt(P) - 1);
  return gap > 0 ? (Math.sqrt(P) * gap) / Math.atan(gap) : 1;
}

export function escapeTime(S, M, P, b) {
  return M ** 2 / (S * b * speedUp(P));
}

// The share of a route that the dedicated path keeps once the error is gone
export function dedicatedShare(S, D, M, P, shared, dedicated) {
  const end = Math.min(escapeTime(S, M, P, shared), escapeTime(S, M, 1, dedicated)) * 3 + (20 * M ** 2) / (P * S);
  const found = race(S, D, M, P, shared, dedicated, [0, end]);
  return found.dedicated[1] / (found.shared[1] + found.dedicated[1]);
}

const roots = (M) => grid(1, M, M).filter((root) => M % root === 0); // whole numbers of routes: √P divides M
const routes = (M, sharing) => roots(M)[Math.min(sharing, roots(M).length - 1)] ** 2;
const S = 3, D = 1; // a mode whose route ends at 3; other values only change the units of strength and time

export default {
  controls: [
    { name: "domains", label: "domains *M*", min: 2, max: 12, step: 1, value: 6 },
    { name: "sharing", label: "routes sharing a path *P*", min: 0, max: ({ domains }) => roots(domains).length - 1, step: 1, value: 1, show: (v, { domains }) => number(routes(domains, v)) },
    { name: "start", label: "start *b*₀", min: -2, max: 0, step: 0.05, value: -0.7, show: power },
  ],
  draw({ domains: M, sharing, start }) {
    const P = routes(M, sharing), b = 10 ** start, end = round(3 * escapeTime(S, M, P, b)), times = grid(0, end, 201);
    const { shared, dedicated } = race(S, D, M, P, b, b, times), starts = grid(-2, 0, 11);
    const kept = starts.map((v) => dedicatedShare(S, D, M, P, 10 ** v, 10 ** v)), now = dedicatedShare(S, D, M, P, b, b);
    return {
      panels: [{
        name: "strengths of the two kinds of path against time", x: { label: "time *t*/τ", from: 0, to: end }, y: { label: "part of a route’s strength", from: 0, to: 3.2 },
        marks: [
          { line: [times, shared], color: 0, name: `path shared by ${P} of ${M ** 2} routes` },
          { line: [times, dedicated], color: 1, name: "the route’s own path", dash: true },
        ],
      }, {
        name: "final share of the route’s own path against the start", x: { label: "start *b*₀", from: 0.01, to: 1, log: true }, y: { label: "share of its own path", from: 1e-8, to: 1, log: true },
        marks: [
          { line: [starts.map((v) => 10 ** v), kept], color: 1, dash: true },
          { handle: [b, now], name: "start of all weights", step: [10 ** 0.05, 1], says: number(b), move: (x) => ({ start: Math.log10(x) }) },
        ],
      }],
      says: `The shared path is ${number(speedUp(P))} times faster, and in the end the route’s own path carries ${number(100 * now)} % of the output.`,
    };
  },
};
