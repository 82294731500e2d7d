"""Ratios of times that two machines agree on: interleaved, CPU time, best of several rounds."""

import time


def best_times(*jobs, rounds=5, calls=1):
    """Return the best CPU time of one call of each job over interleaved rounds; the first, unmeasured round warms up.

    Parameters
    ----------
    *jobs : callable
        Called without arguments, one after the other, in every round.
    rounds : int, optional
        Measured rounds.
    calls : int or sequence of int, optional
        Calls of a job in one measurement, of all or of each; more for jobs that a clock can hardly see.
    """
    times = [[] for _ in jobs]
    calls = [calls] * len(jobs) if isinstance(calls, int) else calls
    for round_ in range(rounds + 1):
        for job, n, record in zip(jobs, calls, times, strict=True):
            start = time.process_time()
            for _ in range(n):
                job()
            if round_:
                record.append((time.process_time() - start) / n)
    return [min(record) for record in times]
