// A deep linear network's posterior multiplies its kernel by one number, the root of a scalar saddle-point equation.
import { grid, number, power } from "./plot.js";

// The positive root u of 1 - u/σ² = α (1 - r0 u^-L); both sides are monotone in ln u
export function layerScale(alpha, r0, sigma2, depth) {
  const excess = (x) => Math.exp(x) / sigma2 - (1 - alpha) - alpha * r0 * Math.exp(Math.min(-depth * x, 700));
  let low = -1, high = 1;
  while (excess(low) > 0) low *= 2;
  while (excess(high) < 0) high *= 2;
  for (let i = 0; i < 100; i += 1) {
    const middle = (low + high) / 2;
    if (excess(middle) < 0) low = middle;
    else high = middle;
  }
  return Math.exp((low + high) / 2);
}

// u^L as the depth grows at fixed α; infinite where the prior's scale wins
export function depthLimit(alpha, r0, sigma2) {
  const margin = alpha - 1 + 1 / sigma2;
  return margin > 0 ? (alpha * r0) / margin : Infinity;
}

const ratios = grid(-2, 2, 81).map((v) => 10 ** v), depths = grid(1, 40, 40);
const AXIS = { label: "kernel scale *u*ᴸ", from: 0.03, to: 30, log: true };

export default {
  controls: [
    { name: "ratio", label: "samples over width *α*", min: -2, max: 2, step: 0.1, value: -0.3, show: power },
    { name: "depth", label: "hidden layers *L*", min: 1, max: 20, step: 1, value: 1 },
    { name: "size", label: "size of the labels *r*₀", min: -1, max: 1, step: 0.1, value: -0.4, show: power },
    { name: "prior", label: "prior variance *σ*²", min: -0.6, max: 0.6, step: 0.05, value: 0, show: power },
  ],
  draw({ ratio, depth, size, prior }) {
    const alpha = 10 ** ratio, r0 = 10 ** size, sigma2 = 10 ** prior, scale = layerScale(alpha, r0, sigma2, depth) ** depth;
    const limit = depthLimit(alpha, r0, sigma2);
    return {
      panels: [{
        name: "kernel scale against samples over width", x: { label: "samples over width *α*", from: 0.01, to: 100, log: true }, y: AXIS,
        marks: [
          { line: [[0.01, 100], [r0, r0]], color: 1, dash: true, name: "what the labels ask for, *r*₀" },
          { line: [[0.01, 100], [sigma2 ** depth, sigma2 ** depth]], color: 2, dash: true, thin: true, name: "infinite width, *σ*²ᴸ" },
          { line: [ratios, ratios.map((v) => layerScale(v, r0, sigma2, depth) ** depth)], color: 0, name: "saddle point" },
          { handle: [alpha, scale], name: "samples over width", step: [10 ** 0.1, 1], says: number(alpha), move: (x) => ({ ratio: Math.log10(x) }) },
        ],
      }, {
        name: "kernel scale against depth", x: { label: "hidden layers *L*", from: 0, to: 40 }, y: AXIS,
        marks: [
          ...(limit < Infinity ? [{ line: [[0, 40], [limit, limit]], color: 6, dash: true, name: "infinite depth" }] : []),
          { line: [depths, depths.map((L) => layerScale(alpha, r0, sigma2, L) ** L)], color: 0 },
          { dots: [[depth], [scale]], color: 0, name: "the network on the left" },
        ],
      }],
      says: `The posterior multiplies the kernel by ${number(scale)}; infinitely wide it would be ${number(sigma2 ** depth)}, infinitely deep ${limit < Infinity ? number(limit) : "without bound"}.`,
    };
  },
};
