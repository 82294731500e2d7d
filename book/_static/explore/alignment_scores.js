// How well frozen signals predict the weight changes of networks on the digits, against width and time: from a table.
import { number } from "./plot.js";

const table = await (await fetch(new URL("alignment_scores.json", import.meta.url))).json();
const { widths, steps, seeds } = table.parameters;
const NAMES = ["layer 1", "layer 2", "layer 3", "read-out"], SHAPES = ["circle", "square", "triangle", "diamond"];

// Mean over seeds of a score, "gram" of the prediction or "blind" of the control that has seen no error
export function score(kind, width, step, layer) {
  return table.results[kind][width].reduce((sum, run) => sum + run[step][layer], 0) / seeds.length;
}

const show = (values) => (index) => number(values[index], 4);
const ordinal = (values, label) => ({ label, from: -0.2, to: values.length - 0.8, ticks: values.map((_, k) => k), words: values.map(String) });
const all = (values) => values.map((_, k) => k);

export default {
  controls: [
    { name: "width", label: "width *N*", min: 0, max: widths.length - 1, step: 1, value: 2, show: show(widths) },
    { name: "step", label: "steps of gradient descent", min: 0, max: steps.length - 1, step: 1, value: 4, show: show(steps) },
    { name: "blind", label: "score of", choices: ["the prediction", "a control that has seen no error"], value: 0 },
  ],
  draw({ width, step, blind }) {
    const kind = blind ? "blind" : "gram", y = { label: "Gram score *S*", from: 0.4, to: 1.02 }, loss = table.results.loss[width];
    const lines = (xs, at, named) => NAMES.flatMap((name, layer) => [
      { line: [xs, xs.map((k) => at(k, layer))], color: layer, thin: true },
      { dots: [xs, xs.map((k) => at(k, layer))], color: layer, shape: SHAPES[layer], name: named ? name : undefined },
    ]);
    const here = NAMES.map((_, layer) => score("gram", width, step, layer)), control = NAMES.map((_, layer) => score("blind", width, step, layer));
    const left = loss.reduce((sum, run) => sum + run[step] / run[0], 0) / seeds.length;
    return {
      panels: [{
        name: "score of four layers against time", x: ordinal(steps, "steps of gradient descent"), y,
        marks: [
          ...lines(all(steps), (k, layer) => score(kind, width, k, layer), true),
          { handle: [step, score(kind, width, step, 0)], name: "steps of gradient descent", step: [1, 1], says: String(steps[step]), move: (x) => ({ step: Math.round(x) }) },
        ],
      }, {
        name: "score of four layers against width", x: ordinal(widths, "width *N*"), y,
        marks: [
          ...lines(all(widths), (k, layer) => score(kind, k, step, layer), false),
          { handle: [width, score(kind, width, step, 0)], name: "width of the network", step: [1, 1], says: String(widths[width]), move: (x) => ({ width: Math.round(x) }) },
        ],
      }],
      says: `The prediction scores ${here.map((v) => v.toFixed(2)).join(", ")} from the first layer to the read-out, the control ${control.map((v) => v.toFixed(2)).join(", ")}; the loss is ${number(100 * left, 2)} % of that after one step.`,
    };
  },
};
