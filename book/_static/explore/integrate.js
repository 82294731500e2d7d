// Ordinary differential equations by Dormand and Prince's pair of orders 5 and 4, with a step that adapts.

const A = [[], [1 / 5], [3 / 40, 9 / 40], [44 / 45, -56 / 15, 32 / 9], [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
  [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656], [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84]];
const ERROR = [71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40];

// The states at increasing times, the first of which is the start; slope(state, time) returns an array.
export function integrate(slope, start, times, rtol = 1e-9, atol = 1e-12) {
  let y = Array.from(start), t = times[0], k1 = slope(y, t), h = (times[times.length - 1] - t) / 1000;
  const states = [y];
  for (const end of times.slice(1)) {
    while (t < end) {
      const step = Math.min(h, end - t), k = [k1];
      let next;
      for (let stage = 1; stage < 7; stage += 1) {
        next = y.map((v, i) => {
          let sum = 0;
          for (let j = 0; j < stage; j += 1) sum += A[stage][j] * k[j][i];
          return v + step * sum;
        });
        k.push(slope(next, t + step));
      }
      let off = 0; // largest error of the step, in units of what is allowed
      for (let i = 0; i < y.length; i += 1) {
        const error = step * ERROR.reduce((sum, e, j) => sum + e * k[j][i], 0);
        off = Math.max(off, Math.abs(error) / (atol + rtol * Math.max(Math.abs(next[i]), Math.abs(y[i]))));
      }
      if (off <= 1) {
        t = step === end - t ? end : t + step;
        y = next;
        k1 = k[6]; // the last stage is the first of the next step
      }
      // the power of the error's order, a safety of 0.9, and no change of more than five
      if (step === h || off > 1) h = step * Math.min(5, Math.max(0.2, 0.9 * off ** -0.2));
      if (!(h > 1e-14 * Math.abs(end))) throw new Error("the equation is too stiff for these values");
    }
    states.push(y);
  }
  return states;
}
