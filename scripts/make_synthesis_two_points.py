"""Nine networks that learn two points, twenty seeds: how well two rates fit each of them.

Writes book/data/synthesis_two_points.json. About one CPU-minute.
"""

import numpy as np
from experiment import arguments, runs, save

from gdln.synthesis.two_points import final_distance, fit_rates, straightness
from gdln.synthesis.two_points_nets import NETWORKS, simulate_pair

X, D_Y = [[-1.0], [0.0]], 0.5
WIDTH, N_STEPS = 100, 20_000


def fitted(network, seed):
    """One network: its steps, the residual of the fit, the straightness and the overestimate of the final distance."""
    Y = [[0.6], [0.6 + D_Y**0.5]]
    settings = NETWORKS[network]
    path = simulate_pair(X, Y, WIDTH, n_steps=N_STEPS, rng=np.random.default_rng(seed), **settings)
    h = path.h[:, settings["depth"] // 2 - 1]
    fit = fit_rates(h, path.y, path.w, 1.0, D_Y, path.times)
    r2 = straightness(h, path.y).r2
    end = float(final_distance(h[0], path.y[0], 1.0, D_Y, fit.ratio))
    found = {"residual": fit.residual, "r2": r2, "over": end / h[-1], "start": h[0], "end": h[-1]}
    found |= {"eta_h": fit.eta_h, "eta_y": fit.eta_y, "loss": path.loss[-1]}
    return {"steps": len(h) - 1} | {name: float(f"{value:.6g}") for name, value in found.items()}


def main(argv=None):
    chosen = arguments(__doc__, argv, counts={"seeds": 20}, reduced={"seeds": 1})
    seeds = list(range(chosen.seeds))
    grid = {"network": list(range(len(NETWORKS))), "seed": seeds}
    found = runs("synthesis_two_points", fitted, grid, chosen.jobs)
    names = list(found[0])
    table = [
        settings
        | {name: [run[name] for run in found[k * len(seeds) : (k + 1) * len(seeds)]] for name in names}
        for k, settings in enumerate(NETWORKS)
    ]
    parameters = {"X": X, "d_y": D_Y, "width": WIDTH, "layer": "depth // 2", "seeds": seeds}
    save("synthesis_two_points", chosen, parameters, table)


if __name__ == "__main__":
    main()
