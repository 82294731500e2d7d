"""Ratios of times that two machines agree on: interleaved, CPU time, best of several rounds."""

import time


def best_times(*jobs, rounds=5):
    """Return the best CPU time of each job over interleaved rounds; the first, unmeasured round warms up.

    Parameters
    ----------
    *jobs : callable
        Called without arguments, one after the other, in every round.
    rounds : int, optional
        Measured rounds.
    """
    times = [[] for _ in jobs]
    for round_ in range(rounds + 1):
        for job, record in zip(jobs, times, strict=True):
            start = time.process_time()
            job()
            if round_:
                record.append(time.process_time() - start)
    return [min(record) for record in times]
