// Random numbers that are the same in every browser.

// Normal numbers by Box and Muller, from the 32-bit generator mulberry32
export function normals(count, seed) {
  let state = seed;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const pairs = Array.from({ length: Math.ceil(count / 2) }, () => [Math.sqrt(-2 * Math.log(1 - uniform())), 2 * Math.PI * uniform()]);
  return pairs.flatMap(([r, angle]) => [r * Math.cos(angle), r * Math.sin(angle)]).slice(0, count);
}
