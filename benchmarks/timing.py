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
    calls : int, optional
        Calls of a job in one measurement; more for jobs that a clock can hardly see.
    """
    times = [[] for _ in jobs]
    for round_ in range(rounds + 1):
        for job, record in zip(jobs, times, strict=True):
            start = time.process_time()
            for _ in range(calls):
                job()
            if round_:
                record.append((time.process_time() - start) / calls)
    return [min(record) for record in times]
